"""What happened to money of the house on chains, which is nobody's in particular.

| type | when |
|---|---|
| `treasury.moved.v1` | a transaction of the house's own is final, and the ledger has it |
| `refill.requested.v1` | too little lies ready: operators are asked to bring some |
| `refill.closed.v1` | it has come, or is not needed any more |
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from billfold.custody.events.deposits import SOURCE
from billfold.kernel.events import Event
from billfold.kernel.money import Money

RefillEventType = Literal["refill.requested.v1", "refill.closed.v1"]


class TreasuryMoved(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction between addresses of the house, or to its operator's warm one."""

    movement_id: UUID
    #: `sweep` from a deposit's address, `gas` to one, `warm` to the warm address, `merge` of many coins to one,
    #: `child` of a coin of a transaction that it pays for, too.
    kind: str
    chain: str
    #: None: all that went in, less the fee.
    money: Money | None
    source: str
    address: str
    network_fee: Money
    chain_tx: str


class RefillChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A refill as it is after what the event's type names."""

    refill_id: UUID
    chain: str
    money: Money
    address: str
    received: Money
    #: Of one that is closed: `received` or `not_needed`.
    outcome: str | None


PAYLOADS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "treasury.moved.v1": TreasuryMoved,
    "refill.requested.v1": RefillChanged,
    "refill.closed.v1": RefillChanged,
}


def moved_event(*, event_id: str, moved: TreasuryMoved, time: datetime) -> Event:
    """A transaction of the house's own is final."""
    subject = str(moved.movement_id)
    return Event(
        id=event_id, type="treasury.moved.v1", source=SOURCE, subject=subject, time=time, key=subject, data=moved
    )


def refill_event(*, event_id: str, kind: RefillEventType, changed: RefillChanged, time: datetime) -> Event:
    """What has become of a refill."""
    subject = str(changed.refill_id)
    return Event(id=event_id, type=kind, source=SOURCE, subject=subject, time=time, key=subject, data=changed)
