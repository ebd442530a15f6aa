"""What the fields of wallets' contracts may hold: their limits, words and descriptions; and the scopes of the API."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from billfold.identity.contracts import ALIAS_MAX
from billfold.kernel import clock, forms
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
LIMITS_WRITE = "limits:write"
ASSETS_READ = "assets:read"
ASSETS_WRITE = "assets:write"
ORDER_SCOPES: Mapping[OrderKind, str] = {
    "transfer": "transfers:write",
    "deposit": "deposits:write",
    "withdrawal": "withdrawals:write",
}
DEAD_LETTERS = "dead_letters:write"
OPERATOR = "operator"
EVERYBODY = "everybody:read"

#: Stands where a wallet's id would, when money comes from or goes to the world outside.
OUTSIDE = "outside"
NAME_MAX = 100
EXTERNAL_ID_MAX = 100
BULK_MAX = ledger.GROUP_MAX
#: Most wallets hold a handful of assets; a list of limits longer than this is a mistake.
CREDIT_LIMITS_MAX = 50
#: A list over all wallets of an owner asks the ledger about each account; whoever has more names the wallet. The list
#: of everybody's, which operators get, needs no accounts.
ACCOUNTS_LISTED_MAX = 1_000

_METADATA_KEY = Annotated[str, Meta(min_length=1, max_length=ledger.METADATA_KEY_MAX, pattern=forms.NO_NUL)]
_METADATA_VALUE = Annotated[str, Meta(max_length=ledger.METADATA_VALUE_MAX, pattern=forms.NO_NUL)]

#: A masked name of a hundred letters, each a word of its own, is the longest.
_PAYEE_MAX = 300

Instant = Annotated[datetime, Meta(description="RFC 3339, UTC.", tz=True)]
WalletId = Annotated[
    str,
    Meta(description="A wallet's id.", examples=["019aa2c6-7a00-7000-8000-00000000a001"], max_length=64),
]
WalletOrAlias = Annotated[
    str,
    Meta(
        description="A wallet's id, or an alias such as @ada, ada@example.com, +66812345678 or customer:4711.",
        examples=["019aa2c6-7a00-7000-8000-00000000a002", "@ada"],
        max_length=ALIAS_MAX,
    ),
]
PayeeName = Annotated[
    str,
    Meta(
        description="For money that goes to an alias: the name of the payee as `GET /aliases/{alias}` has shown it to "
        "whoever pays. If it is another by now, nothing moves.",
        examples=["Ada Lovelace"],
        max_length=_PAYEE_MAX,
    ),
]
Name = Annotated[
    str,
    Meta(
        description="What the wallet is called.",
        examples=["Ada's savings"],
        min_length=1,
        max_length=NAME_MAX,
        pattern=forms.NO_NUL,
    ),
]
ExternalId = Annotated[
    str,
    Meta(
        description="Your own id for the wallet, unique among yours: creating it again answers the same wallet.",
        examples=["customer-4711"],
        min_length=1,
        max_length=EXTERNAL_ID_MAX,
        pattern=forms.NO_NUL,
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
        pattern=forms.NO_NUL,
    ),
]
Description = Annotated[
    str,
    Meta(
        description="A sentence for people.",
        examples=["Two coffees"],
        max_length=ledger.DESCRIPTION_MAX,
        pattern=forms.NO_NUL,
    ),
]
EffectiveAt = Annotated[
    clock.Text | None,
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
