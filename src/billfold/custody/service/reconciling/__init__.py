"""Three-way reconciliation: what chains hold at our addresses, what the ledger owes, and what is on its way.

A difference counts when two looks, one after the other, find the same: what was only seen at a bad moment is gone then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from billfold.custody import errors
from billfold.custody.contracts.reconciling import Explaining, Outcome, Reconciled, Report
from billfold.custody.service import metrics
from billfold.custody.service.house import House
from billfold.custody.service.reconciling import standing as standing_
from billfold.custody.service.reconciling.books import Keeper, Unsettled
from billfold.custody.service.reconciling.observing import Observation, Observer
from billfold.custody.service.reconciling.standing import Deciding
from billfold.custody.service.served import Served, Serving
from billfold.custody.store import cursors, holdings
from billfold.custody.store import standings as store
from billfold.custody.store.standings import Standing
from billfold.kernel import ids, money, paging
from billfold.kernel.assets import Asset
from billfold.kernel.clock import Clock
from billfold.ledger import Ledger
from billfold.platform.messaging import leading
from billfold.platform.postgres.database import Database

#: Two looks in a row that find the same are wanted, of so many; a moment lies between them.
LOOKS_MAX = 5
LOOK_PAUSE_S = 0.3
#: Another process that reconciles the same chain is waited for so long.
TURN_WITHIN_S = 15.0
#: A run that takes longer has a node that is too slow; what it was answered is kept.
RUN_WITHIN_S = 40.0
#: What holds something and has not moved is asked for again after this by whoever looks at each block: if somebody else
#: has a key of it, it is seen within the hour.
ASKED_AGAIN_AFTER = timedelta(hours=1)
#: Reports of one asset that are kept: a day of a chain that is looked at each half minute, and more.
REPORTS_KEPT = 5_000

log = structlog.get_logger(__name__)


class Reconciling:
    """Of all chains that are served."""

    def __init__(self, *, serving: Serving, database: Database, ledger: Ledger, house: House, clock: Clock) -> None:
        self._serving = serving
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._deciding = Deciding(database=database, ledger=ledger, clock=clock)
        self._keepers = {
            one.name: Keeper(served=one, database=database, ledger=ledger, house=house) for one in serving.all
        }
        self._observers = {
            one.name: Observer(served=one, database=database, keeper=self._keepers[one.name], clock=clock)
            for one in serving.all
        }

    async def run(self, *, chain: str, since: datetime | None = None) -> Reconciled:
        """Reconcile the assets of a chain. A bounded number of addresses is asked for; `since` goes on where one ended.

        Raises:
            ChainUnknown
            ReconciliationBusy: another process does it, and does not end.
            DatabaseUnavailable, LedgerUnavailable.
        """
        served = self._serving.get(chain)
        since = since or self._clock.now()
        items = await self._in_turn(served, since)
        async with self._database.connection() as connection:
            remaining = await holdings.not_asked_since(connection, chain, since)
        return Reconciled(items=items, since=since, remaining=remaining)

    async def run_after(self, *, chain: str, last: tuple[int, str] | None) -> tuple[int, str] | None:
        """The same where the chain has been read further than to the block of the `last` time; which it is now.

        Raises: as `run`.
        """
        served = self._serving.get(chain)
        async with self._database.connection() as connection:
            cursor = await cursors.get(connection, chain)
        if cursor is None or (cursor.height, cursor.hash) == last:
            return last
        await self._in_turn(served, self._clock.now() - ASKED_AGAIN_AFTER, periodic=True)
        return cursor.height, cursor.hash

    async def page(
        self, *, chain: str | None = None, asset: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> paging.Page[Report]:
        """What was found, the newest first.

        Raises:
            InvalidCursor, InvalidLimit
        """
        size = paging.check_limit(limit)
        before = None if cursor is None else paging.decode(cursor, UUID)
        async with self._database.connection() as connection:
            found = await store.page(connection, chain=chain, asset=asset, before=before, limit=size + 1)
        return paging.cut(found, size, place=lambda one: one.id)

    async def resume(self, *, asset: str, difference: str, reason: str) -> Report:
        """Let withdrawals of an asset go on although the chain and the ledger differ, until they differ otherwise.

        Raises:
            WithdrawalsNotStopped, InvalidAmount, AmountTooPrecise, AmountTooLarge
            DifferenceChanged: `difference` is not what a report says now.
        """
        await self._deciding.resume(asset=asset, difference=difference, reason=reason)
        (found,) = (await self.page(asset=asset, limit=1)).items
        return found

    async def measure(self, *, chain: str) -> None:
        """Tell the metrics how assets stand, and what waits to leave.

        Raises:
            DatabaseUnavailable
        """
        async with self._database.connection() as connection:
            standings = await store.all_(connection, chain=chain)
            depths = {one.state: one for one in await store.depth(connection, chain)}
        for one in standings:
            standing_.measure(one)
        standing_.measure_queue(chain, depths, now=self._clock.now())

    async def _in_turn(self, served: Served, since: datetime, *, periodic: bool = False) -> list[Report]:
        """One process at a time: two would ask the nodes for the same."""
        found: list[Report] = []
        lock = leading.lock_of(f"custody.reconciling.{served.name}")
        try:
            async with asyncio.timeout(TURN_WITHIN_S) as until:

                async def work() -> None:
                    until.reschedule(asyncio.get_running_loop().time() + RUN_WITHIN_S)
                    found.extend(await self._reconciled(served, since, periodic=periodic))

                await leading.while_leading(self._database, lock, work)
        except TimeoutError:
            raise errors.ReconciliationBusy from None
        return found

    async def _reconciled(self, served: Served, since: datetime, *, periodic: bool) -> list[Report]:
        assets = await self._keepers[served.name].assets()
        try:
            observation, agreed = await self._looked_twice(served, since)
        except Unsettled as reason:
            log.info("a chain can't be reconciled now", chain=served.name, why=reason.code)
            metrics.UNSETTLED.labels(served.name, reason.code).inc()
            # Each block would tell the same again while a node is away; who asks is told.
            return [] if periodic else await self._unsettled(served, assets, reason.code)
        standings = {}
        async with self._database.transaction() as connection:
            for asset in assets:
                if asset.code in agreed:
                    bound = self._bound(served, asset)
                    standings[asset.code] = await self._deciding.decide(
                        connection, asset, observation.differences[asset.code], bound=bound
                    )
            reports = [self._report(asset, observation, standings.get(asset.code)) for asset in assets]
            await store.add_reports(connection, reports)
            for asset in assets:
                await store.prune_reports(connection, asset.code, keep=REPORTS_KEPT)
        return reports

    async def _looked_twice(self, served: Served, since: datetime) -> tuple[Observation, set[str]]:
        """The last look, and the assets of which it says the same as the one before; no difference needs no second."""
        async with self._database.connection() as connection:
            known = {one.asset: one.difference for one in await store.all_(connection, chain=served.name)}
        observer = self._observers[served.name]
        observation = await observer.look(since=since)
        agreed = _agreed(observation, known)
        for _ in range(LOOKS_MAX - 1):
            if agreed == observation.differences.keys():
                break
            known = dict(observation.differences)
            await asyncio.sleep(LOOK_PAUSE_S)
            observation = await observer.look(since=since)
            agreed = _agreed(observation, known)
        return observation, agreed

    async def _unsettled(self, served: Served, assets: Sequence[Asset], reason: str) -> list[Report]:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            stopped = await store.stopped(connection, [one.code for one in assets])
            reports = [
                Report(
                    id=ids.new(),
                    chain=served.name,
                    asset=one.code,
                    outcome="unsettled",
                    reason=reason,
                    height=None,
                    block=None,
                    chain_holds="0",
                    places={},
                    ledger_owes="0",
                    explained=[],
                    difference="0",
                    stopped=one.code in stopped,
                    asked=0,
                    made_at=now,
                )
                for one in assets
            ]
            await store.add_reports(connection, reports)
        return reports

    def _report(self, asset: Asset, observation: Observation, standing: Standing | None) -> Report:
        def text(units: int) -> str:
            return money.format(units, asset.scale)

        units = observation.differences[asset.code]
        outcome: Outcome = "unsettled" if standing is None else standing.outcome
        return Report(
            id=ids.new(),
            chain=asset.chain or "",
            asset=asset.code,
            outcome=outcome,
            reason="no_two_looks_agree" if standing is None else "",
            height=observation.height,
            block=observation.block,
            chain_holds=text(observation.held[asset.code]),
            places={place: text(units) for place, units in observation.places[asset.code].items()},
            ledger_owes=text(observation.owed[asset.code]),
            explained=[
                Explaining(
                    name=one.name,
                    amount=text(one.units),
                    on_its_way=text(one.on_its_way),
                    count=one.count,
                    ids=one.ids,
                )
                for one in observation.terms.of(asset.code)
            ],
            difference=text(units),
            stopped=standing is not None and standing.stopped_at is not None,
            asked=observation.asked,
            made_at=self._clock.now(),
        )

    def _bound(self, served: Served, asset: Asset) -> int:
        return money.threshold(served.reconciling.bound.get(asset.code, "0"), asset.scale)


def _agreed(observation: Observation, known: Mapping[str, int]) -> set[str]:
    """The assets whose difference is none, or the one that is known already."""
    return {asset for asset, units in observation.differences.items() if units == 0 or units == known.get(asset)}
