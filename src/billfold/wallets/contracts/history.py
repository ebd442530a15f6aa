"""What is and was in wallets."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold.kernel import paging
from billfold.kernel.money import Money
from billfold.wallets.contracts.fields import Basis, Direction, Instant, TransferKind

#: Where a list of transactions, or a request, was read: where it is recorded, or in the copy.
HistorySource = Literal["postgresql", "cql"]


class Balance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One asset of a wallet. What is held, and how far the rest may go below zero, is known of the present only.

    available = posted − held; it may go down to −credit_limit.
    """

    asset: str
    posted: Annotated[str, Meta(description="The sum of all that has come in and gone out.")]
    held: Annotated[str | None, Meta(description="How much of it is set aside.")] = None
    available: Annotated[str | None, Meta(description="posted − held.")] = None
    credit_limit: Annotated[str | None, Meta(description="How far available may go below zero.")] = None
    version: Annotated[
        int | None, Meta(description="How many transactions of this asset it includes: the last one's version.")
    ] = None


class BalancePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a chart."""

    at: Instant
    posted: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Balances of a wallet in one asset over time."""

    wallet: str
    asset: str
    basis: Basis
    points: list[BalancePoint]


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer as the holder of one of its wallets sees it. `balance` is the wallet's right after it."""

    id: UUID
    wallet: str
    kind: TransferKind
    direction: Annotated[Direction, Meta(description="Into the wallet or out of it.")]
    money: Money
    balance: Annotated[str, Meta(description="The posted balance of the wallet right after it.")]
    counterparty: Annotated[str, Meta(description="The wallet on the other side, or outside.")]
    status: Literal["completed"]
    reference: str
    description: str
    metadata: Mapping[str, str]
    effective_at: Instant
    recorded_at: Instant


class TransactionPage(paging.Page[Transaction], frozen=True):
    """Some transactions, and where they were read. Wherever it was, nothing that was posted before is missing."""

    source: HistorySource = "postgresql"


class HistoryRebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """How much was copied when the copy was made anew."""

    accounts: int
    entries: int
    requests: int = 0


class TransactionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which transactions are wanted; every given field narrows."""

    wallet: str | None = None
    asset: str | None = None
    kind: TransferKind | None = None
    direction: Direction | None = None
    reference: str | None = None
    #: Recorded at this instant or later.
    since: datetime | None = None
    #: Recorded before this instant.
    until: datetime | None = None
    amount_min: str | None = None
    amount_max: str | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Count and sums of the transactions in one asset."""

    asset: str
    count: int
    received: Annotated[str, Meta(description="The sum of what came in.")]
    sent: Annotated[str, Meta(description="The sum of what went out.")]
    net: Annotated[str, Meta(description="received − sent.")]


class StatementHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement begins with."""

    wallet: str
    asset: str
    since: Instant | None
    until: Instant
    opening_balance: str
