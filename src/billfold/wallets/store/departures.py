"""Owners who leave. Their new wallets are ordered by a lock of the owner's own, because there is no row to lock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from billfold.platform.postgres.database import Connection

#: Parts these locks from others of the database.
_LOCKS = 0x77616C6C


async def may_create(connection: Connection, owner: UUID) -> bool:
    """Whether the owner gets new wallets. If so, nobody notes their leaving until the database transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock_shared($1, hashtext($2))", _LOCKS, owner.hex)
    # A statement of its own, which sees what was committed while the lock was waited for.
    gone = await connection.fetchval("SELECT 1 FROM wallets.departures WHERE owner_id = $1", owner)
    return gone is None


async def left(connection: Connection, owners: Sequence[UUID]) -> dict[UUID, list[UUID]]:
    """Those of the owners who have left, each with all of their wallets, however long ago it was closed."""
    rows = await connection.fetch(
        """
        SELECT owner_id, array(SELECT wallet.id FROM wallets.wallets AS wallet WHERE wallet.owner_id = gone.owner_id)
        FROM wallets.departures AS gone WHERE owner_id = ANY($1)
        """,
        owners,
    )
    return dict(map(tuple, rows))


async def note(connection: Connection, owner: UUID, *, now: datetime) -> None:
    """Note that the owner leaves, once all wallets that are being created for them are there."""
    await connection.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", _LOCKS, owner.hex)
    await connection.execute(
        "INSERT INTO wallets.departures (owner_id, departed_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", owner, now
    )
