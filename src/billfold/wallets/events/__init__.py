"""What happened to wallets. Fields of a payload are only ever added within a version.

Each event is ordered by its wallet, and written in the database transaction of the change it tells of.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from billfold.kernel import clock
from billfold.kernel.events import Event
from billfold.kernel.money import Money
from billfold.wallets.contracts import Delivery, MoneyRequest, Wallet
from billfold.wallets.events.payloads import FACTS as FACTS
from billfold.wallets.events.payloads import PAYLOADS as PAYLOADS
from billfold.wallets.events.payloads import PaymentRequestRecorded as PaymentRequestRecorded

SOURCE: Final = "/billfold/wallets"
CREATED: Final = "wallet.created.v1"
UPDATED: Final = "wallet.updated.v1"
FROZEN: Final = "wallet.frozen.v1"
UNFROZEN: Final = "wallet.unfrozen.v1"
CLOSED: Final = "wallet.closed.v1"
#: Goes to the dead-letter stream, not among the others.
REFUSED: Final = "confirmed-transaction.refused.v1"
TYPES = tuple(kind for kind in PAYLOADS if kind != REFUSED)
#: A larger content is left out of the event; it is in the dead letter itself.
CONTENT_MAX_BYTES = 256 * 1024

PaymentRequestEventType = Literal[
    "payment_request.created.v1",
    "payment_request.paid.v1",
    "payment_request.declined.v1",
    "payment_request.cancelled.v1",
]
RequestEventType = Literal["request.accepted.v1", "transfer.completed.v1", "transfer.failed.v1"]
#: What the worker takes requests by.
REQUEST_ACCEPTED: Final = "request.accepted.v1"
#: That one has ended; one that was cancelled or has expired is told of as failed, with its status.
REQUEST_ENDED: Final = ("transfer.completed.v1", "transfer.failed.v1")
WalletEventType = Literal[
    "wallet.created.v1", "wallet.updated.v1", "wallet.frozen.v1", "wallet.unfrozen.v1", "wallet.closed.v1"
]


def wallet_event(
    *, event_id: str, kind: WalletEventType, wallet: Wallet, time: datetime, credit_limits: list[Money] | None = None
) -> Event:
    """The wallet as it is after the change; `credit_limits` are those that an update has set."""
    data: dict[str, Any] = {
        "wallet_id": wallet.id,
        "owner_id": wallet.owner_id,
        "name": wallet.name,
        "external_id": wallet.external_id,
        "status": wallet.status,
        "metadata": dict(wallet.metadata),
        "created_at": clock.format(wallet.created_at),
    }
    if credit_limits:
        data["credit_limits"] = msgspec.to_builtins(credit_limits)
    return Event(id=event_id, type=kind, source=SOURCE, subject=wallet.id, time=time, key=wallet.id, data=data)


def refused(
    *, event_id: str, dead_letter_id: str, reason: str, detail: str, message: Delivery, time: datetime
) -> Event:
    """A message from the queue of confirmed transactions could not be applied. `content` is base64."""
    data: dict[str, Any] = {
        "dead_letter_id": dead_letter_id,
        "reason": reason,
        "detail": detail,
        "subject": message.subject,
        "sequence": message.sequence,
        "deliveries": message.deliveries,
        "headers": message.headers,
        "size": len(message.body),
        "content": b64encode(message.body).decode() if len(message.body) <= CONTENT_MAX_BYTES else None,
    }
    return Event(
        id=event_id, type=REFUSED, source=SOURCE, subject=dead_letter_id, time=time, key=dead_letter_id, data=data
    )


def payment_request_event(
    *,
    event_id: str,
    kind: PaymentRequestEventType,
    request_id: UUID,
    owner_id: UUID,
    payer_id: UUID,
    money: Money,
    transfer_id: UUID | None,
    time: datetime,
) -> Event:
    """What became of money that was asked for."""
    data = {
        "payment_request_id": str(request_id),
        "owner_id": str(owner_id),
        "payer_id": str(payer_id),
        "money": {"amount": money.amount, "asset": money.asset},
        "transfer_id": str(transfer_id) if transfer_id else None,
    }
    subject = str(request_id)
    return Event(id=event_id, type=kind, source=SOURCE, subject=subject, time=time, key=subject, data=data)


def request_event(
    *, event_id: str, kind: RequestEventType, request: MoneyRequest, owner_id: UUID, time: datetime
) -> Event:
    """A request that was accepted, or what became of it: `transfer.failed` says why there is no transfer."""
    subject = str(request.id)
    data: dict[str, Any] = {
        "request_id": subject,
        "owner_id": str(owner_id),
        "kind": request.kind,
        "status": request.status,
        "from": request.source,
        "to": request.target,
        "money": msgspec.to_builtins(request.money),
        "reference": request.reference,
        "accepted_at": clock.format(request.accepted_at),
        "expires_at": clock.format(request.expires_at),
        "ended_at": clock.format(request.ended_at) if request.ended_at is not None else None,
        "transfer_id": str(request.transfer_id) if request.transfer_id is not None else None,
        "reason": request.error.code if request.error is not None else None,
        "detail": request.error.detail if request.error is not None else None,
    }
    return Event(id=event_id, type=kind, source=SOURCE, subject=subject, time=time, key=subject, data=data)
