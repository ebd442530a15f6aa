"""One process at a time, by an advisory lock of PostgreSQL: whoever's session holds it leads, until that session ends.

The end of a session, however it comes, frees the lead at once; and PostgreSQL ends a session that says nothing for a
while. So a process that hangs can't keep it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any

from billfold.platform.postgres.database import Connection, Database

#: PostgreSQL ends the session of a leader that has been silent for so long.
SILENCE_MAX_S = 30
#: How often a leader that has nothing else to say to PostgreSQL speaks, and how long it waits for an answer.
SPEAK_PAUSE_S = 1.0
ANSWER_MAX_S = 5.0
#: How often one who stands by tries to take the lead.
STANDBY_PAUSE_S = 0.5
#: Whoever is told to stop has so long to give back what is in hand before they are told again.
CANCEL_AGAIN_S = 2.0


@asynccontextmanager
async def leading(database: Database, lock: int) -> AsyncIterator[Connection]:
    """The session that leads under this number, once no other does. Beside the pool: standing by may take for ever.

    Raises:
        DatabaseUnavailable: the session is lost, and with it the lead.
    """
    async with database.alone() as connection:
        await connection.execute(f"SET idle_session_timeout = '{SILENCE_MAX_S}s'")
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock):  # noqa: ASYNC110 - see its name.
            await asyncio.sleep(STANDBY_PAUSE_S)
        yield connection


async def while_leading(database: Database, lock: int, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` while we lead; it is cancelled when the lead is lost.

    Raises:
        DatabaseUnavailable: the lead is lost.
    """
    async with leading(database, lock) as session:
        tasks = [asyncio.create_task(_to_the_end(work)), asyncio.create_task(_kept(session))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await stopped(tasks, again_after_s=CANCEL_AGAIN_S)
        for task in done:
            task.result()


async def stopped(tasks: Collection[asyncio.Task[Any]], *, again_after_s: float) -> None:
    """Cancel tasks until all have ended. Once is not enough: nats-py takes a cancellation for the end of a flush."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=again_after_s)


async def _to_the_end(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def _kept(session: Connection) -> None:
    """Speak, and see that we are heard, until we are not."""
    while True:
        async with asyncio.timeout(ANSWER_MAX_S):
            await session.execute("SELECT")
        await asyncio.sleep(SPEAK_PAUSE_S)


def lock_of(name: str) -> int:
    """The number under which those of this name lead."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), signed=True)
