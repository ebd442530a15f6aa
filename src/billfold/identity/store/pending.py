"""SQL over what waits for a second factor: challenges of passkeys and logins. Each row goes with its use or its time.

Whoever adds a row takes some away whose time is over, so that the tables stay as small as what waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from billfold.platform.postgres.database import Connection

_SWEPT_AT_ONCE = 10


class Challenge(msgspec.Struct, frozen=True):
    """What an authenticator is to sign, and the factors that there were when a new passkey was begun with it."""

    challenge: bytes
    beside: list[str]


class PendingLogin(msgspec.Struct, frozen=True):
    """A login that has everything but a second factor."""

    user_id: UUID
    methods: list[str]
    challenge: bytes


async def insert_challenge(
    connection: Connection,
    *,
    challenge_id: UUID,
    session_id: UUID | None,
    challenge: bytes,
    now: datetime,
    until: datetime,
    beside: Sequence[str] = (),
) -> None:
    """Add a challenge: for a new passkey of this session, or for a login."""
    await _sweep(connection, "webauthn_challenges", now)
    await connection.execute(
        "INSERT INTO identity.webauthn_challenges (id, session_id, challenge, expires_at, beside) "
        "VALUES ($1, $2, $3, $4, $5)",
        challenge_id,
        session_id,
        challenge,
        until,
        list(beside),
    )


async def take_challenge(
    connection: Connection, challenge_id: UUID, *, session_id: UUID | None, now: datetime
) -> Challenge | None:
    """The challenge, which is used up by that, if it was made for this session (or for a login) and is not over."""
    row = await connection.fetchrow(
        """
        DELETE FROM identity.webauthn_challenges
        WHERE id = $1 AND session_id IS NOT DISTINCT FROM $2 AND expires_at > $3
        RETURNING challenge, beside
        """,
        challenge_id,
        session_id,
        now,
    )
    return Challenge(*row) if row else None


async def insert_login(
    connection: Connection,
    *,
    token_hash: bytes,
    user_id: UUID,
    methods: Sequence[str],
    challenge: bytes,
    now: datetime,
    until: datetime,
) -> None:
    """Add a login that has everything but a second factor."""
    await _sweep(connection, "pending_logins", now)
    await connection.execute(
        "INSERT INTO identity.pending_logins (token_hash, user_id, methods, challenge, expires_at) "
        "VALUES ($1, $2, $3, $4, $5)",
        token_hash,
        user_id,
        list(methods),
        challenge,
        until,
    )


async def find_login(
    connection: Connection, token_hash: bytes, *, most: int, now: datetime
) -> tuple[PendingLogin, datetime] | None:
    """The login and its end, without an attempt; None if it is over."""
    row = await connection.fetchrow(
        """
        SELECT user_id, methods, challenge, expires_at FROM identity.pending_logins
        WHERE token_hash = $1 AND attempts < $2 AND expires_at > $3
        """,
        token_hash,
        most,
        now,
    )
    return (PendingLogin(*row[:3]), row["expires_at"]) if row else None


async def attempt_login(connection: Connection, token_hash: bytes, *, most: int, now: datetime) -> PendingLogin | None:
    """The login, with one more attempt counted before it is looked at; None if it is over."""
    row = await connection.fetchrow(
        """
        UPDATE identity.pending_logins SET attempts = attempts + 1
        WHERE token_hash = $1 AND attempts < $2 AND expires_at > $3
        RETURNING user_id, methods, challenge
        """,
        token_hash,
        most,
        now,
    )
    return PendingLogin(*row) if row else None


async def take_login(connection: Connection, token_hash: bytes) -> bool:
    """Use up the login; no if another request has."""
    row = await connection.fetchval(
        "DELETE FROM identity.pending_logins WHERE token_hash = $1 RETURNING true", token_hash
    )
    return row is not None


async def _sweep(connection: Connection, table: str, now: datetime) -> None:
    await connection.execute(
        f"""
        DELETE FROM identity.{table} WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM identity.{table} WHERE expires_at < $1 LIMIT {_SWEPT_AT_ONCE} FOR UPDATE SKIP LOCKED
        ))
        """,
        now,
    )
