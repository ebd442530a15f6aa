"""Idempotency records: forgetting those that are old enough."""

from __future__ import annotations

from uuid import UUID

from billfold.platform.postgres.database import Connection


async def forget(connection: Connection, before: UUID, limit: int) -> int:
    """Delete up to `limit` records whose subject is older than `before`, and say how many."""
    done: str = await connection.execute(
        """
        DELETE FROM ledger.idempotency WHERE digest = ANY(ARRAY(
            SELECT digest FROM ledger.idempotency WHERE subject < $1 LIMIT $2
        ))
        """,
        before,
        limit,
    )
    return int(done.rpartition(" ")[2])
