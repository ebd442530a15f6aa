"""Random requests, as the ledger and as the model are asked them."""

import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

from hypothesis import strategies as st

from billfold.kernel import ids
from billfold.kernel.errors import BillfoldError
from billfold.kernel.idempotency import Key
from billfold.ledger import Ledger
from billfold.ledger.contracts import HoldChange, NewHold, Posting, TransferKind
from tests.integration.ledger import model
from tests.integration.ledger.support import new

Answer = Posting | HoldChange | BillfoldError

#: Of the same instant, of both sides of 1970 and of a period's border, too early, and not yet.
VALUE_DATES = [
    None,
    None,
    *(datetime(2020, 2, 29, tzinfo=UTC), datetime(2020, 2, 29, 0, 0, 0, 1, tzinfo=UTC)),
    *(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)),
    *(datetime(1900, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=(1 << 46) * 20)),
    *(datetime(1899, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)),
]
AMOUNTS = st.sampled_from([1, 2, 3, 5, 10, 40, 100, 0, -1, 10**77, 10**78 - 1, 10**78])


@dataclass(frozen=True)
class Command:
    """What is asked of both: how the real ledger is asked, and what the model says."""

    name: str
    ask: Callable[[Ledger, Key], Awaitable[Answer]]
    decide: Callable[[datetime], object]


class Requests:
    """What is known so far, and requests about it."""

    def __init__(self) -> None:
        self.model = model.Model()
        self.assets: list[str] = []
        # One of each that does not exist is among them.
        self.accounts: list[UUID] = [ids.new()]
        self.transfers: list[UUID] = [ids.new()]
        self.holds: list[UUID] = [ids.new()]

    def any(self, data: st.DataObject) -> Command:
        return data.draw(st.sampled_from(self._kinds))(self, data)

    def _pairs(self) -> list[tuple[UUID, UUID]]:
        """From where to where money can go, if it is there."""
        places = self.model.places.items()
        return [
            (debit, credit)
            for (debit, one), (credit, other) in itertools.permutations(places, 2)
            if one.asset == other.asset and one.status == other.status == "open"
        ]

    def _wanted(self, data: st.DataObject) -> model.Wanted:
        pairs = self._pairs()
        if not pairs or data.draw(st.integers(0, 5)) == 5:
            return self._anything(data)
        debit, credit = data.draw(st.sampled_from(pairs))
        return model.Wanted(
            debit=debit,
            credit=credit,
            amount=data.draw(st.integers(1, 40)),
            asset=self.model.places[debit].asset,
            reference=data.draw(st.sampled_from(["", "invoice\t7\\\n", "\N{PILE OF POO}"])),
            effective_at=data.draw(st.sampled_from(VALUE_DATES[:-2])),
        )

    def _anything(self, data: st.DataObject) -> model.Wanted:
        return model.Wanted(
            debit=data.draw(st.sampled_from(self.accounts)),
            credit=data.draw(st.sampled_from(self.accounts)),
            amount=data.draw(AMOUNTS),
            asset=data.draw(st.sampled_from(self.assets)),
            kind=data.draw(st.sampled_from(["transfer", "deposit", "fee"])),
            reference=data.draw(st.sampled_from(["", "", "\0"])),
            effective_at=data.draw(st.sampled_from(VALUE_DATES)),
        )

    def transfer(self, data: st.DataObject) -> Command:
        wanted = self._wanted(data)
        return Command(f"{wanted}", post([wanted], atomic=True), lambda now: self.model.post(wanted, now))

    def group(self, data: st.DataObject) -> Command:
        wanted = [self._wanted(data) for _ in range(data.draw(st.integers(2, 3)))]
        return Command(f"group {wanted}", post(wanted, atomic=True), lambda now: self.model.group(wanted, now))

    def each(self, data: st.DataObject) -> Command:
        wanted = [self._wanted(data) for _ in range(data.draw(st.integers(2, 3)))]

        def decide(now: datetime) -> list[model.Moved | model.No]:
            decided: list[model.Moved | model.No] = []
            for one in wanted:
                try:
                    decided.append(self.model.post(one, now))
                except model.No as no:
                    decided.append(no)
            return decided

        return Command(f"each {wanted}", post(wanted, atomic=False), decide)

    def reversal(self, data: st.DataObject) -> Command:
        transfer = data.draw(st.sampled_from(self.transfers[-3:]) | st.sampled_from(self.transfers))
        amount = data.draw(st.none() | st.integers(1, 40) | AMOUNTS)

        return Command(
            f"reverse {amount}",
            lambda ledger, own: ledger.reverse(key=own, transfer_id=transfer, amount=amount),
            lambda now: self.model.reverse(transfer, amount, now),
        )

    def hold(self, data: st.DataObject) -> Command:
        account = data.draw(st.sampled_from(self.accounts))
        place = self.model.places.get(account)
        asset = data.draw(st.sampled_from([place.asset if place else "USD"] * 5 + self.assets))
        expires = data.draw(st.sampled_from([None, datetime(2100, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)]))
        amount = data.draw(st.integers(1, 40) | AMOUNTS)
        reference = data.draw(st.sampled_from(["", "", "booking", "booking", "\0"]))

        wanted = NewHold(account=account, amount=amount, asset=asset, expires_at=expires, reference=reference)
        return Command(
            f"{wanted}",
            lambda ledger, own: ledger.place_hold(key=own, hold=wanted),
            lambda now: self.model.place(model.Held(account, amount, reference, expires), asset, now),
        )

    def settlement(self, data: st.DataObject) -> Command:
        hold = data.draw(st.sampled_from(self.holds[-2:]) | st.sampled_from(self.holds))
        to = data.draw(st.sampled_from(self.accounts))
        amount = data.draw(st.none() | st.integers(1, 40) | AMOUNTS)
        rest = data.draw(st.booleans())
        return Command(
            f"settle {amount}",
            lambda ledger, own: ledger.settle_hold(
                key=own, hold_id=hold, credit_account=to, amount=amount, release_rest=rest
            ),
            lambda now: self.model.settle(hold, to, amount, now, release_rest=rest),
        )

    def release(self, data: st.DataObject) -> Command:
        hold = data.draw(st.sampled_from(self.holds[-2:]) | st.sampled_from(self.holds))
        return Command(
            "release",
            lambda ledger, own: ledger.release_hold(key=own, hold_id=hold),
            lambda _: self.model.release(hold),
        )

    _kinds = (transfer, transfer, transfer, group, each, reversal, reversal, hold, settlement, settlement, release)


def post(wanted: Sequence[model.Wanted], *, atomic: bool) -> Callable[[Ledger, Key], Awaitable[Answer]]:
    transfers = [
        new(
            one.debit,
            one.credit,
            one.amount,
            asset=one.asset,
            kind=cast("TransferKind", one.kind),
            reference=one.reference,
            effective_at=one.effective_at,
        )
        for one in wanted
    ]
    return lambda ledger, own: ledger.post(key=own, transfers=transfers, atomic=atomic)
