"""SQL over accounts at other providers, and logins that are under way there."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from billfold.identity.contracts import ExternalIdentity
from billfold.identity.domain.providers import Person
from billfold.platform.postgres.database import Connection

if TYPE_CHECKING:
    import asyncpg

_COLUMNS = "id, provider, subject, name, created_at, last_login_at"
#: Logins that nobody came back from, deleted with each new one.
_FORGOTTEN_AT_ONCE = 100


class Linked(msgspec.Struct, frozen=True):
    """Who an account elsewhere is here."""

    id: UUID
    owner_id: UUID
    is_person: bool
    is_closed: bool


class Begun(msgspec.Struct, frozen=True):
    """A login that has come back from the provider."""

    return_to: str
    #: Who links the account: somebody who is still logged in, or nobody.
    links: bool
    user_id: UUID | None


def _identity(row: asyncpg.Record) -> ExternalIdentity:
    values: dict[str, Any] = {name: row[name] for name in ExternalIdentity.__struct_fields__}
    values["id"] = str(values["id"])
    return ExternalIdentity(**values)


async def find(connection: Connection, *, issuer: str, subject: str) -> Linked | None:
    """Who that account is here."""
    row = await connection.fetchrow(
        """
        SELECT identity.id, identity.owner_id, person.id IS NOT NULL AS is_person,
               person.closed_at IS NOT NULL AS is_closed
        FROM identity.external_identities AS identity
        LEFT JOIN identity.users AS person ON person.id = identity.owner_id
        WHERE identity.issuer = $1 AND identity.subject = $2
        """,
        issuer,
        subject,
    )
    return Linked(**row) if row else None


async def insert(
    connection: Connection,
    *,
    identity_id: UUID,
    provider: str,
    issuer: str,
    subject: str,
    owner_id: UUID,
    name: str,
    now: datetime,
) -> bool:
    """Link the account; False if it is linked already."""
    row = await connection.fetchval(
        "INSERT INTO identity.external_identities (id, provider, issuer, subject, owner_id, name, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (issuer, subject) DO NOTHING RETURNING 1",
        identity_id,
        provider,
        issuer,
        subject,
        owner_id,
        name,
        now,
    )
    return row is not None


async def insert_person(connection: Connection, *, user_id: UUID, person: Person, now: datetime) -> None:
    """Add somebody who logs in elsewhere."""
    await connection.execute(
        "INSERT INTO identity.users (id, email, email_verified_at, display_name, locale, time_zone, created_at) "
        "VALUES ($1, $2, CASE WHEN $2::text IS NOT NULL THEN $5::timestamptz END, $3, $4, 'UTC', $5::timestamptz)",
        user_id,
        person.email,
        person.display_name,
        person.locale,
        now,
    )


async def touch(connection: Connection, identity_id: UUID, *, now: datetime) -> bool:
    """Write down a login; no if the account is not linked any more."""
    row = await connection.fetchval(
        "UPDATE identity.external_identities SET last_login_at = $2 WHERE id = $1 RETURNING true", identity_id, now
    )
    return row is not None


async def of_owner(connection: Connection, owner_id: UUID) -> list[ExternalIdentity]:
    """The owner's accounts elsewhere, the oldest first."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM identity.external_identities WHERE owner_id = $1 ORDER BY id", owner_id
    )
    return [_identity(row) for row in rows]


async def delete(connection: Connection, identity_id: UUID, *, owner_id: UUID | None = None) -> ExternalIdentity | None:
    """Unlink the account; None if there is none, or it is another owner's."""
    row = await connection.fetchrow(
        "DELETE FROM identity.external_identities WHERE id = $1 AND ($2::uuid IS NULL OR owner_id = $2) "
        f"RETURNING {_COLUMNS}",
        identity_id,
        owner_id,
    )
    return _identity(row) if row else None


async def has_password(connection: Connection, user_id: UUID) -> bool:
    """Whether somebody can log in with a password: they have one, and an address to say whose."""
    found = await connection.fetchval(
        "SELECT 1 FROM identity.users "
        "WHERE id = $1 AND password_hash IS NOT NULL AND (email IS NOT NULL OR phone IS NOT NULL)",
        user_id,
    )
    return found is not None


async def insert_login(
    connection: Connection,
    *,
    state_hash: bytes,
    browser_hash: bytes,
    provider: str,
    return_to: str,
    session_id: UUID | None,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Begin a login, and forget some that nobody came back from."""
    await connection.execute(
        """
        DELETE FROM identity.external_logins WHERE state_hash IN (
            SELECT state_hash FROM identity.external_logins WHERE expires_at < $1 LIMIT $2
        )
        """,
        now,
        _FORGOTTEN_AT_ONCE,
    )
    await connection.execute(
        "INSERT INTO identity.external_logins (state_hash, browser_hash, provider, return_to, session_id, expires_at) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        state_hash,
        browser_hash,
        provider,
        return_to,
        session_id,
        expires_at,
    )


async def take_login(
    connection: Connection, *, state_hash: bytes, browser_hash: bytes, provider: str, now: datetime
) -> Begun | None:
    """The login with this state, which ends here: it is taken once, and by the browser that began it."""
    row = await connection.fetchrow(
        """
        WITH begun AS (
            DELETE FROM identity.external_logins
            WHERE state_hash = $1 AND browser_hash = $2 AND provider = $3 AND expires_at > $4
            RETURNING return_to, session_id
        )
        SELECT begun.return_to, begun.session_id IS NOT NULL AS links, session.user_id
        FROM begun LEFT JOIN identity.sessions AS session
          ON session.id = begun.session_id AND session.revoked_at IS NULL AND session.expires_at > $4
        """,
        state_hash,
        browser_hash,
        provider,
        now,
    )
    return Begun(**row) if row else None
