"""The ledger once more, as simple as can be: an oracle to hold the real one against.

It keeps entries in lists and adds them up at every question. It shares no code with the ledger; what it knows, it knows
from the specification. Ids and times of recording are the real ledger's, and are told to it afterwards.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

LARGEST = 10**78 - 1
EARLIEST = datetime.fromisoformat("1900-01-01T00:00:00+00:00")
#: Not recorded yet: later than everything.
LATER = datetime.max.replace(tzinfo=EARLIEST.tzinfo)


class No(Exception):
    """A refusal, by its name, and the place in a group of the one that was refused."""

    def __init__(self, name: str, place: int = 0) -> None:
        super().__init__(name)
        self.place = place


@dataclass
class Wanted:
    debit: UUID
    credit: UUID
    amount: int
    asset: str
    kind: str = "transfer"
    reference: str = ""
    effective_at: datetime | None = None


@dataclass
class Moved:
    """A posted transfer, and what each side looks like after it."""

    wanted: Wanted
    debit_version: int
    credit_version: int
    debit_balance: int
    credit_balance: int
    id: UUID | None = None
    recorded_at: datetime = LATER

    @property
    def effective_at(self) -> datetime:
        return self.wanted.effective_at or self.recorded_at

    def side(self, account: UUID) -> int:
        return self.wanted.amount if account == self.wanted.credit else -self.wanted.amount


@dataclass
class Held:
    account: UUID
    amount: int
    reference: str
    expires_at: datetime | None
    settled: int = 0
    status: str = "active"
    id: UUID | None = None

    @property
    def remaining(self) -> int:
        return self.amount - self.settled if self.status == "active" else 0


@dataclass
class Place:
    """An account: where money can be."""

    asset: str
    floor: int | None
    status: str = "open"
    moves: list[Moved] = field(default_factory=list)


@dataclass
class Model:
    places: dict[UUID, Place] = field(default_factory=dict)
    moves: list[Moved] = field(default_factory=list)
    holds: list[Held] = field(default_factory=list)
    reversals: list[tuple[Moved, Moved]] = field(default_factory=list)

    # Reading

    def posted(self, account: UUID) -> int:
        return sum(move.side(account) for move in self.places[account].moves)

    def held(self, account: UUID) -> int:
        return sum(hold.remaining for hold in self.holds if hold.account == account)

    def recorded(self, account: UUID, at: datetime) -> int:
        return sum(move.side(account) for move in self.places[account].moves if move.recorded_at <= at)

    def effective(self, account: UUID, at: datetime) -> int:
        return sum(move.side(account) for move in self.places[account].moves if move.effective_at <= at)

    def entries(self, accounts: list[UUID]) -> list[tuple[Moved, UUID]]:
        """Oldest first."""
        found = [(move, account) for account in set(accounts) for move in self.places[account].moves]
        return sorted(found, key=lambda entry: (entry[0].recorded_at, entry[1]))

    def find(self, transfer: UUID) -> Moved | None:
        return next((move for move in self.moves if move.id == transfer), None)

    def hold(self, hold: UUID) -> Held | None:
        return next((held for held in self.holds if held.id == hold), None)

    # Moving

    def post(self, wanted: Wanted, now: datetime) -> Moved:
        self._check_words(wanted)
        debit, credit = self._check_places(wanted)
        if wanted.effective_at is not None and wanted.effective_at < EARLIEST:
            raise No("EffectiveTooEarly")
        if wanted.effective_at is not None and wanted.effective_at > now:
            raise No("EffectiveInFuture")
        self._cover(wanted.debit, wanted.amount)
        after = (self.posted(wanted.debit) - wanted.amount, self.posted(wanted.credit) + wanted.amount)
        if max(map(abs, (*after, wanted.amount))) > LARGEST:
            raise No("BalanceTooLarge")
        moved = Moved(wanted, len(debit.moves) + 1, len(credit.moves) + 1, *after)
        for book in (debit.moves, credit.moves, self.moves):
            book.append(moved)
        return moved

    def _check_words(self, wanted: Wanted) -> None:
        if wanted.amount < 1:
            raise No("AmountNotPositive")
        if wanted.debit == wanted.credit:
            raise No("SameAccount")
        if "\0" in wanted.reference:
            raise No("InvalidText")

    def _check_places(self, wanted: Wanted) -> tuple[Place, Place]:
        if wanted.debit not in self.places or wanted.credit not in self.places:
            raise No("AccountUnknown")
        debit, credit = self.places[wanted.debit], self.places[wanted.credit]
        if not debit.asset == credit.asset == wanted.asset:
            raise No("AssetMismatch")
        for place in (debit, credit):
            if place.status != "open":
                raise No(f"Account{place.status.title()}")
        return debit, credit

    def _cover(self, account: UUID, amount: int) -> None:
        floor = self.places[account].floor
        if floor is not None and self.posted(account) - self.held(account) - amount < floor:
            raise No("InsufficientFunds")

    def group(self, wanted: list[Wanted], now: datetime) -> list[Moved]:
        """All, or No with the place of the one that does not fit."""
        draft = copy.deepcopy(self)
        for place, one in enumerate(wanted):
            try:
                draft.post(one, now)
            except No as no:
                raise No(str(no), place) from None
        return [self.post(one, now) for one in wanted]

    def reverse(self, transfer: UUID, amount: int | None, now: datetime) -> Moved:
        original = self.find(transfer)
        if original is None:
            raise No("TransferUnknown")
        if amount is not None and amount < 1:
            raise No("AmountNotPositive")
        if any(back is original for back, _ in self.reversals):
            raise No("TransferNotReversible")
        left = original.wanted.amount - sum(back.wanted.amount for back, of in self.reversals if of is original)
        if left == 0 or (amount or left) > left:
            raise No("ReversalExceedsTransfer")
        of = original.wanted
        back = self.post(Wanted(of.credit, of.debit, amount or left, of.asset, "reversal", of.reference), now)
        self.reversals.append((back, original))
        return back

    # Holding

    def place(self, wanted: Held, asset: str, now: datetime) -> Held:
        if wanted.amount < 1:
            raise No("AmountNotPositive")
        if "\0" in wanted.reference:
            raise No("InvalidText")
        if wanted.account not in self.places:
            raise No("AccountUnknown")
        place = self.places[wanted.account]
        if place.asset != asset:
            raise No("AssetMismatch")
        if place.status != "open":
            raise No(f"Account{place.status.title()}")
        if wanted.expires_at is not None and wanted.expires_at <= now:
            raise No("ExpiryInPast")
        self._cover(wanted.account, wanted.amount)
        if self.held(wanted.account) + wanted.amount > LARGEST:
            raise No("BalanceTooLarge")
        self.holds.append(wanted)
        return wanted

    def settle(
        self, hold: UUID, to: UUID, amount: int | None, now: datetime, *, release_rest: bool
    ) -> tuple[Held, Moved]:
        held = self.hold(hold)
        if held is None:
            raise No("HoldUnknown")
        if amount is not None and amount < 1:
            raise No("AmountNotPositive")
        self._check_active(held, now)
        wanted = amount or held.remaining
        if wanted > held.remaining:
            raise No("SettlementExceedsHold")
        held.settled += wanted
        try:
            asset = self.places[held.account].asset
            moved = self.post(Wanted(held.account, to, wanted, asset, "settlement", held.reference), now)
        except No:
            held.settled -= wanted
            raise
        if held.settled == held.amount or release_rest:
            held.status = "settled"
        return held, moved

    def release(self, hold: UUID) -> Held:
        held = self.hold(hold)
        if held is None:
            raise No("HoldUnknown")
        if held.status != "active":
            raise No("HoldEnded")
        held.status = "released"
        return held

    def _check_active(self, held: Held, now: datetime) -> None:
        if held.status != "active" or (held.expires_at is not None and held.expires_at <= now):
            raise No("HoldEnded")

    def expire(self, now: datetime) -> int:
        due = [h for h in self.holds if h.status == "active" and h.expires_at is not None and h.expires_at <= now]
        for held in due:
            held.status = "expired"
        return len(due)

    # Accounts

    def set_status(self, account: UUID, status: str) -> None:
        place = self.places[account]
        if place.status == "closed" and status != "closed":
            raise No("AccountClosed")
        if status == "closed" and (self.posted(account) or self.held(account)):
            raise No("AccountNotEmpty")
        place.status = status

    def set_floor(self, account: UUID, floor: int | None) -> None:
        if floor is not None and self.posted(account) - self.held(account) < floor:
            raise No("InsufficientFunds")
        self.places[account].floor = floor

    # What must always hold

    def check(self) -> None:
        for asset in {place.asset for place in self.places.values()}:
            of_asset = [account for account, place in self.places.items() if place.asset == asset]
            assert sum(self.posted(account) for account in of_asset) == 0
        for account, place in self.places.items():
            assert place.floor is None or self.posted(account) - self.held(account) >= place.floor

    def instants(self) -> Iterator[datetime]:
        """Every instant at which something changed, and those just beside it."""
        beside = timedelta(microseconds=1)
        for move in self.moves:
            for instant in (move.recorded_at, move.effective_at):
                yield from (instant - beside, instant, instant + beside)
