"""Money that moves or is set aside."""

from collections.abc import Mapping
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold.identity.contracts import ALIAS_MAX
from billfold.kernel import clock
from billfold.kernel.money import Money
from billfold.wallets.contracts.fields import (
    OUTSIDE,
    Description,
    EffectiveAt,
    HoldStatus,
    Instant,
    ItemKey,
    Metadata,
    OrderKind,
    PayeeName,
    Reference,
    TransferKind,
    WalletId,
    WalletOrAlias,
)


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
    source: WalletOrAlias | None = None
    target: WalletOrAlias | None = None
    payee: PayeeName | None = None
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
    """Money that was moved: immutable. A side's balance and version are only there for its owner."""

    id: UUID
    kind: TransferKind
    source: Annotated[str, Meta(description="The wallet that the money left, or outside.")]
    target: Annotated[str, Meta(description="The wallet that it went to, or outside.")]
    money: Money
    reference: str
    description: str
    metadata: Mapping[str, str]
    effective_at: Annotated[Instant, Meta(description="When it counts as having happened.")]
    recorded_at: Annotated[Instant, Meta(description="When it was written.")]
    from_version: Annotated[
        int | None,
        Meta(description="The version of the balance right after it, if the wallet is yours. See `min_version`."),
    ] = None
    to_version: Annotated[
        int | None,
        Meta(description="The version of the balance right after it, if the wallet is yours. See `min_version`."),
    ] = None
    from_balance: Annotated[
        str | None, Meta(description="The posted balance right after it, if the wallet is yours.")
    ] = None
    to_balance: Annotated[
        str | None, Meta(description="The posted balance right after it, if the wallet is yours.")
    ] = None


class Moved(msgspec.Struct, frozen=True, gc=False):
    """A transfer, and whether it answers a repeated request."""

    transfer: Transfer
    replayed: bool = False


class NewHold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amount to set aside in a wallet."""

    wallet: WalletId
    money: Money
    expires_at: Annotated[
        clock.Text | None,
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
            description='The wallet that gets the money, an alias, or "outside".',
            examples=["019aa2c6-7a00-7000-8000-00000000a002", "@ada", OUTSIDE],
            max_length=ALIAS_MAX,
        ),
    ]
    payee: PayeeName | None = None
    #: All that is left when absent.
    money: Money | None = None
    #: Give back what is left after this; otherwise it stays held.
    release_rest: bool = False


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold as it was after the request that answered it."""

    id: UUID
    wallet: str
    money: Money
    settled: Annotated[str, Meta(description="How much of it has left.")]
    remaining: Annotated[str, Meta(description="How much is still held.")]
    status: HoldStatus
    reference: str
    description: str
    expires_at: Annotated[Instant | None, Meta(description="When what is left of it goes back.")]
    created_at: Instant
    ended_at: Annotated[Instant | None, Meta(description="When it was settled, released or expired.")]


class HoldChange(msgspec.Struct, frozen=True, kw_only=True):
    """A hold, the transfer that settled it if there was one, and whether this answers a repeated request."""

    hold: Hold
    transfer: Transfer | None = None
    replayed: bool = False


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
