"""SQL over what waits for somebody's proof that an address is theirs: registrations, new addresses, new passwords.

Whoever adds a row takes some away whose time is over, so that the tables stay as small as what waits.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from billfold.identity.domain.addresses import AddressKind
from billfold.platform.postgres.database import Connection

#: Rows that are over are kept for so long, to be looked at by whoever is asked what happened.
_KEPT = timedelta(days=1)
_SWEPT_AT_ONCE = 10


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants an account."""

    email: str | None
    phone: str | None
    password_hash: str
    display_name: str
    locale: str
    time_zone: str


class Wanted(msgspec.Struct, frozen=True):
    """An address that somebody wants to have."""

    kind: AddressKind
    address: str


async def insert_code(
    connection: Connection, code_id: UUID, *, code_hash: bytes, now: datetime, expires_at: datetime
) -> None:
    """Add a code that is sent to somebody."""
    await connection.execute(
        """
        DELETE FROM identity.codes WHERE id = ANY(ARRAY(
            SELECT id FROM identity.codes WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ))
        """,
        now - _KEPT,
        _SWEPT_AT_ONCE,
    )
    await connection.execute(
        "INSERT INTO identity.codes (id, code_hash, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        code_id,
        code_hash,
        now,
        expires_at,
    )


async def use_code(connection: Connection, code_id: UUID, *, code_hash: bytes, most: int, now: datetime) -> bool:
    """Count an attempt, and use the code up if it is the right one.

    One statement: of any number at once the row's lock lets one after the other in, so at most `most` are looked at,
    and one finds the code unused.
    """
    used = await connection.fetchval(
        """
        UPDATE identity.codes
        SET attempts = attempts + 1, used_at = CASE WHEN code_hash = $2 THEN $4::timestamptz END
        WHERE id = $1 AND used_at IS NULL AND attempts < $3 AND expires_at > $4
        RETURNING used_at IS NOT NULL
        """,
        code_id,
        code_hash,
        most,
        now,
    )
    return bool(used)


async def insert(connection: Connection, registration_id: UUID, pending: Pending) -> None:
    """Add who wants an account. The code of the same id is there by now."""
    await connection.execute(
        """
        INSERT INTO identity.registrations (id, email, phone, password_hash, display_name, locale, time_zone)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        registration_id,
        pending.email,
        pending.phone,
        pending.password_hash,
        pending.display_name,
        pending.locale,
        pending.time_zone,
    )


async def take(connection: Connection, registration_id: UUID) -> Pending | None:
    """Who wants an account; they are forgotten here."""
    row = await connection.fetchrow(
        """
        DELETE FROM identity.registrations WHERE id = $1
        RETURNING email, phone, password_hash, display_name, locale, time_zone
        """,
        registration_id,
    )
    return Pending(**row) if row else None


async def insert_change(
    connection: Connection, change_id: UUID, *, user_id: UUID, kind: AddressKind, address: str
) -> None:
    """Add an address that somebody wants to have. The code of the same id is there by now."""
    await connection.execute(
        f"INSERT INTO identity.address_changes (id, user_id, {kind}) VALUES ($1, $2, $3)", change_id, user_id, address
    )


async def take_change(connection: Connection, change_id: UUID, *, user_id: UUID, kind: AddressKind) -> str | None:
    """The address of this kind that this user wants to have; it is forgotten here."""
    address: str | None = await connection.fetchval(
        f"DELETE FROM identity.address_changes WHERE id = $1 AND user_id = $2 AND {kind} IS NOT NULL RETURNING {kind}",
        change_id,
        user_id,
    )
    return address


async def insert_reset(
    connection: Connection, token_hash: bytes, *, user_id: UUID | None, now: datetime, expires_at: datetime
) -> None:
    """Add a token that lets somebody choose a new password; without a user it lets nobody."""
    await connection.execute(
        """
        DELETE FROM identity.password_resets WHERE token_hash = ANY(ARRAY(
            SELECT token_hash FROM identity.password_resets
            WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ))
        """,
        now - _KEPT,
        _SWEPT_AT_ONCE,
    )
    await connection.execute(
        "INSERT INTO identity.password_resets (token_hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        token_hash,
        user_id,
        now,
        expires_at,
    )


async def user_of_reset(connection: Connection, token_hash: bytes, *, now: datetime) -> UUID | None:
    """Who can choose a new password by this token; None if nobody can (any more)."""
    user_id: UUID | None = await connection.fetchval(
        "SELECT user_id FROM identity.password_resets WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2",
        token_hash,
        now,
    )
    return user_id


async def use_reset(connection: Connection, token_hash: bytes, *, now: datetime) -> bool:
    """Use the token up; no if another request has."""
    used = await connection.fetchval(
        """
        UPDATE identity.password_resets SET used_at = $2
        WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2
        RETURNING true
        """,
        token_hash,
        now,
    )
    return used is not None


async def forget_of(connection: Connection, user_id: UUID, *, now: datetime) -> None:
    """Let whatever waits for this user open nothing any more: tokens for new passwords, new addresses."""
    await connection.execute(
        "UPDATE identity.password_resets SET used_at = $2 WHERE user_id = $1 AND used_at IS NULL", user_id, now
    )
    await connection.execute("DELETE FROM identity.address_changes WHERE user_id = $1", user_id)


async def begin_pretending(connection: Connection) -> None:
    """What is done from here to `end_pretending` takes its time and leaves nothing behind."""
    await connection.execute("SAVEPOINT pretending")


async def end_pretending(connection: Connection, *, real: bool) -> None:
    """Keep what was done since, if it was `real` after all."""
    await connection.execute("RELEASE SAVEPOINT pretending" if real else "ROLLBACK TO SAVEPOINT pretending")
