"""What callers give the wallets context and get from it.

Amounts are decimal text with their asset, as people read them. These shapes are also the JSON of the REST API: an order
is decoded straight into `Order` and a posted transfer is written straight from `Transfer`, because on the money path a
second set of shapes would cost more than the rules do.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from billfold.kernel.money import Money
from billfold.ledger import contracts as ledger

WalletStatus = Literal["open", "frozen", "closed"]
OrderKind = Literal["transfer", "deposit", "withdrawal"]
TransferKind = ledger.TransferKind
HoldStatus = ledger.HoldStatus
Direction = Literal["in", "out"]
#: By which time a balance is asked for: when an entry was written, or when it counts as having happened.
Basis = Literal["recorded", "effective"]

#: What a caller's credentials must carry. Whoever has OPERATOR besides acts on everybody's wallets.
READ = "wallets:read"
WRITE = "wallets:write"
TRANSFERS_READ = "transfers:read"
HOLDS_READ = "holds:read"
HOLDS_WRITE = "holds:write"
ASSETS_READ = "assets:read"
ASSETS_WRITE = "assets:write"
ORDER_SCOPES: Mapping[OrderKind, str] = {
    "transfer": "transfers:write",
    "deposit": "deposits:write",
    "withdrawal": "withdrawals:write",
}
OPERATOR = "operator"

#: Stands where a wallet's id would, when money comes from or goes to the world outside.
OUTSIDE = "outside"
NAME_MAX = 100
EXTERNAL_ID_MAX = 100
BULK_MAX = ledger.GROUP_MAX
#: Most wallets hold a handful of assets; a list of limits longer than this is a mistake.
CREDIT_LIMITS_MAX = 50
#: A list over all wallets of an owner asks the ledger about each account; whoever has more names the wallet.
ACCOUNTS_LISTED_MAX = 1_000

#: PostgreSQL can't store the character NUL.
_NO_NUL = r"^[^\u0000]*$"
_METADATA_KEY = Annotated[str, Meta(min_length=1, max_length=ledger.METADATA_KEY_MAX, pattern=_NO_NUL)]
_METADATA_VALUE = Annotated[str, Meta(max_length=ledger.METADATA_VALUE_MAX, pattern=_NO_NUL)]

WalletId = Annotated[
    str,
    Meta(description="A wallet's id.", examples=["019aa2c6-7a00-7000-8000-00000000a001"], max_length=64),
]
Name = Annotated[
    str,
    Meta(
        description="What the wallet is called.",
        examples=["Ada's savings"],
        min_length=1,
        max_length=NAME_MAX,
        pattern=_NO_NUL,
    ),
]
ExternalId = Annotated[
    str,
    Meta(
        description="Your own id for the wallet, unique among yours: creating it again answers the same wallet.",
        examples=["customer-4711"],
        min_length=1,
        max_length=EXTERNAL_ID_MAX,
        pattern=_NO_NUL,
    ),
]
Metadata = Annotated[
    dict[_METADATA_KEY, _METADATA_VALUE],
    Meta(
        description="Texts of your own. Both sides of a transfer see its metadata.",
        examples=[{"order": "4711"}],
        max_length=ledger.METADATA_ENTRIES_MAX,
    ),
]
Reference = Annotated[
    str,
    Meta(
        description="A short text that you can search for, such as an invoice number.",
        examples=["invoice 4711"],
        max_length=ledger.REFERENCE_MAX,
        pattern=_NO_NUL,
    ),
]
Description = Annotated[
    str,
    Meta(
        description="A sentence for people.",
        examples=["Two coffees"],
        max_length=ledger.DESCRIPTION_MAX,
        pattern=_NO_NUL,
    ),
]
EffectiveAt = Annotated[
    str | None,
    Meta(
        description="When it counts as having happened (value date): an RFC 3339 instant, or a date, which means its "
        "first instant in UTC. Not in the future. Without it: the moment it is recorded.",
        examples=["2026-01-31T12:00:00Z"],
    ),
]
ItemKey = Annotated[
    str | None,
    Meta(
        description="Makes this item a request of its own, which is repeated safely by this key. "
        "Either all items have one or none.",
        examples=["row-17"],
    ),
]


class NewWallet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A wallet to create."""

    name: Name
    external_id: ExternalId | None = None
    metadata: Metadata = msgspec.field(default_factory=dict)


class WalletChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a wallet; what is left out stays."""

    name: Name | UnsetType = UNSET
    #: Replaces all metadata.
    metadata: Metadata | UnsetType = UNSET
    #: For operators: how far each asset's available balance may go below zero. Assets left out keep theirs.
    credit_limits: Annotated[list[Money], Meta(max_length=CREDIT_LIMITS_MAX)] | UnsetType = UNSET


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet as it is now."""

    id: str
    owner_id: str
    name: str
    external_id: str | None
    status: WalletStatus
    metadata: Mapping[str, str]
    created_at: datetime
    #: Codes of the assets that it has held, sorted.
    assets: list[str]


class Order(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    gc=False,
    rename={"source": "from", "target": "to"},
):
    """Money to move: a transfer has `from` and `to`, a deposit only `to`, a withdrawal only `from`."""

    kind: OrderKind = "transfer"
    source: WalletId | None = None
    target: WalletId | None = None
    money: Money
    reference: Reference = ""
    description: Description = ""
    metadata: Metadata = msgspec.field(default_factory=dict)
    effective_at: EffectiveAt = None
    idempotency_key: ItemKey = None


class Transfer(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    rename={"source": "from", "target": "to"},
):
    """Money that was moved: immutable. A side's balance is that right after it, and only there for its owner."""

    id: str
    kind: TransferKind
    #: A wallet's id, or "outside".
    source: str
    target: str
    money: Money
    reference: str
    description: str
    metadata: Mapping[str, str]
    effective_at: datetime
    recorded_at: datetime
    from_balance: str | None = None
    to_balance: str | None = None


class Moved(msgspec.Struct, frozen=True, gc=False):
    """A transfer, and whether it answers a repeated request."""

    transfer: Transfer
    replayed: bool = False


class NewHold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amount to set aside in a wallet."""

    wallet: WalletId
    money: Money
    expires_at: Annotated[
        str | None,
        Meta(
            description="When what is left of it goes back by itself: an RFC 3339 instant in the future. "
            "Without it: never.",
            examples=["2027-01-31T12:00:00Z"],
        ),
    ] = None
    reference: Reference = ""
    description: Description = ""


class Settlement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"target": "to"}):
    """How to settle a hold: where its money goes, and how much of it."""

    target: Annotated[
        str,
        Meta(
            description='The wallet that gets the money, or "outside".',
            examples=["019aa2c6-7a00-7000-8000-00000000a002", OUTSIDE],
            max_length=64,
        ),
    ]
    #: All that is left when absent.
    money: Money | None = None
    #: Give back what is left after this; otherwise it stays held.
    release_rest: bool = False


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold as it was after the request that answered it."""

    id: str
    wallet: str
    money: Money
    #: How much of it has left, and how much is still held.
    settled: str
    remaining: str
    status: HoldStatus
    reference: str
    description: str
    expires_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


class HoldChange(msgspec.Struct, frozen=True, kw_only=True):
    """A hold, the transfer that settled it if there was one, and whether this answers a repeated request."""

    hold: Hold
    transfer: Transfer | None = None
    replayed: bool = False


class Balance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One asset of a wallet. What is held, and how far the rest may go below zero, is known of the present only.

    available = posted − held; it may go down to −credit_limit.
    """

    asset: str
    posted: str
    held: str | None = None
    available: str | None = None
    credit_limit: str | None = None


class BalancePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a chart."""

    at: datetime
    posted: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Balances of a wallet in one asset over time."""

    wallet: str
    asset: str
    basis: Basis
    points: list[BalancePoint]


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer as the holder of one of its wallets sees it. `balance` is the wallet's right after it."""

    id: str
    wallet: str
    kind: TransferKind
    direction: Direction
    money: Money
    balance: str
    #: The wallet on the other side, or "outside".
    counterparty: str
    status: Literal["completed"]
    reference: str
    description: str
    metadata: Mapping[str, str]
    effective_at: datetime
    recorded_at: datetime


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
    received: str
    sent: str
    net: str


class StatementHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement begins with."""

    wallet: str
    asset: str
    since: datetime | None
    until: datetime
    opening_balance: str


class ConfirmedTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that another system has confirmed: it happened, and is now to be seen in the wallet."""

    #: Who says so; `id` never repeats within it.
    source: str
    id: str
    wallet: str
    #: credit puts money into the wallet, debit takes it out.
    direction: Literal["credit", "debit"]
    amount: str
    asset: str
    reference: str = ""
    description: str = ""
    effective_at: str | None = None
    #: Counts an operator's retries. A refusal answers every repeat of its attempt, so the next one needs a number of
    #: its own; it is made only after the one before was refused, so at most one attempt ever moves money.
    attempt: int = 0
