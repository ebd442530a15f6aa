"""What callers give the ledger and get from it. Amounts are whole smallest units of the account's asset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from billfold.ledger import errors

AccountKind = Literal["user", "external", "fees", "suspense", "omnibus", "liquidity"]
AccountStatus = Literal["open", "frozen", "closed"]
TransferKind = Literal["transfer", "deposit", "withdrawal", "fee", "reversal", "settlement", "adjustment"]
HoldStatus = Literal["active", "settled", "released", "expired"]

#: Text that people write about a transfer; longer texts belong in a document store.
REFERENCE_MAX = 140
DESCRIPTION_MAX = 500
METADATA_ENTRIES_MAX = 20
METADATA_KEY_MAX = 40
METADATA_VALUE_MAX = 500
#: One request's transfers are posted in one database transaction; more would hold its row locks for too long.
GROUP_MAX = 1_000


class NewAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account to open. Its balance is credits − debits and starts at zero."""

    id: UUID
    asset: str
    kind: AccountKind = "user"
    #: The lowest allowed available balance: 0, −credit limit for an overdraft, None for no limit.
    floor: int | None = 0


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account as it is now. `version` counts its entries.

    Of two pictures of an account the one with the higher `changes` is the later one, and with the same they have the
    same balance, hold and floor: each database transaction that changes any of these counts one more.
    """

    id: UUID
    asset: str
    kind: AccountKind
    floor: int | None
    status: AccountStatus
    posted: int
    held: int
    version: int
    changes: int
    created_at: datetime

    @property
    def available(self) -> int:
        """What may leave the account before its floor is considered: posted − held."""
        return self.posted - self.held


class NewTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """Money to move from the debit account to the credit account."""

    debit_account: UUID
    credit_account: UUID
    amount: int
    asset: str
    kind: TransferKind = "transfer"
    reference: str = ""
    description: str = ""
    metadata: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: When it counts as having happened (value date); None is the moment it is recorded. Never in the future.
    effective_at: datetime | None = None
    #: What has happened already, whether the accounts like it or not, such as a chain that takes a payment back: it is
    #: posted on frozen accounts, too, and below the floor. Closed ones stay closed. Never at a caller's wish.
    forced: bool = False


class Unopened(msgspec.Struct, frozen=True, kw_only=True):
    """An account that is not there yet, as it would be if it were opened now: empty, and with this status."""

    id: UUID
    asset: str
    status: AccountStatus


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A posted transfer: immutable. Each side's version and balance are those right after it."""

    id: UUID
    debit_account: UUID
    credit_account: UUID
    amount: int
    asset: str
    kind: TransferKind
    reference: str
    description: str
    metadata: Mapping[str, str]
    effective_at: datetime
    recorded_at: datetime
    debit_version: int
    credit_version: int
    debit_balance: int
    credit_balance: int


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the transfers of one request, in their order: each a Transfer, or the error that refused it."""

    results: Sequence[Transfer | errors.LedgerError]
    #: Whether this answers a repeated request.
    replayed: bool = False

    def single(self) -> Transfer:
        """The only transfer.

        Raises:
            LedgerError: the refusal, if it was refused.
        """
        (result,) = self.results
        if isinstance(result, Transfer):
            return result
        raise result


class NewHold(msgspec.Struct, frozen=True, kw_only=True):
    """An amount to set aside on an account."""

    account: UUID
    amount: int
    asset: str
    #: When what is left of it goes back by itself; None means never.
    expires_at: datetime | None = None
    reference: str = ""
    description: str = ""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold as it is now: `amount` was set aside, `settled` of it has left, `remaining` is still held."""

    id: UUID
    account: UUID
    asset: str
    amount: int
    settled: int
    status: HoldStatus
    expires_at: datetime | None
    reference: str
    description: str
    created_at: datetime
    ended_at: datetime | None

    @property
    def remaining(self) -> int:
        """What is still held."""
        return self.amount - self.settled if self.status == "active" else 0


class HoldChange(msgspec.Struct, frozen=True, kw_only=True):
    """A hold after a request, and the transfer that settled it if there was one."""

    hold: Hold
    transfer: Transfer | None = None
    replayed: bool = False


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a transfer as its account sees it: signed amount and the balance after it."""

    transfer_id: UUID
    account: UUID
    version: int
    amount: int
    balance: int
    counterparty: UUID
    kind: TransferKind
    reference: str
    description: str
    metadata: Mapping[str, str]
    effective_at: datetime
    recorded_at: datetime


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """An account as it is when this is told, and the entries up to there that were not told before, oldest first."""

    account: Account
    entries: Sequence[Entry]


class EntryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are wanted; every given field narrows."""

    recorded_from: datetime | None = None
    #: Exclusive.
    recorded_to: datetime | None = None
    kinds: frozenset[TransferKind] | None = None
    direction: Literal["in", "out"] | None = None
    reference: str | None = None
    asset: str | None = None
    amount_min: int | None = None
    amount_max: int | None = None


class BalancePoint(msgspec.Struct, frozen=True, kw_only=True):
    """The posted balance of an account at an instant."""

    at: datetime
    posted: int


class EntrySummary(msgspec.Struct, frozen=True, kw_only=True):
    """Count and sums of the entries that a filter selects."""

    count: int
    credited: int
    debited: int


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One breach of an invariant that verification found."""

    #: Such as I2.
    invariant: str
    subject: UUID | str
    detail: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification read and found."""

    accounts: int
    transfers: int
    holds: int
    faults: Sequence[Fault]
