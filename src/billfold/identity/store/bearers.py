"""SQL over what requests bear: a key or a session together with the person behind it, in one statement each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from billfold.identity.contracts import ApiKey
from billfold.identity.store import keys
from billfold.platform.postgres.database import Connection

if TYPE_CHECKING:
    import asyncpg


class Person(msgspec.Struct, frozen=True):
    """Somebody who can log in, or could before they closed their account."""

    id: UUID
    roles: frozenset[str]
    closed: bool


class StoredKey(msgspec.Struct, frozen=True):
    """A key with what is kept of its text, and the person whose it is; None is a program's owner."""

    key: ApiKey
    key_hash: bytes
    person: Person | None


class StoredSession(msgspec.Struct, frozen=True):
    """A session, and whether tokens of a certain signing key are still accepted."""

    person: Person
    expires_at: datetime
    ended: bool
    key_is_good: bool


class Standing(msgspec.Struct, frozen=True):
    """Whether credentials were revoked, or their session has ended; and the person behind them."""

    withdrawn: bool
    person: Person | None


async def standing(connection: Connection, bearers: Sequence[tuple[UUID, UUID | None]]) -> list[Standing]:
    """How it is by now with each credential and the user behind it, in their order.

    Credentials that are not ours, those of a provider, are withdrawn there and not here.
    """
    rows = await connection.fetch(
        """
        SELECT key.revoked_at IS NOT NULL OR session.revoked_at IS NOT NULL AS withdrawn,
            person.id AS person_id, person.roles, person.closed_at
        FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS bearer (credential_id, user_id, place)
        LEFT JOIN identity.api_keys AS key ON key.id = bearer.credential_id
        LEFT JOIN identity.sessions AS session ON session.id = bearer.credential_id
        LEFT JOIN identity.users AS person ON person.id = bearer.user_id
        ORDER BY place
        """,
        [credential for credential, _ in bearers],
        [user for _, user in bearers],
    )
    return [Standing(row["withdrawn"], _person(row) if row["person_id"] else None) for row in rows]


async def find_key(connection: Connection, key_id: UUID) -> StoredKey | None:
    """The key, whosesoever it is."""
    row = await connection.fetchrow(
        """
        SELECT key.*, person.id AS person_id, person.roles, person.closed_at
        FROM identity.api_keys AS key LEFT JOIN identity.users AS person ON person.id = key.owner_id
        WHERE key.id = $1
        """,
        key_id,
    )
    if row is None:
        return None
    return StoredKey(keys.key_of(row), row["key_hash"], _person(row) if row["person_id"] else None)


async def find_session(connection: Connection, session_id: UUID, *, key_id: str, now: datetime) -> StoredSession | None:
    """The session, whosesoever it is, for tokens of that signing key."""
    row = await connection.fetchrow(
        """
        SELECT person.id AS person_id, person.roles, person.closed_at, session.expires_at,
            session.revoked_at IS NOT NULL AS ended,
            EXISTS (
                SELECT FROM identity.signing_keys WHERE id = $2 AND (retired_at IS NULL OR retired_at > $3)
            ) AS key_is_good
        FROM identity.sessions AS session JOIN identity.users AS person ON person.id = session.user_id
        WHERE session.id = $1
        """,
        session_id,
        key_id,
        now,
    )
    if row is None:
        return None
    return StoredSession(_person(row), row["expires_at"], row["ended"], row["key_is_good"])


def _person(row: asyncpg.Record) -> Person:
    return Person(row["person_id"], frozenset(row["roles"]), row["closed_at"] is not None)
