"""SQL over operations that wait for a fresh factor."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from billfold.kernel.idempotency import Key
from billfold.platform.postgres.database import Connection

_COLUMNS = "id, user_id, operation, content, digest, nonce, created_at, expires_at, approved_at, used_at"
#: What was used can be used again by the same request for so long, which may have to be repeated.
KEPT = timedelta(days=30)


class Waiting(msgspec.Struct, frozen=True):
    """An operation that waits, or has waited, for its user's factor."""

    id: UUID
    user_id: UUID
    operation: str
    content: Mapping[str, str]
    digest: bytes
    nonce: bytes
    created_at: datetime
    expires_at: datetime
    approved_at: datetime | None
    used_at: datetime | None


async def insert(
    connection: Connection,
    *,
    step_up_id: UUID,
    user_id: UUID,
    operation: str,
    content: Mapping[str, str],
    digest: bytes,
    nonce: bytes,
    now: datetime,
    until: datetime,
    most: int,
) -> Waiting:
    """Let an operation wait. Of somebody's unanswered ones the latest `most` are kept, and none whose time is over."""
    await connection.execute(
        """
        DELETE FROM identity.step_ups WHERE user_id = $1 AND (
            (used_at IS NULL AND expires_at < $2)
            OR used_at < $4
            OR id IN (
                SELECT id FROM identity.step_ups WHERE user_id = $1 AND approved_at IS NULL ORDER BY id DESC OFFSET $3
            )
        )
        """,
        user_id,
        now,
        most - 1,
        now - KEPT,
    )
    row = await connection.fetchrow(
        f"""
        INSERT INTO identity.step_ups (id, user_id, operation, content, digest, nonce, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {_COLUMNS}
        """,
        step_up_id,
        user_id,
        operation,
        dict(content),
        digest,
        nonce,
        now,
        until,
    )
    assert row is not None
    return Waiting(*row)


async def find(connection: Connection, step_up_id: UUID, *, user_id: UUID) -> Waiting | None:
    """What waits, if it is this user's."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM identity.step_ups WHERE id = $1 AND user_id = $2", step_up_id, user_id
    )
    return Waiting(*row) if row else None


async def attempt(
    connection: Connection, step_up_id: UUID, *, user_id: UUID, most: int, now: datetime
) -> Waiting | None:
    """What waits for approval, with one more attempt counted before it is looked at; None if that is over."""
    row = await connection.fetchrow(
        f"""
        UPDATE identity.step_ups SET attempts = attempts + 1
        WHERE id = $1 AND user_id = $2 AND attempts < $3 AND expires_at > $4 AND approved_at IS NULL
        RETURNING {_COLUMNS}
        """,
        step_up_id,
        user_id,
        most,
        now,
    )
    return Waiting(*row) if row else None


async def approve(
    connection: Connection, step_up_id: UUID, *, method: str, now: datetime, until: datetime
) -> Waiting | None:
    """Approve what waits, to be used until then; None if that has been done."""
    row = await connection.fetchrow(
        f"""
        UPDATE identity.step_ups SET approved_at = $2, expires_at = $3, method = $4
        WHERE id = $1 AND approved_at IS NULL RETURNING {_COLUMNS}
        """,
        step_up_id,
        now,
        until,
        method,
    )
    return Waiting(*row) if row else None


async def use(
    connection: Connection, step_up_id: UUID, *, user_id: UUID, digest: bytes, key: Key | None, now: datetime
) -> bool:
    """Use an approval of exactly this, once, in time; or again for the very request that has used it.

    One statement: of any number of requests at once it is the row's lock that lets one find it unused.
    """
    row = await connection.fetchval(
        """
        UPDATE identity.step_ups SET used_at = coalesce(used_at, $4), request_digest = $5, request_fingerprint = $6
        WHERE id = $1 AND user_id = $2 AND digest = $3 AND approved_at IS NOT NULL AND (
            (used_at IS NULL AND expires_at > $4) OR (request_digest = $5 AND request_fingerprint = $6)
        )
        RETURNING true
        """,
        step_up_id,
        user_id,
        digest,
        now,
        key.digest if key else None,
        key.fingerprint if key else None,
    )
    return row is not None


async def was_used(connection: Connection, *, user_id: UUID, digest: bytes, key: Key) -> bool:
    """Whether an approval of exactly this was used by this very request."""
    found = await connection.fetchval(
        "SELECT true FROM identity.step_ups WHERE user_id = $1 AND digest = $2 AND used_at IS NOT NULL "
        "AND request_digest = $3 AND request_fingerprint = $4 LIMIT 1",
        user_id,
        digest,
        key.digest,
        key.fingerprint,
    )
    return found is not None
