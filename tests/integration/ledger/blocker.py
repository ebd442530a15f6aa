"""Somebody else's open transaction, which keeps a batch from going on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg

from tests.integration.ledger.support import eventually


class Blocker:
    """The transaction, and what it does."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def lock_row(self, account: UUID) -> None:
        await self.connection.execute("SELECT FROM ledger.accounts WHERE id = $1 FOR UPDATE", account)

    async def claim_key(self, digest: UUID) -> None:
        await self.connection.execute(
            "INSERT INTO ledger.idempotency (fingerprint, digest, subject) VALUES (0, $1, $1)", digest
        )

    async def waiting(self, count: int) -> None:
        """Until so many others wait for a lock."""

        async def all_wait() -> bool:
            # Whoever waits has exactly one lock that is not granted. Other databases of the server are others' affair.
            # Nor does what is known of sessions help: within a transaction that stays as it was at the first look.
            found = await self.connection.fetchval(
                "WITH ours AS (SELECT oid FROM pg_database WHERE datname = current_database()) "
                "SELECT count(*) FROM pg_locks AS waiting WHERE NOT granted AND EXISTS "
                "(SELECT FROM pg_locks AS any_ WHERE any_.pid = waiting.pid AND any_.database = (SELECT oid FROM ours))"
            )
            return bool(found == count)

        await eventually(all_wait)


@asynccontextmanager
async def blocker(dsn: str) -> AsyncIterator[Blocker]:
    """Its transaction is rolled back in the end."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("BEGIN")
        yield Blocker(connection)
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
    finally:
        await connection.close()
