"""The facts that the ledger publishes. Fields are only ever added within a version.

| type | when | subject |
|---|---|---|
| `transfer.posted.v1` | a transfer has been posted | the transfer's id |
| `hold.placed.v1` | money has been set aside | the hold's id |
| `hold.settled.v1` | held money has left, all or a part | the hold's id |
| `hold.released.v1`, `hold.expired.v1` | what was held has gone back, by request or by time | the hold's id |
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

import msgspec

from billfold.kernel import events
from billfold.kernel.money import Money

SOURCE = "/billfold/ledger"

HoldStep = Literal["placed", "settled", "released", "expired"]
POSTED = "transfer.posted.v1"
TYPES = (POSTED, *(f"hold.{step}.v1" for step in get_args(HoldStep)))


class TransferPosted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Money moved from the debit to the credit account. Versions and balances are those right after it."""

    id: UUID
    kind: str
    money: Money
    debit_account: UUID
    credit_account: UUID
    debit_version: int
    credit_version: int
    debit_balance: str
    credit_balance: str
    reference: str
    description: str
    metadata: Mapping[str, str]
    effective_at: datetime
    recorded_at: datetime


class HoldChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A hold as it is after what the event's type names."""

    id: str
    account: str
    status: str
    money: Money
    settled: str
    remaining: str
    reference: str
    expires_at: datetime | None


class TransferRecorded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the audit keeps of a posted transfer: what whoever asked for it may know, whichever side is theirs.

    Versions and balances are the ledger's, which has them by the transfer's id: those of one side are not the other's.
    """

    id: UUID
    kind: str
    money: Money
    debit_account: UUID
    credit_account: UUID
    reference: str
    description: str
    metadata: Mapping[str, str]
    effective_at: datetime
    recorded_at: datetime


#: What the audit keeps in the place of the data of events.
FACTS: Mapping[str, type[msgspec.Struct]] = {POSTED: TransferRecorded}
#: What is in the data of each, for those who read them: docs/reference/schemas is made of it.
PAYLOADS: Mapping[str, type[msgspec.Struct]] = {
    kind: TransferPosted if kind == POSTED else HoldChanged for kind in TYPES
}

_encode = msgspec.json.Encoder().encode


def transfer_posted(posted: TransferPosted, *, traceparent: str | None = None) -> events.Event:
    """The event of a posted transfer. Its id is the transfer's, so telling it twice is seen as once."""
    return events.Event(
        id=(transfer_id := str(posted.id)),
        type=POSTED,
        source=SOURCE,
        subject=transfer_id,
        time=posted.recorded_at,
        key=str(posted.debit_account),
        data=posted,
        traceparent=traceparent,
    )


def transfer_recorded(posted: TransferPosted) -> msgspec.Raw:
    """What the audit keeps of it, as it is written."""
    recorded = TransferRecorded(
        id=posted.id,
        kind=posted.kind,
        money=posted.money,
        debit_account=posted.debit_account,
        credit_account=posted.credit_account,
        reference=posted.reference,
        description=posted.description,
        metadata=posted.metadata,
        effective_at=posted.effective_at,
        recorded_at=posted.recorded_at,
    )
    return msgspec.Raw(_encode(recorded))


def hold_changed(
    step: HoldStep, changed: HoldChanged, *, event_id: str, time: datetime, traceparent: str | None
) -> events.Event:
    """The event of a placed or changed hold."""
    return events.Event(
        id=event_id,
        type=f"hold.{step}.v1",
        source=SOURCE,
        subject=changed.id,
        time=time,
        key=changed.account,
        data=changed,
        traceparent=traceparent,
    )
