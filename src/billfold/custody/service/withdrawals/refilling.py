"""Operators are asked to bring money from their warm address when too little lies ready. One thing at a time."""

from __future__ import annotations

from datetime import datetime

import msgspec
import structlog

from billfold.custody.domain import treasury as rules
from billfold.custody.domain.treasury import Levels, Ready
from billfold.custody.events.treasury import RefillChanged, RefillEventType, refill_event
from billfold.custody.service import metrics
from billfold.custody.service.withdrawals.parts import Parts
from billfold.custody.store import treasury as store
from billfold.custody.store.treasury import Refill
from billfold.kernel import ids, money
from billfold.kernel.assets import Asset
from billfold.kernel.money import Money
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, after_commit

log = structlog.get_logger(__name__)


class Refilling:
    """Opens and closes refills. The caller has the asset's row of `hot_levels` locked."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def ask(
        self, connection: Connection, chain: str, asset: Asset, ready: Ready, levels: Levels, *, address: str
    ) -> None:
        """Ask for what is missing to the target, unless something is asked for already."""
        new = Refill(
            id=ids.new(),
            chain=chain,
            asset=asset.code,
            amount=rules.lacking(ready, levels),
            address=address,
            received=0,
            opened_at=self._parts.now(),
        )
        if await store.open_refill(connection, new):
            await self._tell(connection, "refill.requested.v1", new, asset)
            log.warning("too little lies ready; bring some", chain=chain, asset=asset.code, units=new.amount)

    async def look(self, connection: Connection, asset: Asset, ready: Ready, levels: Levels) -> int:
        """Count what has come for what is asked, close it if that is enough, and say how much is asked for still."""
        refill = await store.lock_refill(connection, asset.code)
        if refill is None:
            return 0
        received = await store.received(connection, refill)
        is_low = rules.side_of(ready, levels) == "low"
        is_full = ready.free + ready.coming - ready.waiting >= levels.target
        now: datetime = self._parts.now()
        if (received and not is_low) or is_full:
            outcome = "received" if received else "not_needed"
            closed = msgspec.structs.replace(refill, received=received, closed_at=now, outcome=outcome)
            await store.change_refill(connection, closed)
            await self._tell(connection, "refill.closed.v1", closed, asset)
            return 0
        if received != refill.received:
            await store.change_refill(connection, msgspec.structs.replace(refill, received=received))
        return refill.amount

    async def _tell(self, connection: Connection, kind: RefillEventType, refill: Refill, asset: Asset) -> None:
        changed = RefillChanged(
            refill_id=refill.id,
            chain=refill.chain,
            money=Money(money.format(refill.amount, asset.scale), asset.code),
            address=refill.address,
            received=Money(money.format(refill.received, asset.scale), asset.code),
            outcome=refill.outcome,
        )
        event = refill_event(event_id=str(ids.new()), kind=kind, changed=changed, time=self._parts.now())
        await outbox.append(connection, event)
        units = refill.amount if refill.closed_at is None else 0
        after_commit(connection, lambda: metrics.REFILL.labels(refill.chain, refill.asset).set(units))
