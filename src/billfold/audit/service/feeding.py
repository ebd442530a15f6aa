"""Records for sinks, such as a search index: which come next for each, from a place that is kept in our database.

How they get from here to a sink is `billfold.audit.workers.sinks`' job.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from billfold.audit import errors
from billfold.audit.contracts import AuditRecord
from billfold.audit.service.reading import record
from billfold.audit.store import sinks as store
from billfold.audit.store.sinks import Place
from billfold.platform.messaging.leading import lock_of, while_leading
from billfold.platform.postgres.database import Database

#: What is in memory at a time, on the way to a sink.
BLOCK, BLOCK_MAX_BYTES = 500, 8 * 1024 * 1024


class Target(Protocol):
    """A sink that is connected, or would be if it answered."""

    async def write(self, told: Sequence[AuditRecord]) -> None:
        """Have it keep these, durably. What it has already stays as it is, by its `key`.

        Raises:
            SinkUnavailable: it may have some of them; give it the same again.
            SinkRefused: at least one of them is not for it, and it may have the others.
        """
        ...

    async def examine(self) -> str:
        """What it is, with its version.

        Raises:
            SinkUnavailable: it does not answer, or not to us.
        """
        ...


class Sink(Protocol):
    """Somewhere that records are fed to."""

    @property
    def name(self) -> str:
        """What it is known by, for as long as it is the same; small letters."""
        ...

    def opened(self) -> AbstractAsyncContextManager[Target]:
        """It, until the block ends; it need not answer for that."""
        ...


class Block(msgspec.Struct, frozen=True):
    """What comes next for a sink, perhaps nothing, and where that begins."""

    at: Place
    told: Sequence[AuditRecord]


class Feeding:
    """Knows what each sink was fed."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def alone(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` while nobody else feeds this sink.

        Raises:
            DatabaseUnavailable: somebody else may do so now.
        """
        await while_leading(self._database, lock_of(f"audit sink {name}"), work)

    async def following(self, name: str, *, room: int) -> Block:
        """What comes next for a sink that has room for so many.

        Raises:
            DatabaseUnavailable.
        """
        async with self._database.connection() as connection:
            at = await store.place(connection, name)
            limit = min(at.total - at.fed, room, BLOCK)
            if limit <= 0:
                return Block(at, [])
            found = await store.following(connection, at.fed, limit=limit, max_bytes=BLOCK_MAX_BYTES)
        return Block(at, [record(content) for content in found])

    async def fed(self, name: str, block: Block) -> None:
        """Note that what comes after the block comes next, unless somebody has moved the place meanwhile.

        Raises:
            DatabaseUnavailable: the same comes again.
        """
        async with self._database.connection() as connection:
            await store.move(connection, name, block.at, by=len(block.told))

    async def again(self, name: str) -> int:
        """Have a sink fed from the first record on, and say how many there are. What it has already stays.

        Raises:
            SinkUnknown: it was never fed.
            DatabaseUnavailable.
        """
        async with self._database.connection() as connection:
            total = await store.restart(connection, name)
        if total is None:
            raise errors.SinkUnknown(f"No sink of the name {name!r} was ever fed.")
        return total
