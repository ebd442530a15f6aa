"""How much a person sends out of the house within 24 hours before it takes more than their credentials.

It adds up, in however many requests and with whichever credentials: many small ones are no way around a limit. What was
refused afterwards, for want of money perhaps, counts as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from billfold.kernel import idempotency, money
from billfold.kernel.clock import Clock
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.wallets.store import allowance as store
from billfold.wallets.store.allowance import Without

_TOGETHER = timedelta(hours=24)


class Allowance:
    """What people may send out `without` a factor of theirs, or another person."""

    def __init__(
        self, *, without: Without, above: Mapping[str, str], database: Database, ledger: Ledger, clock: Clock
    ) -> None:
        self._without = without
        #: What a person sends out in a day, by asset. Of other assets it may be any.
        self._above = above
        self._database = database
        self._ledger = ledger
        self._clock = clock

    async def exceeds(self, leaving: Mapping[str, int]) -> bool:
        """Whether this is too much by itself."""
        limits = await self._limits(leaving)
        return any(leaving[asset] > limit for asset, limit in limits.items())

    async def covers(
        self,
        user_id: UUID,
        leaving: Mapping[str, int],
        *,
        key: idempotency.Key,
        posted_under: Sequence[idempotency.Key],
    ) -> bool:
        """Whether this may leave together with the last day's; then it is added to them, once for each `key`.

        The ledger knows it by the keys `posted_under`, which is the request's own `key` unless it is many in one. What
        it has answered before moves nothing any more.
        """
        limits = await self._limits(leaving)
        if not limits or await self._is_added(user_id, leaving, limits, key):
            return True
        return {one.digest for one in posted_under} <= await self._ledger.answered(keys=posted_under)

    async def _is_added(
        self, user_id: UUID, leaving: Mapping[str, int], limits: Mapping[str, int], key: idempotency.Key
    ) -> bool:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.lock(connection, user_id)
            if await store.is_reckoned(connection, user_id, self._without, key):
                return True
            before = await store.sums(connection, user_id, self._without, since=now - _TOGETHER)
            if any(before.get(asset, 0) + leaving[asset] > limit for asset, limit in limits.items()):
                return False
            counted = {asset: leaving[asset] for asset in limits}
            await store.add(connection, user_id, self._without, key, leaving=counted, now=now)
            return True

    async def _limits(self, leaving: Mapping[str, int]) -> Mapping[str, int]:
        """The limits of those assets that have one."""
        return {
            asset: money.threshold(self._above[asset], (await self._ledger.asset(code=asset)).scale)
            for asset in leaving
            if asset in self._above
        }
