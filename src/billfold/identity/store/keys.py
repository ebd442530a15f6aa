"""SQL over owners and API keys. Whose a key is, is part of the statement: another owner's key is not found.

An `owner` of None stands for an operator, who sees all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from billfold.identity.contracts import ApiKey, Grant, Mode, Owner
from billfold.kernel.idempotency import Key
from billfold.platform.postgres.database import Connection

if TYPE_CHECKING:
    import asyncpg

_COLUMNS = "id, owner_id, name, mode, scopes, created_at, expires_at, last_used_at, revoked_at"


def _owner(row: asyncpg.Record) -> Owner:
    return Owner(id=str(row["id"]), name=row["name"], created_at=row["created_at"])


def key_of(row: asyncpg.Record) -> ApiKey:
    """The key in a row with at least its columns."""
    values: dict[str, Any] = {name: row[name] for name in ApiKey.__struct_fields__}
    values["id"] = str(values["id"])
    values["owner_id"] = str(values["owner_id"])
    return ApiKey(**values)


async def insert_owner(connection: Connection, *, owner_id: UUID, name: str, now: datetime) -> Owner | None:
    """Add an owner; None if the name is taken."""
    row = await connection.fetchrow(
        "INSERT INTO identity.owners (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING "
        "RETURNING id, name, created_at",
        owner_id,
        name,
        now,
    )
    return _owner(row) if row else None


async def owner_named(connection: Connection, name: str) -> Owner | None:
    """The owner of that name."""
    row = await connection.fetchrow("SELECT id, name, created_at FROM identity.owners WHERE name = $1", name)
    return _owner(row) if row else None


async def lock_owner(connection: Connection, owner_id: UUID) -> bool:
    """Whether there is this owner, whose row is locked until the database transaction ends: it orders their events."""
    found = await connection.fetchval("SELECT 1 FROM identity.owners WHERE id = $1 FOR NO KEY UPDATE", owner_id)
    return found is not None


async def insert_key(
    connection: Connection,
    *,
    key_id: UUID,
    grant: Grant,
    mode: Mode,
    key_hash: bytes,
    request: Key | None,
    now: datetime,
) -> ApiKey:
    """Add a key."""
    row = await connection.fetchrow(
        f"""
        INSERT INTO identity.api_keys (id, owner_id, name, mode, scopes, key_hash, request_digest, request_fingerprint,
            expires_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        RETURNING {_COLUMNS}
        """,
        key_id,
        grant.owner_id,
        grant.name,
        mode,
        sorted(grant.scopes),
        key_hash,
        request.digest if request else None,
        request.fingerprint if request else None,
        grant.expires_at,
        now,
    )
    assert row is not None
    return key_of(row)


async def key_of_request(connection: Connection, digest: UUID) -> tuple[ApiKey, int] | None:
    """The key that was created with this idempotency key, and the fingerprint of what was asked for then."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS}, request_fingerprint FROM identity.api_keys WHERE request_digest = $1", digest
    )
    return (key_of(row), row["request_fingerprint"]) if row else None


async def find_key(connection: Connection, key_id: UUID, *, owner: UUID | None) -> ApiKey | None:
    """The key."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM identity.api_keys WHERE id = $1 AND ($2::uuid IS NULL OR owner_id = $2)", key_id, owner
    )
    return key_of(row) if row else None


async def list_keys(connection: Connection, *, owner: UUID | None, before: UUID | None, limit: int) -> list[ApiKey]:
    """Keys, the newest first."""
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS} FROM identity.api_keys
        WHERE ($1::uuid IS NULL OR owner_id = $1) AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC LIMIT $3
        """,
        owner,
        before,
        limit,
    )
    return [key_of(row) for row in rows]


async def count_usable(connection: Connection, owner_id: UUID, *, now: datetime) -> int:
    """How many keys of the owner can be used."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM identity.api_keys "
        "WHERE owner_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
        owner_id,
        now,
    )
    return count


async def revoke(connection: Connection, key_id: UUID, *, now: datetime) -> ApiKey | None:
    """Revoke the key; None if that has been done already."""
    row = await connection.fetchrow(
        f"UPDATE identity.api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING {_COLUMNS}",
        key_id,
        now,
    )
    return key_of(row) if row else None


async def usable(connection: Connection, owner_id: UUID, *, now: datetime) -> list[UUID]:
    """The keys of the owner that can be used."""
    rows = await connection.fetch(
        "SELECT id FROM identity.api_keys "
        "WHERE owner_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2) ORDER BY id",
        owner_id,
        now,
    )
    return [row["id"] for row in rows]


async def has_left(connection: Connection, owner_id: UUID) -> bool:
    """Whether the owner is somebody whose account is closed. Ask when the owner's row is locked."""
    found = await connection.fetchval("SELECT 1 FROM identity.users WHERE id = $1 AND closed_at IS NOT NULL", owner_id)
    return found is not None


async def is_person(connection: Connection, owner_id: UUID) -> bool:
    """Whether the owner is somebody with an account, and no program."""
    return await connection.fetchval("SELECT 1 FROM identity.users WHERE id = $1", owner_id) is not None


async def lock_owners_of_unused(connection: Connection, used: Collection[UUID], *, since: datetime) -> None:
    """Lock the owners of those keys that were not used since then: their first use is told, in order."""
    await connection.execute(
        """
        SELECT FROM identity.owners WHERE id IN (
            SELECT owner_id FROM identity.api_keys
            WHERE id = ANY($1) AND (last_used_at IS NULL OR last_used_at < $2)
        ) ORDER BY id FOR NO KEY UPDATE
        """,
        list(used),
        since,
    )


async def touch(
    connection: Connection, used: Mapping[UUID, datetime], *, apart: timedelta, since: datetime
) -> list[ApiKey]:
    """Write down when keys were used, but for those for which another process has done so lately.

    Returns those that were used for the first time since `since`.
    """
    rows = await connection.fetch(
        f"""
        UPDATE identity.api_keys AS key SET last_used_at = used.at
        FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::timestamptz[]) AS at ORDER BY 1) AS used
        WHERE key.id = used.id AND (key.last_used_at IS NULL OR key.last_used_at < used.at - $3::interval)
        RETURNING {", ".join(f"key.{column}" for column in _COLUMNS.split(", "))},
            (old.last_used_at IS NULL OR old.last_used_at < $4) AS first
        """,
        list(used),
        list(used.values()),
        apart,
        since,
    )
    return [key_of(row) for row in rows if row["first"]]
