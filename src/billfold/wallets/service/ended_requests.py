"""The copy of requests that have ended: who looks at one of theirs reads it there, events keep it, and it is made anew.

An event only says which request has ended. What is written comes from the table of requests, so whoever writes to the
broker can't write into anybody's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from prometheus_client import Counter

from billfold.platform.cql import CqlUnavailable
from billfold.platform.postgres.database import Database
from billfold.wallets import errors
from billfold.wallets.adapters.history import Behind
from billfold.wallets.adapters.history.requests import CqlRequests
from billfold.wallets.adapters.history.tables import Tables
from billfold.wallets.contracts import MoneyRequest
from billfold.wallets.service.endings import view
from billfold.wallets.store import requests as store

#: Requests that are copied at a time when the copy is made anew.
BLOCK = 400
#: How long a server may be away while the copy is made anew.
PATIENCE_S = 60.0

READS = Counter(
    "billfold_request_reads",
    "Requests that somebody looked at while there is a copy, by where they were read, and why not in the copy.",
    ["source", "reason"],
)


class EndedRequests:
    """What the copy answers, where there is one."""

    def __init__(self, copy: CqlRequests | None) -> None:
        self._copy = copy

    async def find(self, *, owner: UUID, request_id: UUID) -> MoneyRequest | None:
        """One of an owner's that has ended; None where only the table of requests can say what there is."""
        if self._copy is None:
            return None
        try:
            found = await self._copy.ended(owner=owner, request_id=request_id)
        except (Behind, CqlUnavailable) as why:
            READS.labels("postgresql", str(why) if isinstance(why, Behind) else "unavailable").inc()
            return None
        READS.labels("cql", "").inc()
        return found


class RequestCopies:
    """What keeps the copy. Each step may be repeated, and done by several processes at the same time."""

    def __init__(self, *, database: Database, tables: Tables, copy: CqlRequests) -> None:
        self._database = database
        self._tables = tables
        self._copy = copy

    async def take(self, request_ids: Sequence[UUID]) -> None:
        """Copy requests that have ended, but for those of owners who have left.

        Raises:
            CqlUnavailable, DatabaseUnavailable: do it again.
            RequestNotEnded
        """
        if not request_ids:
            return
        async with self._database.connection() as connection:
            found = await store.ended(connection, request_ids)
        if len(found) < len(set(request_ids)):
            raise errors.RequestNotEnded
        await self._copy.write([(row.owner_id, view(row)) for row, stays in found if stays])

    async def count(self) -> int:
        """How many there are to be copied."""
        async with self._database.connection() as connection:
            return await store.count_ended(connection, since=self._tables.kept_since)

    async def take_all(self, *, progress: Callable[[int], None]) -> int:
        """Copy all that have ended; how many they were, as far as it has come each time.

        Raises:
            CqlUnavailable: the server was away for too long.
        """
        copied = 0
        after: UUID | None = None
        while True:
            async with self._database.connection() as connection:
                block = await store.ended_of_those_who_stay(
                    connection, since=self._tables.kept_since, after=after, limit=BLOCK
                )
            rows = [(row.owner_id, view(row)) for row in block]
            try:
                await self._copy.write(rows)
            except CqlUnavailable:
                await self._tables.wait_until_up(PATIENCE_S)
                await self._copy.write(rows)
            copied += len(block)
            progress(copied)
            if len(block) < BLOCK:
                return copied
            after = block[-1].id

    async def erase(self, owner: UUID) -> None:
        """Erase all that is here of an owner who has left; what had ended before can't come back.

        Raises:
            CqlUnavailable: do it again.
        """
        async with self._database.connection() as connection:
            months, last = await store.months_of(connection, owner)
        if last is not None:
            await self._copy.erase(owner, months=months, until=last)
