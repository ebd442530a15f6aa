"""When keys and sessions were used last, written down now and then, and not by the requests that use them.

That a key is used is told by an event, too: once on each day (UTC) on which it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from billfold.identity import events
from billfold.identity.service.verified import Verifier
from billfold.identity.store import keys, sessions
from billfold.kernel import ids
from billfold.kernel.clock import Clock
from billfold.kernel.errors import Unavailable
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Database

#: The latest use is written down at most this often.
TOUCHED_EVERY = timedelta(minutes=1)
#: A use is noticed within this time.
_ROUND_S = 5.0

log = structlog.get_logger(__name__)


class Uses:
    """What the verifier of this process has let in."""

    def __init__(self, *, database: Database, verifier: Verifier, clock: Clock) -> None:
        self._database = database
        self._verifier = verifier
        self._clock = clock
        self._touched: dict[UUID, datetime] = {}

    async def record(self) -> None:
        """Write down uses; runs until it is cancelled, and then once more."""
        try:
            while True:
                await asyncio.sleep(_ROUND_S)
                await self.touch()
        finally:
            await self.touch()

    async def touch(self) -> None:
        """Write down what was used since, but for what was written down lately."""
        now = self._clock.now()
        self._touched = {one: at for one, at in self._touched.items() if now - at < TOUCHED_EVERY}
        used = dict.fromkeys(self._verifier.used - self._touched.keys(), now)
        if not used:
            return
        try:
            # An id is a key's or a session's; where it is none, nothing is written.
            await self._touch_keys(used, now=now)
            async with self._database.connection() as connection:
                await sessions.touch(connection, used, apart=TOUCHED_EVERY)
        except Unavailable:
            log.warning("the latest uses of keys and sessions could not be written down; they will be later")
        else:
            self._verifier.used.difference_update(used)
            self._touched |= used

    async def _touch_keys(self, used: Mapping[UUID, datetime], *, now: datetime) -> None:
        today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        async with self._database.transaction() as connection:
            await keys.lock_owners_of_unused(connection, used.keys(), since=today)
            for key in await keys.touch(connection, used, apart=TOUCHED_EVERY, since=today):
                event = events.api_key_event(
                    event_id=str(ids.new()), kind="api_key.used.v1", key=key, by=key.id, time=now
                )
                await outbox.append(connection, event)
