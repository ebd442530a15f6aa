"""Waits until requests have ended, which happens in other processes.

One look at the database serves all who wait in this process, and nobody looks while nobody waits. A notice of
PostgreSQL's (NOTIFY) would be a few milliseconds sooner, and makes all who commit one wait for each other.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from uuid import UUID

from billfold.kernel.errors import Unavailable
from billfold.platform.postgres.database import Database
from billfold.wallets.store import requests as store

#: What somebody who waits doesn't notice, and a database neither.
LOOK_PAUSE_S = 0.02
#: While the database is away.
AWAY_PAUSE_S = 0.5
#: Each is an open request of HTTP and a few hundred bytes. Who comes then is answered at once.
WAITING_MAX = 2_000
#: So many of one owner, so that nobody keeps the others from waiting.
WAITING_PER_OWNER_MAX = 200


class Watch:
    """Those in this process who wait."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: defaultdict[UUID, set[asyncio.Future[None]]] = defaultdict(set)
        self._owners: Counter[UUID] = Counter()
        self._looking: asyncio.Task[None] | None = None

    async def until_ended(self, request_id: UUID, seconds: float, *, owner: UUID) -> None:
        """Return when the request has ended, after so many seconds, or at once when too many wait."""
        if self._owners[owner] >= WAITING_PER_OWNER_MAX or self._owners.total() >= WAITING_MAX:
            return
        ended = asyncio.get_running_loop().create_future()
        self._waiting[request_id].add(ended)
        self._owners[owner] += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="watch requests")
        try:
            await asyncio.wait([ended], timeout=seconds)
        finally:
            # Without those who have nobody left.
            self._owners -= Counter([owner])
            self._waiting[request_id].discard(ended)
            if not self._waiting[request_id]:
                del self._waiting[request_id]

    async def _look(self) -> None:
        while self._waiting:
            try:
                async with self._database.connection() as connection:
                    found = await store.ended_of(connection, list(self._waiting))
            except Unavailable:
                # Whoever waits reads once more at the end, and is told.
                await asyncio.sleep(AWAY_PAUSE_S)
                continue
            for request_id in found:
                for ended in self._waiting.get(request_id, ()):
                    if not ended.done():
                        ended.set_result(None)
            await asyncio.sleep(LOOK_PAUSE_S)
