"""What is in the data of each event about wallets, for those who read them: docs/reference/schemas is made of it.

Fields are only ever added within a version.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from billfold.kernel.money import Money


class WalletChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet as it is after what the event's type names."""

    wallet_id: UUID
    owner_id: UUID
    name: str
    external_id: str | None
    status: str
    metadata: Mapping[str, str]
    created_at: datetime
    #: Those that an update has set.
    credit_limits: list[Money] | None = None


class PaymentRequestChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Money that was asked for, and the transfer that has paid it."""

    payment_request_id: UUID
    owner_id: UUID
    payer_id: UUID
    money: Money
    transfer_id: UUID | None


class PaymentRequestRecorded(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit keeps of one: neither of the two, of whom each does some of it, learns the other's id."""

    payment_request_id: UUID
    money: Money
    transfer_id: UUID | None


class RequestChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was accepted to be carried out later, as it is then or at its end."""

    request_id: UUID
    owner_id: UUID
    kind: str
    status: str
    #: Wallets; the one of a deposit or a withdrawal is one of the two.
    source: str | None = msgspec.field(name="from")
    target: str | None = msgspec.field(name="to")
    money: Money
    reference: str
    accepted_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    transfer_id: UUID | None
    reason: str | None
    detail: str | None


class ConfirmedTransactionRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter as it was made. `content` is base64."""

    dead_letter_id: UUID
    reason: str
    detail: str
    subject: str
    sequence: int
    deliveries: int
    headers: Mapping[str, str]
    size: int
    content: str | None


def _all(of: type[msgspec.Struct], *kinds: str) -> dict[str, type[msgspec.Struct]]:
    return dict.fromkeys(kinds, of)


_PAYMENT_REQUESTS = tuple(f"payment_request.{what}.v1" for what in ("created", "paid", "declined", "cancelled"))
#: What the audit keeps in the place of the data of events.
FACTS: Mapping[str, type[msgspec.Struct]] = _all(PaymentRequestRecorded, *_PAYMENT_REQUESTS)
PAYLOADS: Mapping[str, type[msgspec.Struct]] = {
    **_all(WalletChanged, *(f"wallet.{what}.v1" for what in ("created", "updated", "frozen", "unfrozen", "closed"))),
    **_all(PaymentRequestChanged, *_PAYMENT_REQUESTS),
    **_all(RequestChanged, "request.accepted.v1", "transfer.completed.v1", "transfer.failed.v1"),
    "confirmed-transaction.refused.v1": ConfirmedTransactionRefused,
}
