"""What becomes of a difference: it is kept, told when it comes and goes, and stops withdrawals above a bound."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import structlog
from msgspec.structs import replace

from billfold.custody import errors
from billfold.custody.domain import reconciling as rules
from billfold.custody.events.reconciling import AssetReconciled, ReconciliationEventType, reconciliation_event
from billfold.custody.service import metrics, telling
from billfold.custody.store import standings as store
from billfold.custody.store.standings import Depth, Standing
from billfold.kernel import ids, money
from billfold.kernel.assets import Asset
from billfold.kernel.clock import Clock
from billfold.ledger import Ledger
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database

log = structlog.get_logger(__name__)


class Deciding:
    """Of all chains."""

    def __init__(self, *, database: Database, ledger: Ledger, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock

    async def decide(self, connection: Connection, asset: Asset, difference: int, *, bound: int) -> Standing:
        """How the asset stands from now on, by a difference that was found twice."""
        assert asset.chain is not None, "it is on one"
        now = self._clock.now()
        before = await store.get(connection, asset.code)
        accepted = before.accepted if before is not None and before.difference == difference else None
        stops = rules.is_above(difference, bound=bound, accepted=accepted)
        was = None if before is None else before.stopped_at
        outcome = "clean" if difference == 0 else "break"
        changed = before is None or before.outcome != outcome
        standing = Standing(
            asset=asset.code,
            chain=asset.chain,
            outcome="clean" if difference == 0 else "break",
            difference=difference,
            since=now if before is None or changed else before.since,
            reconciled_at=now,
            stopped_at=(was or now) if stops else None,
            accepted=accepted if difference else None,
        )
        await store.put(connection, standing)
        # Of an asset that has been clean from the first look on nobody has to hear.
        news = changed and not (before is None and difference == 0)
        if news or (was is None) != (standing.stopped_at is None):
            kind: ReconciliationEventType = "custody.break_found.v1" if difference else "custody.reconciled.v1"
            await self._tell(connection, kind, standing)
        return standing

    async def resume(self, *, asset: str, difference: str, reason: str) -> Standing:
        """Let withdrawals go on although the chain and the ledger differ, as long as they differ by this.

        Raises:
            WithdrawalsNotStopped, InvalidAmount, AmountTooPrecise, AmountTooLarge
            DifferenceChanged: they differ by something else by now, which nobody has looked at.
        """
        async with self._database.transaction() as connection:
            before = await store.get(connection, asset)
            if before is None or before.stopped_at is None:
                raise errors.WithdrawalsNotStopped
            scale = (await self._ledger.asset(code=asset)).scale
            if money.parse(difference, scale, pointer="/difference") != before.difference:
                found = money.format(before.difference, scale)
                raise errors.DifferenceChanged(f"The difference is {found} now.", pointer="/difference")
            standing = replace(before, stopped_at=None, accepted=before.difference)
            await store.put(connection, standing)
            await self._tell(connection, "custody.withdrawals_resumed.v1", standing, reason=reason)
        return standing

    async def _tell(
        self, connection: Connection, kind: ReconciliationEventType, standing: Standing, *, reason: str = ""
    ) -> None:
        units = standing.difference
        scale = (await self._ledger.asset(code=standing.asset)).scale
        data = AssetReconciled(
            chain=standing.chain,
            money=await telling.in_words(self._ledger, standing.asset, abs(units)),
            on_chain="as_owed" if not units else "too_much" if units > 0 else "too_little",
            stopped=standing.stopped_at is not None,
            reason=reason,
        )
        await outbox.append(
            connection, reconciliation_event(event_id=str(ids.new()), kind=kind, data=data, time=self._clock.now())
        )
        log.warning(
            kind,
            chain=standing.chain,
            asset=standing.asset,
            difference=money.format(units, scale),
            withdrawals_stopped=data.stopped,
        )


def measure(standing: Standing) -> None:
    """Tell the metrics how an asset stands."""
    labels = (standing.chain, standing.asset)
    metrics.BREAK.labels(*labels).set(standing.difference)
    metrics.STOPPED.labels(*labels).set(standing.stopped_at is not None)
    metrics.RECONCILED.labels(*labels).set(standing.reconciled_at.timestamp())


#: Every state that something in the queue can be in: each has its number, also when that is none.
_QUEUED = (
    *("requested", "held", "allocated", "built", "signed", "broadcasting", "sent", "uncertain", "mined", "final"),
    "settling",
)


def measure_queue(chain: str, depths: Mapping[str, Depth], *, now: datetime) -> None:
    """Tell the metrics what waits to leave."""
    for state in _QUEUED:
        found = depths.get(state)
        metrics.QUEUE.labels(chain, state).set(found.count if found is not None else 0)
    oldest = min((one.oldest for one in depths.values()), default=now)
    metrics.QUEUE_AGE.labels(chain).set((now - oldest).total_seconds())
    unsure = [one.count for state, one in depths.items() if state in ("broadcasting", "uncertain")]
    metrics.UNCERTAIN.labels(chain).set(sum(unsure))
