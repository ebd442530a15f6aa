"""SQL over sessions and their refresh tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from billfold.identity.contracts import Session
from billfold.identity.store import keys as owners
from billfold.platform.postgres.database import Connection

if TYPE_CHECKING:
    import asyncpg

_COLUMNS = "id, user_id, device, address, methods, created_at, authenticated_at, last_used_at, expires_at"
#: What has ended is kept so long, for its refresh tokens to be known as used.
KEPT = timedelta(days=30)


class Bearer(msgspec.Struct, frozen=True):
    """Whom new tokens are for."""

    user_id: UUID
    roles: frozenset[str]


class Family(msgspec.Struct, frozen=True):
    """The session of a refresh token, and whether that token was used."""

    session_id: UUID
    user_id: UUID
    used: bool


def _session(row: asyncpg.Record, current: UUID | None) -> Session:
    values = {name: row[name] for name in ("device", "address", "methods", "created_at", "authenticated_at")}
    return Session(
        id=str(row["id"]),
        user_id=str(row["user_id"]),
        last_used_at=row["last_used_at"],
        expires_at=row["expires_at"],
        current=row["id"] == current,
        **values,
    )


async def lock_user(connection: Connection, user_id: UUID) -> Bearer | None:
    """Somebody who can log in; None if there is nobody (any more). Their owner's row is locked: it orders events.

    Two statements: one that waits for a row's lock sees whatever it joins to that row as it was before the wait.
    """
    await owners.lock_owner(connection, user_id)
    row = await connection.fetchrow("SELECT id, roles FROM identity.users WHERE id = $1 AND closed_at IS NULL", user_id)
    return Bearer(row["id"], frozenset(row["roles"])) if row else None


async def insert(
    connection: Connection,
    *,
    session_id: UUID,
    user_id: UUID,
    methods: Sequence[str],
    device: str,
    address: str,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Add a session."""
    await connection.execute(
        """
        INSERT INTO identity.sessions
            (id, user_id, created_at, last_used_at, authenticated_at, expires_at, methods, device, address)
        VALUES ($1, $2, $3, $3, $3, $4, $5, $6, $7)
        """,
        session_id,
        user_id,
        now,
        expires_at,
        list(methods),
        device,
        address,
    )


async def insert_token(
    connection: Connection, *, token_hash: bytes, session_id: UUID, now: datetime, expires_at: datetime
) -> None:
    """Add a refresh token, in the place of those of its session whose time is over."""
    await connection.execute(
        "DELETE FROM identity.refresh_tokens WHERE session_id = $1 AND expires_at <= $2", session_id, now
    )
    await connection.execute(
        "INSERT INTO identity.refresh_tokens (token_hash, session_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        token_hash,
        session_id,
        now,
        expires_at,
    )


async def use_token(connection: Connection, token_hash: bytes, *, now: datetime) -> UUID | None:
    """Use up a refresh token and give its session; None unless this is the first use, in time.

    One statement: of any number of uses at once it is the row's lock that lets one find it unused.
    """
    session_id: UUID | None = await connection.fetchval(
        """
        UPDATE identity.refresh_tokens SET used_at = $2
        WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2
        RETURNING session_id
        """,
        token_hash,
        now,
    )
    return session_id


async def family(connection: Connection, token_hash: bytes) -> Family | None:
    """The session of a refresh token in whatever state they are."""
    row = await connection.fetchrow(
        """
        SELECT session.id, session.user_id, token.used_at IS NOT NULL AS used
        FROM identity.refresh_tokens AS token
        JOIN identity.sessions AS session ON session.id = token.session_id
        WHERE token.token_hash = $1
        """,
        token_hash,
    )
    return Family(*row) if row else None


async def prolong(
    connection: Connection,
    session_id: UUID,
    *,
    address: str,
    now: datetime,
    expires_at: datetime,
    longest: timedelta,
) -> Session | None:
    """Note a refresh; None if the session has ended."""
    row = await connection.fetchrow(
        f"""
        UPDATE identity.sessions
        SET last_used_at = greatest(last_used_at, $2), expires_at = least($3, created_at + $4::interval),
            address = $5
        WHERE id = $1 AND revoked_at IS NULL AND expires_at > $2
        RETURNING {_COLUMNS}
        """,
        session_id,
        now,
        expires_at,
        longest,
        address,
    )
    return _session(row, session_id) if row else None


async def user_of(connection: Connection, session_id: UUID) -> UUID | None:
    """Whose session it is."""
    user_id: UUID | None = await connection.fetchval("SELECT user_id FROM identity.sessions WHERE id = $1", session_id)
    return user_id


async def alive(connection: Connection, *, user_id: UUID, current: UUID | None, now: datetime) -> list[Session]:
    """Somebody's sessions that have not ended, the one used last first."""
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS} FROM identity.sessions
        WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
        ORDER BY last_used_at DESC, id DESC
        """,
        user_id,
        now,
    )
    return [_session(row, current) for row in rows]


async def revoke(
    connection: Connection, *, user_id: UUID, session_id: UUID | None, besides: UUID | None, now: datetime
) -> list[UUID]:
    """End one session of somebody's, or all `besides` one, and give the ids of those that had not ended."""
    rows = await connection.fetch(
        """
        UPDATE identity.sessions SET revoked_at = $2
        WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
            AND ($3::uuid IS NULL OR id = $3) AND ($4::uuid IS NULL OR id <> $4)
        RETURNING id
        """,
        user_id,
        now,
        session_id,
        besides,
    )
    return [row["id"] for row in rows]


async def revoke_surplus(connection: Connection, *, user_id: UUID, most: int, now: datetime) -> list[UUID]:
    """End somebody's sessions beyond so many, those used longest ago, and give their ids."""
    rows = await connection.fetch(
        """
        UPDATE identity.sessions SET revoked_at = $2 WHERE id IN (
            SELECT id FROM identity.sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
            ORDER BY last_used_at DESC, id DESC OFFSET $3
        )
        RETURNING id
        """,
        user_id,
        now,
        most,
    )
    return [row["id"] for row in rows]


async def was_at(connection: Connection, user_id: UUID, address: str, *, since: datetime) -> bool:
    """Whether somebody has used a session from this address since then."""
    found = await connection.fetchval(
        "SELECT 1 FROM identity.sessions WHERE user_id = $1 AND address = $2 AND last_used_at > $3 LIMIT 1",
        user_id,
        address,
        since,
    )
    return found is not None


async def exists(connection: Connection, *, user_id: UUID, session_id: UUID) -> bool:
    """Whether somebody has or had this session."""
    found = await connection.fetchval(
        "SELECT 1 FROM identity.sessions WHERE id = $1 AND user_id = $2", session_id, user_id
    )
    return found is not None


async def touch(connection: Connection, used: Mapping[UUID, datetime], *, apart: timedelta) -> None:
    """Write down when sessions were used, but for those for which another process has done so lately.

    A session that somebody changes meanwhile is left out: waiting for several could end in a deadlock.
    """
    await connection.execute(
        """
        WITH free AS (
            SELECT session.id, used.at
            FROM identity.sessions AS session
            JOIN (SELECT unnest($1::uuid[]) AS id, unnest($2::timestamptz[]) AS at) AS used ON used.id = session.id
            WHERE session.last_used_at < used.at - $3::interval
            FOR NO KEY UPDATE OF session SKIP LOCKED
        )
        UPDATE identity.sessions AS session SET last_used_at = free.at FROM free WHERE session.id = free.id
        """,
        list(used),
        list(used.values()),
        apart,
    )


async def forget_ended(connection: Connection, *, now: datetime, limit: int) -> int:
    """Delete sessions that ended long ago, with their tokens, and say how many."""
    status = await connection.execute(
        """
        DELETE FROM identity.sessions WHERE id IN (
            SELECT id FROM identity.sessions
            WHERE coalesce(revoked_at, expires_at) < $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
        )
        """,
        now - KEPT,
        limit,
    )
    return int(status.split()[-1])
