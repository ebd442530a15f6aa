"""The arithmetic of money that leaves for a chain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from billfold.chains.port import Allocation, Coin, Fate, Found, Model, Payment, Rate
from billfold.chains.signing_port import Purpose
from billfold.custody.contracts.withdrawals import Tier
from billfold.kernel import idempotency, money

__all__ = ["Allocation", "Coin", "Fate", "Found", "Payment", "Purpose", "Rate"]

#: Fees move between a quote and a block; what was set aside and is not needed goes back.
_MARGIN_NUMERATOR, _MARGIN_DENOMINATOR = 5, 4
#: What could not be done waits so long, then twice as long, up to the second.
PAUSE = timedelta(seconds=1)
PAUSE_MAX = timedelta(minutes=5)
#: 2^9 seconds are more than PAUSE_MAX.
_DOUBLINGS_MAX = 9
_OPERATION = "chain withdrawal"


class Held(msgspec.Struct, frozen=True):
    """Money that the ledger holds for a withdrawal."""

    hold_id: UUID
    amount: int


class Due(msgspec.Struct, frozen=True):
    """Money that is to go to an account of the house."""

    account: UUID
    amount: int


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the ledger: settle a part of a hold, or (without an account) release it."""

    hold_id: UUID
    account: UUID | None = None
    amount: int = 0
    release_rest: bool = False


def key(subject: UUID, step: str) -> idempotency.Key:
    """The key under which the ledger knows a step of a withdrawal or a transaction: the same after every restart."""
    return idempotency.key(owner=subject, text=step, operation=_OPERATION, content=b"")


def plan(holds: Sequence[Held], dues: Sequence[Due]) -> list[Step]:
    """The calls that pay all dues from the holds, in order, and give back the rest of each hold."""
    left = [hold.amount for hold in holds]
    taken: list[list[Step]] = [[] for _ in holds]
    for due in dues:
        wanted = due.amount
        for place, hold in enumerate(holds):
            part = min(wanted, left[place])
            if part:
                taken[place].append(Step(hold_id=hold.hold_id, account=due.account, amount=part))
                left[place] -= part
                wanted -= part
        assert wanted == 0, "no more is due than is held"
    for place, hold in enumerate(holds):
        if not taken[place]:
            taken[place].append(Step(hold_id=hold.hold_id))
        elif left[place]:
            taken[place][-1] = msgspec.structs.replace(taken[place][-1], release_rest=True)
    return [step for steps in taken for step in steps]


def shares(cost: int, limits: Sequence[int]) -> tuple[list[int], int]:
    """What each of those who shared a transaction pays of its cost, none beyond its limit; and what is left over."""
    if not sum(limits):
        return [0] * len(limits), cost
    parts = [min(part, limit) for part, limit in zip(money.split(cost, list(limits))[0], limits, strict=True)]
    return parts, cost - sum(parts)


def service_fee(amount: int, tiers: Sequence[Tier], *, scale: int) -> int:
    """What the house takes: of the highest tier that the amount is in; a part of a unit counts as one."""
    reached = [(above, tier) for tier in tiers if amount >= (above := money.parse(tier.above, scale))]
    _, tier = max(reached, key=lambda one: one[0], default=(0, Tier()))
    return money.parse(tier.flat, scale) + -(-amount * tier.per_mille // 1000)


def set_aside(estimate: int) -> int:
    """What is held for a network fee that is estimated so."""
    return -(-estimate * _MARGIN_NUMERATOR // _MARGIN_DENOMINATOR)


def clearing(model: Model, source: str, *, endures: bool = False) -> list[Payment] | None:
    """What is paid to use an allocation up for nothing: coins all go to the change. None where nothing does that.

    Where it `endures`, its durable nonce is used up by a transaction that pays nobody.
    """
    if model == "coins" or endures:
        return []
    return [Payment(address=source, amount=0)] if model == "nonce" else None


def pause(tries: int) -> timedelta:
    """How long to wait after so many tries."""
    return min(PAUSE * (1 << min(max(tries, 0), _DOUBLINGS_MAX)), PAUSE_MAX)
