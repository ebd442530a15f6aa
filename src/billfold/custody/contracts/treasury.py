"""Where the house keeps what it holds on chains, as operators set and see it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold.kernel import money
from billfold.kernel.money import Money

_PERCENT = "%"
#: Hundredths of a per cent.
_PARTS, _PART_DECIMALS = 10_000, 2

#: On which side of its band something is; '' is within.
Side = Literal["", "low", "high"]
#: How soon a transaction is to be in a block.
Speed = Annotated[Literal["slow", "normal", "fast"], Meta(description="What is offered for a place in a block.")]
#: `settled`: no reorganization is expected to take it back.
ChildStatus = Literal["allocated", "signed", "sent", "uncertain", "mined", "settled"]
RefillOutcome = Literal["received", "not_needed"]


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """How much of an asset lies ready to be sent out.

    Each is decimal text of the display unit, or such as `2.5%` of all that is held of the asset.
    """

    low: str
    target: str
    high: str

    def __post_init__(self) -> None:
        """Pass if it can be a band.

        Raises:
            ValueError: it says why.
        """
        texts = (self.low, self.target, self.high)
        if len({text.endswith(_PERCENT) for text in texts}) > 1:
            raise ValueError("either all are amounts, or all are per cent")
        low, target, high = (units_of(text, scale=money.SCALE_MAX, total=_PARTS) for text in texts)
        if not low <= target <= high or not high:
            raise ValueError("the least, what it is brought to and the most do not follow each other")


def units_of(text: str, *, scale: int, total: int) -> int:
    """An end of a band in smallest units, of an asset of which so much is held in all.

    Raises:
        ValueError: it is none.
    """
    try:
        if not text.endswith(_PERCENT):
            return money.threshold(text, scale)
        return max(total, 0) * money.parse(text.removesuffix(_PERCENT), _PART_DECIMALS) // _PARTS
    except (money.InvalidAmount, money.AmountTooPrecise, money.AmountTooLarge) as error:
        raise ValueError(f"{text!r} is neither an amount nor such as 2.5%") from error


class TreasuryTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the house's own money on one chain."""

    #: The operator's own address, whose keys are elsewhere.
    warm: str | None = None
    #: By asset; others stay where they are.
    bands: Mapping[str, Band] = msgspec.field(default_factory=dict)
    #: Of a chain of coins: smaller ones, in decimal text, are made into one when there are more than so many of them,
    #: and when the chain asks no more for it than this. Without the last nothing is.
    merge_below: str = "0"
    merge_above: int = 50
    merge_rate: Mapping[str, int] = msgspec.field(default_factory=dict)

    @property
    def is_used(self) -> bool:
        """Whether there is anything to do."""
        return self.warm is not None or bool(self.merge_rate)


class HotLevel(msgspec.Struct, frozen=True, kw_only=True):
    """How much of an asset lies ready, as it was seen last."""

    chain: str
    asset: str
    #: What is there and in no transaction yet; what withdrawals that wait will take of it.
    free: Money
    waiting: Money
    low: Money
    target: Money
    high: Money
    side: Side
    since: datetime
    looked_at: datetime
    #: What lies at the operator's warm address by the ledger.
    warm: Money
    warm_address: str | None


class Coins(msgspec.Struct, frozen=True, kw_only=True):
    """What the coins of the house are on a chain of coins, as a payment sees them now."""

    chain: str
    #: All that can be sent now.
    count: int
    money: Money
    #: Those that are to be made into one.
    small: int
    small_money: Money
    #: Those that cost more than they bring, at what the slowest place in a block costs: they are left.
    dust: int
    dust_money: Money


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction of the house that spends a coin of another one, and pays for both."""

    id: UUID
    chain: str
    #: The one that is to get into a block, and this one, when it is signed.
    chain_tx: str
    child_tx: str | None
    #: What it spends, and what of that is the fee.
    money: Money
    network_fee: Money
    status: ChildStatus
    created_at: datetime


class Refill(msgspec.Struct, frozen=True, kw_only=True):
    """What operators are asked to bring from their warm address."""

    id: UUID
    chain: str
    money: Money
    #: Where it comes from and goes to.
    warm_address: str | None
    address: str
    received: Money
    opened_at: datetime
    closed_at: datetime | None
    outcome: RefillOutcome | None
