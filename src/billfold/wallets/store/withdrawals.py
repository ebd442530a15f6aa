"""SQL over what people have withdrawn without having approved it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from billfold.kernel.idempotency import Key
from billfold.platform.postgres.database import Connection


async def lock(connection: Connection, user_id: UUID) -> None:
    """Let somebody's withdrawals be reckoned one after the other until the database transaction ends."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('withdrawals:' || $1::uuid::text, 0))", user_id
    )


async def is_reckoned(connection: Connection, user_id: UUID, request: Key) -> bool:
    """Whether this very request has been added: the same key with another content has not."""
    found = await connection.fetchval(
        "SELECT true FROM wallets.unapproved_withdrawals "
        "WHERE user_id = $1 AND request = $2 AND fingerprint = $3 LIMIT 1",
        user_id,
        request.digest,
        request.fingerprint,
    )
    return found is not None


async def sums(connection: Connection, user_id: UUID, *, since: datetime) -> Mapping[str, int]:
    """What was added by asset since then; what was added before is forgotten."""
    await connection.execute(
        "DELETE FROM wallets.unapproved_withdrawals WHERE user_id = $1 AND at <= $2", user_id, since
    )
    rows = await connection.fetch(
        "SELECT asset, sum(units) AS units FROM wallets.unapproved_withdrawals WHERE user_id = $1 GROUP BY asset",
        user_id,
    )
    return {row["asset"]: row["units"] for row in rows}


async def add(
    connection: Connection, user_id: UUID, request: Key, leaving: Mapping[str, int], *, now: datetime
) -> None:
    """Add what a request withdraws."""
    await connection.execute(
        "INSERT INTO wallets.unapproved_withdrawals (user_id, request, fingerprint, asset, units, at) "
        "SELECT $1, $2, $3, unnest($4::text[]), unnest($5::numeric[]), $6",
        user_id,
        request.digest,
        request.fingerprint,
        list(leaving),
        list(leaving.values()),
        now,
    )
