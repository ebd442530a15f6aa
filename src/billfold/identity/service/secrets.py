"""Secrets that every process shares: each is drawn once for all, lies sealed in the database, and is read once."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable

from billfold.identity.store import secrets as store
from billfold.kernel.clock import Clock
from billfold.platform.keys import Envelope
from billfold.platform.postgres.database import Database

SECRET_BYTES = 32
#: Reads a secret. To be called outside of transactions: the first time it takes a connection of its own.
Secret = Callable[[], Awaitable[bytes]]


class Secrets:
    """256 random bits by name."""

    def __init__(self, *, database: Database, envelope: Envelope, clock: Clock) -> None:
        self._database = database
        self._envelope = envelope
        self._clock = clock
        self._known: dict[str, bytes] = {}
        self._reading: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def named(self, name: str) -> bytes:
        """The secret of that name, which is drawn when it is asked for the first time.

        Raises:
            KeysUnavailable, SealBroken: the one that there is can't be opened. It is never replaced by another.
        """
        async with self._reading[name]:
            if name not in self._known:
                self._known[name] = await self._read(name)
        return self._known[name]

    async def _read(self, name: str) -> bytes:
        async with self._database.connection() as connection:
            sealed = await store.find(connection, name)
        if sealed is None:
            drawn = await self._envelope.seal(secrets.token_bytes(SECRET_BYTES), context=_context(name))
            async with self._database.connection() as connection:
                await store.insert(connection, name, sealed=drawn, now=self._clock.now())
                # Of several processes that draw at once one was first, and its secret is everybody's.
                sealed = await store.find(connection, name)
        assert sealed is not None, "a secret is never deleted"
        return await self._envelope.open(sealed, context=_context(name))


def _context(name: str) -> str:
    return f"identity secret {name}"
