"""What was in the ledgers, to be asked for: by number, by hash, by account, page by page."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import stellar_sdk
from stellar_sdk.operation import Operation

from billfold.devnet.stellar import validity
from billfold.devnet.stellar.envelopes import Envelope
from billfold.devnet.stellar.operations import Outcome
from billfold.devnet.stellar.results import Verdict

#: What Horizon's `payments` are.
_PAYMENTS = (
    stellar_sdk.CreateAccount,
    stellar_sdk.Payment,
    stellar_sdk.PathPaymentStrictReceive,
    stellar_sdk.PathPaymentStrictSend,
    stellar_sdk.AccountMerge,
)


@dataclass(frozen=True)
class Ledger:
    """A ledger that was closed."""

    sequence: int
    hash: str
    parent: str
    at: int
    #: Stroops for an operation.
    fee: int
    fee_pool: int
    transactions: tuple[Included, ...]

    @property
    def token(self) -> int:
        return self.sequence << 32


@dataclass(frozen=True)
class Included:
    """A transaction in a ledger."""

    envelope: Envelope
    sequence: int
    #: Its place in the ledger, from 1.
    place: int
    at: int
    verdict: Verdict
    charged: int

    @property
    def token(self) -> int:
        """The number by which Horizon orders (SEP-35): ledger, place in it, operation."""
        return self.sequence << 32 | self.place << 12

    def operations(self) -> list[Done]:
        """Its operations."""
        outcomes: Sequence[Outcome | None] = self.verdict.outcomes or [None] * len(self.envelope.operations)
        return [
            Done(self, number, operation, outcome)
            for number, (operation, outcome) in enumerate(zip(self.envelope.operations, outcomes, strict=True), start=1)
        ]

    def accounts(self) -> set[str]:
        """Whom it concerns."""
        found = {self.envelope.source, self.envelope.fee_account}
        return found.union(*(done.accounts() for done in self.operations()))


@dataclass(frozen=True)
class Done:
    """An operation of a transaction in a ledger."""

    within: Included
    #: From 1.
    number: int
    operation: Operation
    outcome: Outcome | None

    @property
    def token(self) -> int:
        return self.within.token | self.number

    @property
    def source(self) -> str:
        return validity.source_of(self.within.envelope, self.operation)

    def pays(self) -> bool:
        """Whether it is among Horizon's payments."""
        return isinstance(self.operation, _PAYMENTS)

    def accounts(self) -> set[str]:
        """Whom it concerns."""
        found = {self.source}
        destination = getattr(self.operation, "destination", None)
        if isinstance(destination, stellar_sdk.MuxedAccount):
            found.add(destination.account_id)
        elif isinstance(destination, str):
            found.add(destination)
        trustor = getattr(self.operation, "trustor", None)
        return found | ({trustor} if trustor else set())


class _Numbered(Protocol):
    @property
    def token(self) -> int: ...


T = TypeVar("T", bound=_Numbered)


class Shelf(Generic[T]):
    """Things in the order of their numbers."""

    def __init__(self) -> None:
        self._things: list[T] = []
        self._tokens: list[int] = []

    def add(self, thing: T) -> None:
        self._things.append(thing)
        self._tokens.append(thing.token)

    def page(self, *, cursor: int | None, limit: int, descending: bool) -> list[T]:
        """So many after a cursor, in either direction."""
        if descending:
            end = len(self._tokens) if cursor is None else bisect_left(self._tokens, cursor)
            return self._things[max(end - limit, 0) : end][::-1]
        start = 0 if cursor is None else bisect_right(self._tokens, cursor)
        return self._things[start : start + limit]


@dataclass
class Shelves:
    """What concerns one account, one ledger, or everybody."""

    transactions: Shelf[Included] = field(default_factory=Shelf)
    operations: Shelf[Done] = field(default_factory=Shelf)
    payments: Shelf[Done] = field(default_factory=Shelf)

    def add(self, included: Included, *, account: str | None = None) -> None:
        """A transaction with its operations, or those of them that concern an account."""
        self.transactions.add(included)
        for done in included.operations():
            if account is None or account in done.accounts():
                self.operations.add(done)
                if done.pays():
                    self.payments.add(done)


class History:
    """All ledgers that were closed."""

    def __init__(self) -> None:
        self.ledgers: Shelf[Ledger] = Shelf()
        self.everything = Shelves()
        self._by_sequence: list[Ledger] = []
        self._by_hash: dict[str, Included] = {}
        self._of_accounts: defaultdict[str, Shelves] = defaultdict(Shelves)

    def add(self, ledger: Ledger) -> None:
        """The next ledger."""
        self.ledgers.add(ledger)
        self._by_sequence.append(ledger)
        for included in ledger.transactions:
            self.everything.add(included)
            for account in included.accounts():
                self._of_accounts[account].add(included, account=account)
            for known in (included.envelope.hash, included.envelope.inner_hash):
                if known is not None:
                    self._by_hash[known.hex()] = included

    @property
    def last(self) -> Ledger:
        return self._by_sequence[-1]

    def __len__(self) -> int:
        return len(self._by_sequence)

    def ledger(self, sequence: int) -> Ledger | None:
        """The ledger of a number; the first is 1."""
        return self._by_sequence[sequence - 1] if 1 <= sequence <= len(self._by_sequence) else None

    def recent(self, count: int) -> list[Ledger]:
        """The last ledgers."""
        return self._by_sequence[-count:]

    def transaction(self, known: str) -> Included | None:
        """By its hash, or by that of the transaction within a fee bump."""
        return self._by_hash.get(known)

    def of_account(self, account: str) -> Shelves:
        """What concerns an account."""
        return self._of_accounts.get(account) or Shelves()

    def of_ledger(self, ledger: Ledger) -> Shelves:
        """What is in a ledger."""
        found = Shelves()
        for included in ledger.transactions:
            found.add(included)
        return found
