"""The arithmetic of money that lies ready, and of what is too much or too little of it."""

from __future__ import annotations

import msgspec

from billfold.custody.contracts.treasury import Band, Side, units_of


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """A band in smallest units."""

    low: int
    target: int
    high: int


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What lies at the hot address, in smallest units."""

    #: All that no transaction of ours is about to take.
    free: int
    #: Of that, what can be sent now: coins of blocks that stay.
    spendable: int
    #: What is on its way there from our own addresses.
    coming: int
    #: What withdrawals will take that have no transaction yet.
    waiting: int


def levels_of(band: Band, *, scale: int, total: int) -> Levels:
    """A band of an asset of which so much is held in all."""
    low, target, high = (units_of(text, scale=scale, total=total) for text in (band.low, band.target, band.high))
    return Levels(low=low, target=target, high=high)


def side_of(ready: Ready, levels: Levels) -> Side:
    """Whether too little or too much lies ready, when all that waits has left."""
    if ready.free + ready.coming - ready.waiting < levels.low:
        return "low"
    return "high" if _left(ready) > levels.high else ""


def surplus(ready: Ready, levels: Levels) -> int:
    """What is above the target and can be sent away."""
    return max(_left(ready) - levels.target, 0)


def lacking(ready: Ready, levels: Levels) -> int:
    """What is missing to the target, at least one unit."""
    return max(levels.target - (ready.free + ready.coming - ready.waiting), 1)


def _left(ready: Ready) -> int:
    return min(ready.free, ready.spendable) - ready.waiting
