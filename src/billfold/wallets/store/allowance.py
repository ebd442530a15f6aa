"""SQL over what people have sent out of the house without a factor of theirs, or without another person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from billfold.kernel.idempotency import Key
from billfold.platform.postgres.database import Connection

#: What the money has left without: a fresh factor of its own person, or another person's approval.
Without = Literal["factor", "person"]


async def lock(connection: Connection, user_id: UUID) -> None:
    """Let somebody's withdrawals be reckoned one after the other until the database transaction ends."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('withdrawals:' || $1::uuid::text, 0))", user_id
    )


async def is_reckoned(connection: Connection, user_id: UUID, without: Without, request: Key) -> bool:
    """Whether this very request has been added: the same key with another content has not."""
    found = await connection.fetchval(
        "SELECT true FROM wallets.unapproved_withdrawals "
        "WHERE user_id = $1 AND without = $2 AND request = $3 AND fingerprint = $4 LIMIT 1",
        user_id,
        without,
        request.digest,
        request.fingerprint,
    )
    return found is not None


async def sums(connection: Connection, user_id: UUID, without: Without, *, since: datetime) -> Mapping[str, int]:
    """What was added by asset since then; what was added before is forgotten."""
    await connection.execute(
        "DELETE FROM wallets.unapproved_withdrawals WHERE user_id = $1 AND at <= $2", user_id, since
    )
    rows = await connection.fetch(
        "SELECT asset, sum(units) AS units FROM wallets.unapproved_withdrawals "
        "WHERE user_id = $1 AND without = $2 GROUP BY asset",
        user_id,
        without,
    )
    return {row["asset"]: row["units"] for row in rows}


async def add(
    connection: Connection, user_id: UUID, without: Without, request: Key, *, leaving: Mapping[str, int], now: datetime
) -> None:
    """Add what a request withdraws."""
    await connection.execute(
        "INSERT INTO wallets.unapproved_withdrawals (user_id, without, request, fingerprint, asset, units, at) "
        "SELECT $1, $2, $3, $4, unnest($5::text[]), unnest($6::numeric[]), $7",
        user_id,
        without,
        request.digest,
        request.fingerprint,
        list(leaving),
        list(leaving.values()),
        now,
    )
