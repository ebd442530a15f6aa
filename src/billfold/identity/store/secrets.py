"""SQL over the secrets that every process shares. They lie here sealed."""

from __future__ import annotations

from datetime import datetime

from billfold.platform.postgres.database import Connection


async def find(connection: Connection, name: str) -> bytes | None:
    """The sealed secret of that name."""
    sealed: bytes | None = await connection.fetchval("SELECT sealed FROM identity.secrets WHERE name = $1", name)
    return sealed


async def insert(connection: Connection, name: str, *, sealed: bytes, now: datetime) -> None:
    """Keep a secret, unless somebody was first."""
    await connection.execute(
        "INSERT INTO identity.secrets (name, sealed, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
        name,
        sealed,
        now,
    )
