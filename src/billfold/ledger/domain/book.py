"""The working set of one batch: the locked accounts and holds as they stand, and all that the batch will write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from billfold.kernel import clock
from billfold.ledger import contracts, errors
from billfold.ledger.contracts import AccountStatus, Unopened

Relation = Literal["group", "reversal", "settlement"]
HoldStep = Literal["placed", "settled", "released", "expired"]


class AccountState(msgspec.Struct, gc=False):
    """A locked account. `version_before` and `held_before` are what the row has; the rest moves with the batch."""

    id: UUID
    asset: str
    floor: int | None
    status: AccountStatus
    posted: int
    held: int
    version: int
    recorded_us: int
    version_before: int
    held_before: int


class Link(msgspec.Struct, frozen=True, gc=False):
    """What a transfer has to do with another thing: its group, what it reverses, the hold it settles."""

    transfer_id: UUID
    relation: Relation
    target: UUID


class Book:
    """Accounts, holds and originals that a batch works on, and the transfers, links and holds it makes.

    `ids` yields fresh, increasing transfer ids. `now_us` was read from the database's clock after every account was
    locked; the batch's entries are recorded from there on, one microsecond apart, and always after each account's last.
    """

    def __init__(self, *, accounts: dict[UUID, AccountState], now_us: int, ids: Iterator[UUID]) -> None:
        self.accounts = accounts
        self.now_us = now_us
        self.ids = ids
        self.holds: dict[UUID, contracts.Hold] = {}
        self.originals: dict[UUID, contracts.Transfer] = {}
        #: Sum of the reversals of each original so far.
        self.reversed: dict[UUID, int] = {}
        self.reversals: set[UUID] = set()
        self.transfers: list[contracts.Transfer] = []
        #: recorded_at of each transfer, in microseconds since 1970.
        self.recorded_us: list[int] = []
        self.links: list[Link] = []
        #: Every step of every hold, in order; the last state of each is what is written.
        self.hold_steps: list[tuple[HoldStep, contracts.Hold]] = []
        self._next_us = max([now_us, *(account.recorded_us + 1 for account in accounts.values())])

    @property
    def now(self) -> datetime:
        """The batch's instant."""
        return clock.EPOCH + timedelta(microseconds=self.now_us)

    def account(self, account_id: UUID) -> AccountState:
        """The locked account.

        Raises:
            AccountUnknown: there is none.
        """
        state = self.accounts.get(account_id)
        if state is None:
            raise errors.AccountUnknown
        return state

    def write(self, new: contracts.NewTransfer, debit: AccountState, credit: AccountState) -> contracts.Transfer:
        """Post `new`, which has been checked: move the money and number both entries."""
        recorded_us = self._next_us
        self._next_us = recorded_us + 1
        recorded_at = clock.EPOCH + timedelta(microseconds=recorded_us)
        debit.posted -= new.amount
        debit.version += 1
        debit.recorded_us = recorded_us
        credit.posted += new.amount
        credit.version += 1
        credit.recorded_us = recorded_us
        transfer = contracts.Transfer(
            id=next(self.ids),
            debit_account=new.debit_account,
            credit_account=new.credit_account,
            amount=new.amount,
            asset=debit.asset,
            kind=new.kind,
            reference=new.reference,
            description=new.description,
            metadata=new.metadata,
            effective_at=new.effective_at or recorded_at,
            recorded_at=recorded_at,
            debit_version=debit.version,
            credit_version=credit.version,
            debit_balance=debit.posted,
            credit_balance=credit.posted,
        )
        self.transfers.append(transfer)
        self.recorded_us.append(recorded_us)
        return transfer

    def keep_hold(self, step: HoldStep, hold: contracts.Hold) -> None:
        """Take down a hold as it is after `step`."""
        self.holds[hold.id] = hold
        self.hold_steps.append((step, hold))

    def rehearsal(self, *, accounts: Iterable[UUID], holds: Iterable[UUID], unopened: Iterable[Unopened]) -> Book:
        """A book to try a request out on: of the same moment, and with accounts that nobody has opened.

        It has copies of `accounts`, and of those of `holds`. What is written into it is written nowhere else.
        """
        known = {hold: self.holds[hold] for hold in holds if hold in self.holds}
        copied = {*accounts, *(hold.account for hold in known.values())}
        states = {account: replace(self.accounts[account]) for account in copied if account in self.accounts}
        for one in unopened:
            states[one.id] = AccountState(one.id, one.asset, 0, one.status, 0, 0, 0, 0, 0, 0)
        book = Book(accounts=states, now_us=self.now_us, ids=self.ids)
        book.holds = known
        return book

    def touched(self) -> list[AccountState]:
        """The accounts that the batch changed."""
        return [
            account
            for account in self.accounts.values()
            if account.version != account.version_before or account.held != account.held_before
        ]


class Savepoint:
    """Where an all-or-nothing group began, to go back to when one of its transfers is refused."""

    def __init__(self, book: Book, accounts: set[UUID]) -> None:
        self._book = book
        self._transfers = len(book.transfers)
        self._accounts = {
            account_id: (state.posted, state.held, state.version, state.recorded_us)
            for account_id in accounts
            if (state := book.accounts.get(account_id)) is not None
        }

    def restore(self) -> None:
        """Undo every transfer since; their ids and microseconds stay unused, which nothing minds."""
        del self._book.transfers[self._transfers :]
        del self._book.recorded_us[self._transfers :]
        for account_id, (posted, held, version, recorded_us) in self._accounts.items():
            state = self._book.accounts[account_id]
            state.posted, state.held, state.version, state.recorded_us = posted, held, version, recorded_us
