"""Money that somebody asks somebody else for."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold.identity.contracts import AliasText
from billfold.kernel import clock
from billfold.kernel.money import Money
from billfold.wallets.contracts.fields import Description, Instant, Reference, WalletId, WalletOrAlias

#: Nobody is asked for more at a time by one owner; who has more to ask sends an invoice.
OPEN_PER_PAYER_MAX = 10
#: Of one owner, to everybody together.
OPEN_MAX = 1_000
#: Without a time of its own.
DAYS_OPEN = 30
#: What is asked for is known to both sides for as long as this at most.
DAYS_OPEN_MAX = 366

#: An expired one was not paid in its time.
PaymentRequestStatus = Literal["open", "paid", "declined", "cancelled", "expired"]
RequestDirection = Literal["incoming", "outgoing"]


class NewPaymentRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"payer": "from", "target": "to"}
):
    """Money to ask somebody for."""

    payer: AliasText
    target: WalletOrAlias
    money: Money
    reference: Reference = ""
    description: Description = ""
    expires_at: Annotated[
        clock.Text | None,
        Meta(
            description="Until when it can be paid: an RFC 3339 instant within a year. Without it: 30 days.",
            examples=["2027-01-31T12:00:00Z"],
        ),
    ] = None


class Payment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from"}):
    """How to pay what one is asked for."""

    source: WalletOrAlias


class PaymentRequest(msgspec.Struct, frozen=True, kw_only=True, rename={"payer": "from", "target": "to"}):
    """Money that is asked for, as one of the two sides sees it."""

    id: UUID
    direction: Annotated[RequestDirection, Meta(description="Whether you are asked, or ask.")]
    payer: Annotated[str, Meta(description="The alias that is asked.")]
    payee: Annotated[str, Meta(description="The name of whoever asks.")]
    target: Annotated[WalletId | None, Meta(description="Where the money is to arrive; whoever asks sees it.")]
    money: Money
    reference: str
    description: str
    status: PaymentRequestStatus
    created_at: Instant
    expires_at: Instant
    ended_at: Annotated[Instant | None, Meta(description="When it was paid, declined or cancelled.")]
    transfer_id: UUID | None
