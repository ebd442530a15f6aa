"""How often a message has ended the process that took it.

Brokers count deliveries, and a message is delivered again whatever the cause: a restart, a lost connection or lead, an
outage of what the handler needs. So one that comes often is only a suspect. Each try of it is noted durably before it
begins, and taken off when it ends in whatever way: what is left are the tries that ended with their process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from uuid import UUID

from billfold.kernel.errors import Unavailable
from billfold.platform.postgres.database import Database

#: From this delivery on a message is taken alone: perhaps it is what ends processes, and its neighbours shall not end
#: with it.
SUSPECT_FROM = 3
#: A message that has ended so many processes by itself is set aside untried.
ENDED_MAX = 17
#: The pause before the end of a try is noted again while the database is away, and the longest one.
RETRY_PAUSE_S = 0.05
RETRY_PAUSE_MAX_S = 5.0


class Tries:
    """The tries of one consumer's suspects."""

    def __init__(self, database: Database, consumer: str) -> None:
        self._database = database
        self._consumer = consumer

    @asynccontextmanager
    async def one(self, body: bytes) -> AsyncIterator[bool]:
        """A try of the message with this body, until the block ends; whether it may be tried at all.

        Raises:
            DatabaseUnavailable: it can't be noted, so it must not begin.
        """
        digest = _digest(body)
        ended = await self._begin(digest)
        try:
            try:
                yield ended < ENDED_MAX
            except Exception:
                await self._end_for_sure(digest, ended)
                raise
            await self._end_for_sure(digest, ended)
        except asyncio.CancelledError:
            # Whoever stops us does not wait for a database that is away.
            with suppress(Unavailable):
                await self._end(digest, ended)
            raise

    async def forget(self, body: bytes) -> None:
        """It is applied or set aside, so nothing more is counted of it.

        Raises:
            DatabaseUnavailable: nothing is forgotten.
        """
        async with self._database.connection() as connection:
            await connection.execute(
                "DELETE FROM messaging.tries WHERE consumer = $1 AND digest = $2", self._consumer, _digest(body)
            )

    async def _begin(self, digest: UUID) -> int:
        """Count a try; how many before it have not come to an end."""
        async with self._database.connection() as connection:
            unended: int = await connection.fetchval(
                "INSERT INTO messaging.tries AS known (consumer, digest, unended) VALUES ($1, $2, 1) "
                "ON CONFLICT (consumer, digest) DO UPDATE SET unended = known.unended + 1 RETURNING unended",
                self._consumer,
                digest,
            )
        return unended - 1

    async def _end(self, digest: UUID, ended: int) -> None:
        """Count again as before the try. Twice is once: whether the first time was carried out need not be known."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE messaging.tries SET unended = $3 WHERE consumer = $1 AND digest = $2",
                self._consumer,
                digest,
                ended,
            )

    async def _end_for_sure(self, digest: UUID, ended: int) -> None:
        pause_s = RETRY_PAUSE_S
        while True:
            with suppress(Unavailable):
                await self._end(digest, ended)
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_PAUSE_MAX_S)


def _digest(body: bytes) -> UUID:
    return UUID(bytes=blake2b(body, digest_size=16).digest())
