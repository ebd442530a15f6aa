"""What is to be expected of the difference between a chain and the ledger, and what is left of it then.

Each thing on its way counts by what it has done to the chain up to the block, less what it has done to the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from billfold.custody.contracts.reconciling import IDS_MAX, TermName


class Term(msgspec.Struct):
    """Why the chain holds more (or less) of an asset than the ledger says. Amounts are smallest units."""

    name: TermName
    units: int = 0
    on_its_way: int = 0
    count: int = 0
    ids: list[str] = msgspec.field(default_factory=list)

    def add(self, units: int, subjects: Iterable[str], *, on_its_way: int = 0, count: int = 1) -> None:
        """One more thing, or many that were added up."""
        self.units += units
        self.on_its_way += on_its_way
        self.count += count
        self.ids.extend(list(subjects)[: IDS_MAX - len(self.ids)])


class Terms:
    """All of a chain, by asset."""

    def __init__(self) -> None:
        self._by_asset: dict[str, dict[TermName, Term]] = {}

    def term(self, asset: str, name: TermName) -> Term:
        """The term of this name, which is empty at first."""
        return self._by_asset.setdefault(asset, {}).setdefault(name, Term(name))

    def of(self, asset: str) -> list[Term]:
        """Those that say something."""
        return [term for term in self._by_asset.get(asset, {}).values() if term.count]

    def units(self, asset: str) -> int:
        """All that is explained."""
        return sum(term.units for term in self.of(asset))


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal that shares an allocation."""

    id: UUID
    asset: str
    token: str | None
    amount: int
    opening: int
    #: What the ledger has posted for it to the account of what the chain holds, whatever is still to come.
    posted: int


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction of ours as the chain had it at the block; it may have none."""

    allocation_id: UUID
    kind: str
    #: Whether a block up to ours has it, whether it did what it should, and what it cost in the chain's own coin.
    mined: bool
    succeeded: bool = True
    fee: int = 0
    #: The withdrawals that it pays; others shared its allocation.
    pays: Sequence[UUID] = ()


def explain_sent(terms: Terms, coin: str, sent: Sent, paid: Sequence[Paid], *, house_fee: int) -> None:
    """What one allocation explains. `house_fee` is what of it the ledger has posted from the house's fees."""
    effects: dict[tuple[str, bool], int] = {}

    def move(asset: str, units: int, *, is_fee: bool) -> None:
        effects[asset, is_fee] = effects.get((asset, is_fee), 0) + units

    move(coin, house_fee - (sent.fee if sent.mined else 0), is_fee=True)
    for one in paid:
        # What the ledger posts for a coin is amount and fee in one; where both are of the coin they are one term.
        move(one.asset, one.posted, is_fee=False)
        if sent.mined and sent.succeeded and one.id in sent.pays:
            move(one.asset, -one.amount, is_fee=False)
            move(coin, -one.opening, is_fee=True)
    in_coin = bool(paid) and all(one.token is None for one in paid)
    if in_coin:
        move(coin, effects.pop((coin, True)), is_fee=False)
    for (asset, is_fee), units in effects.items():
        if units:
            name: TermName = "network_fees_not_settled" if is_fee else "withdrawals_not_settled"
            subjects = [str(sent.allocation_id)] if is_fee else [str(one.id) for one in paid if one.asset == asset]
            terms.term(asset, name).add(units, subjects, count=len(subjects))
    if sent.kind == "pay" and not sent.mined:
        for one in paid:
            if not one.posted:
                terms.term(one.asset, "withdrawals_not_mined").add(0, [str(one.id)], on_its_way=one.amount)


def difference(*, held: int, owed: int, terms: Terms, asset: str) -> int:
    """What nobody can explain: more than zero is too much on the chain, less is too little."""
    return held - owed - terms.units(asset)


def is_above(units: int, *, bound: int, accepted: int | None) -> bool:
    """Whether a difference stops withdrawals. What an operator has accepted does not, as long as it stays the same."""
    return abs(units) > bound and units != accepted
