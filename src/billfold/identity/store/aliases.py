"""SQL over aliases. Whose an alias is, is part of the statement: another owner's is not found.

An `owner` of None stands for an operator, who sees all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from billfold.identity.contracts import Alias, Kind, Visibility
from billfold.identity.domain.aliases import Name
from billfold.platform.postgres.database import Connection

if TYPE_CHECKING:
    import asyncpg

_COLUMNS = "id, owner_id, kind, shown, visibility, created_at, verified_at, released_at, kept_until, taken"


class Owned(msgspec.Struct, frozen=True):
    """An alias that can be paid to, and whose it is."""

    id: UUID
    owner_id: UUID
    kind: Kind
    canonical: str
    shown: str
    visibility: Visibility
    verified: bool
    owner_name: str


class Profile(msgspec.Struct, frozen=True):
    """What an owner has proved elsewhere, and how they are written to."""

    email: str | None
    phone: str | None
    locale: str | None


def _alias(row: asyncpg.Record) -> Alias:
    return Alias(
        id=str(row["id"]),
        owner_id=str(row["owner_id"]),
        alias=row["shown"],
        kind=row["kind"],
        status="released" if row["released_at"] else "active" if row["taken"] else "pending",
        visibility=row["visibility"],
        created_at=row["created_at"],
        verified_at=row["verified_at"],
        released_at=row["released_at"],
        kept_until=row["kept_until"],
    )


async def profile(connection: Connection, owner_id: UUID) -> Profile:
    """The verified addresses of an owner; a program has none."""
    row = await connection.fetchrow("SELECT email, phone, locale FROM identity.users WHERE id = $1", owner_id)
    return Profile(row["email"], row["phone"], row["locale"]) if row else Profile(None, None, None)


async def count(connection: Connection, owner_id: UUID, *, custom: bool) -> int:
    """How many aliases an owner has, pending ones included: custom ones, or all others."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM identity.aliases WHERE owner_id = $1 AND released_at IS NULL AND (kind = 'custom') = $2",
        owner_id,
        custom,
    )
    return found


async def forget_ended(connection: Connection, name: Name, *, owner: UUID, now: datetime) -> None:
    """Delete what would be in the way of the owner's taking this alias and need not be: what was released."""
    await connection.execute(
        """
        DELETE FROM identity.aliases
        WHERE kind = $1 AND skeleton = $2 AND released_at IS NOT NULL AND (owner_id = $3 OR kept_until <= $4)
        """,
        name.kind,
        name.skeleton,
        owner,
        now,
    )


async def insert(
    connection: Connection,
    *,
    alias_id: UUID,
    owner: UUID,
    name: Name,
    visibility: Visibility,
    verified_at: datetime | None,
    now: datetime,
) -> Alias | None:
    """Add an alias; None if it is taken. Of two who add the same one, the second waits for the first one's end."""
    row = await connection.fetchrow(
        f"""
        INSERT INTO identity.aliases
            (id, owner_id, kind, shown, canonical, skeleton, visibility, created_at, verified_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT DO NOTHING
        RETURNING {_COLUMNS}
        """,
        alias_id,
        owner,
        name.kind,
        name.shown,
        name.canonical,
        name.skeleton,
        visibility,
        now,
        verified_at,
    )
    return _alias(row) if row else None


async def find(connection: Connection, name: Name, *, owner: UUID | None) -> Alias | None:
    """The owner's alias, pending or active; an operator finds active ones alone."""
    row = await connection.fetchrow(
        f"""
        SELECT {_COLUMNS} FROM identity.aliases
        WHERE kind = $1 AND canonical = $2 AND released_at IS NULL
          AND CASE WHEN $3::uuid IS NULL THEN taken ELSE owner_id = $3 END
        """,
        name.kind,
        name.canonical,
        owner,
    )
    return _alias(row) if row else None


async def page(connection: Connection, *, owner: UUID, before: UUID | None, limit: int) -> list[Alias]:
    """The owner's aliases that are not released, the newest first."""
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS} FROM identity.aliases
        WHERE owner_id = $1 AND released_at IS NULL AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC LIMIT $3
        """,
        owner,
        before,
        limit,
    )
    return [_alias(row) for row in rows]


async def active(connection: Connection, names: Sequence[Name], *, asks: UUID, sees_hidden: bool) -> list[Owned]:
    """Those of these aliases that can be paid to, and that whoever asks may know of."""
    rows = await connection.fetch(
        """
        SELECT alias.id, alias.owner_id, alias.kind, alias.canonical, alias.shown, alias.visibility,
            alias.verified_at IS NOT NULL AS verified, coalesce(person.display_name, owner.name) AS owner_name
        FROM unnest($1::text[], $2::text[]) AS wanted (kind, canonical)
        JOIN identity.aliases AS alias ON alias.kind = wanted.kind AND alias.canonical = wanted.canonical
        JOIN identity.owners AS owner ON owner.id = alias.owner_id
        LEFT JOIN identity.users AS person ON person.id = alias.owner_id
        WHERE alias.taken AND alias.released_at IS NULL AND person.closed_at IS NULL
          AND (alias.visibility <> 'hidden' OR alias.owner_id = $3 OR $4)
        """,
        [name.kind for name in names],
        [name.canonical for name in names],
        asks,
        sees_hidden,
    )
    return [Owned(**dict(row)) for row in rows]


async def names(connection: Connection, owners: Sequence[UUID]) -> dict[UUID, str]:
    """What these owners are called."""
    rows = await connection.fetch(
        """
        SELECT owner.id, coalesce(person.display_name, owner.name) AS name
        FROM identity.owners AS owner LEFT JOIN identity.users AS person ON person.id = owner.id
        WHERE owner.id = ANY($1)
        """,
        owners,
    )
    return {row["id"]: row["name"] for row in rows}


async def set_visibility(connection: Connection, alias_id: UUID, visibility: Visibility) -> Alias:
    """Set what it shows to others."""
    return await _changed(connection, "visibility = $2", alias_id, visibility)


async def release(connection: Connection, alias_id: UUID, *, now: datetime, kept_until: datetime) -> Alias:
    """Let go of an alias that was taken."""
    return await _changed(connection, "released_at = $2, kept_until = $3", alias_id, now, kept_until)


async def verify(connection: Connection, alias_id: UUID, *, now: datetime) -> Alias:
    """Let a pending alias be its owner's.

    Raises:
        UniqueViolation: somebody else has it.
    """
    return await _changed(
        connection, "verified_at = $2, code_hash = NULL, code_expires_at = NULL, code_tries = 0", alias_id, now
    )


async def forget(connection: Connection, alias_id: UUID) -> None:
    """Delete one that has never been taken."""
    await connection.execute("DELETE FROM identity.aliases WHERE id = $1 AND NOT taken", alias_id)


async def set_code(connection: Connection, alias_id: UUID, *, code_hash: bytes, expires_at: datetime) -> None:
    """The code that was sent now is the only one that counts."""
    await connection.execute(
        "UPDATE identity.aliases SET code_hash = $2, code_expires_at = $3, code_tries = 0 WHERE id = $1",
        alias_id,
        code_hash,
        expires_at,
    )


async def try_code(connection: Connection, alias_id: UUID, *, tries_max: int, now: datetime) -> bytes | None:
    """The hash to compare a try with, which counts; None if there is none (any more)."""
    found: bytes | None = await connection.fetchval(
        """
        UPDATE identity.aliases SET code_tries = code_tries + 1
        WHERE id = $1 AND code_hash IS NOT NULL AND code_tries < $2 AND code_expires_at > $3
        RETURNING code_hash
        """,
        alias_id,
        tries_max,
        now,
    )
    return found


async def _changed(connection: Connection, change: str, *values: object) -> Alias:
    row = await connection.fetchrow(f"UPDATE identity.aliases SET {change} WHERE id = $1 RETURNING {_COLUMNS}", *values)
    assert row is not None, "its owner's row is locked, so nobody can have deleted it"
    return _alias(row)
