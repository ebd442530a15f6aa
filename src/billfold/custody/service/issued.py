"""What was given out, for a drill that derives it all again from a backup; and the record that there was one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence

import msgspec

from billfold.custody.contracts import IssuedAddress, IssuedTree
from billfold.custody.events import SOURCE
from billfold.custody.store import issued as store
from billfold.kernel.clock import Clock
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Database

#: Addresses that are read at a time.
PAGE = 5_000


class Issued:
    """Every address of every chain, those that are configured no more too."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def trees(self) -> Sequence[IssuedTree]:
        """The tree of keys of each chain."""
        async with self._database.connection() as connection:
            return await store.trees(connection)

    async def count(self) -> int:
        """How many addresses there are."""
        async with self._database.connection() as connection:
            return await store.count(connection)

    async def pages(self) -> AsyncGenerator[Sequence[IssuedAddress], None]:
        """All of them, in the order of chain, purpose and place; no connection is kept meanwhile."""
        after = ("", "", -1)
        while True:
            async with self._database.connection() as connection:
                found = await store.page(connection, after=after, limit=PAGE)
            if not found:
                return
            yield found
            after = (found[-1].chain, found[-1].purpose, found[-1].place)

    async def with_coins(self, *, chain: str, addresses: Collection[str]) -> set[str]:
        """Which of these have coins, as far as the chain is read."""
        async with self._database.connection() as connection:
            return await store.with_coins(connection, chain, addresses)

    async def drilled(self, *, backup: str, outcome: str, data: msgspec.Struct) -> None:
        """Have the audit keep that a backup was tried; `backup` is its hash."""
        async with self._database.transaction() as connection:
            await outbox.append_fact(
                connection,
                "restore.drilled.v1",
                source=SOURCE,
                subject=backup,
                time=self._clock.now(),
                data=data,
                outcome=outcome,
            )
