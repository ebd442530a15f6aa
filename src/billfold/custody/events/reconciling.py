"""What became known of the difference between a chain and the ledger, ordered by the asset.

| type | when |
|---|---|
| `custody.break_found.v1` | a chain holds more or less of an asset than the ledger and all on its way can explain |
| `custody.reconciled.v1` | it is explained again |
| `custody.withdrawals_resumed.v1` | an operator lets withdrawals go on although it is not |
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from billfold.custody.events.deposits import SOURCE
from billfold.kernel.events import Event
from billfold.kernel.money import Money

ReconciliationEventType = Literal["custody.break_found.v1", "custody.reconciled.v1", "custody.withdrawals_resumed.v1"]


class AssetReconciled(msgspec.Struct, frozen=True, kw_only=True):
    """How an asset of a chain stands after what the event's type names."""

    chain: str
    #: What nobody can explain, and whether it is too much on the chain or too little.
    money: Money
    on_chain: Literal["as_owed", "too_much", "too_little"]
    #: Whether withdrawals of the asset are stopped.
    stopped: bool
    #: Of an operator who lets them go on.
    reason: str


PAYLOADS: Final[Mapping[str, type[msgspec.Struct]]] = dict.fromkeys(
    ("custody.break_found.v1", "custody.reconciled.v1", "custody.withdrawals_resumed.v1"), AssetReconciled
)


def reconciliation_event(
    *, event_id: str, kind: ReconciliationEventType, data: AssetReconciled, time: datetime
) -> Event:
    """What became known of an asset."""
    subject = data.money.asset
    return Event(id=event_id, type=kind, source=SOURCE, subject=subject, time=time, key=subject, data=data)
