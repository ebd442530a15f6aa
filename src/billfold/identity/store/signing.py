"""SQL over the keys that sign access tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from billfold.identity.domain.signing import SigningKey
from billfold.platform.postgres.database import Connection

#: Of PostgreSQL's advisory locks this one is ours: "signing" in ASCII.
_LOCK = int.from_bytes(b"signing")


async def lock(connection: Connection) -> None:
    """Wait until no other database transaction changes the keys, and let none until this one ends."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


async def all_keys(connection: Connection) -> list[SigningKey]:
    """Every key that is kept."""
    rows = await connection.fetch(
        "SELECT id, sealed, created_at, signs_from, retired_at FROM identity.signing_keys ORDER BY signs_from, id"
    )
    return [SigningKey(**dict(row)) for row in rows]


async def insert(connection: Connection, key: SigningKey, *, public: dict[str, Any]) -> None:
    """Add a key."""
    await connection.execute(
        "INSERT INTO identity.signing_keys (id, public, sealed, created_at, signs_from, retired_at) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        key.id,
        public,
        key.sealed,
        key.created_at,
        key.signs_from,
        key.retired_at,
    )


async def retire_others(connection: Connection, key_id: str, *, at: datetime) -> None:
    """Let every other key end then, if it does not end before."""
    await connection.execute(
        "UPDATE identity.signing_keys SET retired_at = $2 WHERE id <> $1 AND (retired_at IS NULL OR retired_at > $2)",
        key_id,
        at,
    )


async def delete_retired(connection: Connection, *, now: datetime) -> None:
    """Forget the keys that have ended."""
    await connection.execute("DELETE FROM identity.signing_keys WHERE retired_at <= $1", now)
