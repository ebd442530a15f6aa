"""SQL over people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from billfold.identity.domain.addresses import AddressKind, Login
from billfold.identity.domain.sessions import KNOWN_FOR
from billfold.platform.postgres.database import Connection

if TYPE_CHECKING:
    import asyncpg

_COLUMNS = "id, email, phone, password_hash, display_name, locale, time_zone, roles, created_at"


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whose account is open."""

    id: UUID
    email: str | None
    phone: str | None
    password_hash: str | None
    display_name: str
    locale: str
    time_zone: str
    roles: list[str]
    created_at: datetime


class Found(msgspec.Struct, frozen=True):
    """Who is meant by a login, and whether they have been at the address that it comes from."""

    person: Person
    known_there: bool


def _person(row: asyncpg.Record) -> Person:
    return Person(**{name: row[name] for name in Person.__struct_fields__})


async def find(connection: Connection, user_id: UUID) -> Person | None:
    """Somebody whose account is open. They stay as they are for as long as their owner's row is locked."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM identity.users WHERE id = $1 AND closed_at IS NULL", user_id
    )
    return _person(row) if row else None


async def find_login(
    connection: Connection, login: Login, *, handle_of: UUID | None, address: str, now: datetime
) -> Found | None:
    """Whoever logs in like this. `handle_of` is whose the handle is, if it is one.

    The same statement whatever is asked, so that its time tells nothing.
    """
    row = await connection.fetchrow(
        f"""
        SELECT {_COLUMNS}, EXISTS (
            SELECT FROM identity.sessions AS session
            WHERE session.user_id = person.id AND session.address = $4 AND session.last_used_at > $5
        ) AS known_there
        FROM identity.users AS person
        WHERE (email = $1 OR phone = $2 OR id = $3) AND closed_at IS NULL
        """,
        login.text if login.kind == "email" else None,
        login.text if login.kind == "phone" else None,
        handle_of,
        address,
        now - KNOWN_FOR,
    )
    return Found(_person(row), row["known_there"]) if row else None


async def insert(
    connection: Connection,
    *,
    user_id: UUID,
    email: str | None,
    phone: str | None,
    password_hash: str | None,
    display_name: str,
    locale: str,
    time_zone: str,
    now: datetime,
) -> None:
    """Add somebody whose address is verified, as an owner too.

    Raises:
        UniqueViolation: somebody has the address.
    """
    # Owners' names are unique, and those of people are not: people go by their id there.
    await connection.execute(
        "INSERT INTO identity.owners (id, name, created_at) VALUES ($1, $2, $3)", user_id, str(user_id), now
    )
    await connection.execute(
        """
        INSERT INTO identity.users (id, email, email_verified_at, phone, phone_verified_at, password_hash,
            password_changed_at, display_name, locale, time_zone, created_at)
        VALUES ($1, $2::text, CASE WHEN $2::text IS NOT NULL THEN $8::timestamptz END,
            $3::text, CASE WHEN $3::text IS NOT NULL THEN $8::timestamptz END,
            $4::text, CASE WHEN $4::text IS NOT NULL THEN $8::timestamptz END, $5, $6, $7, $8)
        """,
        user_id,
        email,
        phone,
        password_hash,
        display_name,
        locale,
        time_zone,
        now,
    )


async def has_address(connection: Connection, kind: AddressKind, address: str) -> bool:
    """Whether somebody has the address."""
    found = await connection.fetchval(f"SELECT 1 FROM identity.users WHERE {kind} = $1", address)
    return found is not None


async def set_address(connection: Connection, user_id: UUID, kind: AddressKind, address: str, *, now: datetime) -> None:
    """Give somebody a verified address in the place of the one they had.

    Raises:
        UniqueViolation: somebody else has it.
    """
    await connection.execute(
        f"UPDATE identity.users SET {kind} = $2, {kind}_verified_at = $3 WHERE id = $1", user_id, address, now
    )


async def set_password(connection: Connection, user_id: UUID, password_hash: str, *, now: datetime) -> None:
    """Set a new password."""
    await connection.execute(
        "UPDATE identity.users SET password_hash = $2, password_changed_at = $3 WHERE id = $1",
        user_id,
        password_hash,
        now,
    )


async def replace_hash(connection: Connection, user_id: UUID, password_hash: str) -> None:
    """Keep another hash of the same password."""
    await connection.execute("UPDATE identity.users SET password_hash = $2 WHERE id = $1", user_id, password_hash)


async def change(connection: Connection, user_id: UUID, *, display_name: str, locale: str, time_zone: str) -> None:
    """Set what somebody says of themselves."""
    await connection.execute(
        "UPDATE identity.users SET display_name = $2, locale = $3, time_zone = $4 WHERE id = $1",
        user_id,
        display_name,
        locale,
        time_zone,
    )


async def close(connection: Connection, user_id: UUID, *, name: str, now: datetime) -> None:
    """Close somebody's account: their addresses are free again, and nothing of their password is left."""
    await connection.execute(
        """
        UPDATE identity.users
        SET closed_at = $2, email = NULL, email_verified_at = NULL, phone = NULL, phone_verified_at = NULL,
            password_hash = NULL, display_name = $3
        WHERE id = $1
        """,
        user_id,
        now,
        name,
    )


async def logged_in_at(connection: Connection, session_id: UUID) -> datetime | None:
    """When the user of this session last showed who they are."""
    at: datetime | None = await connection.fetchval(
        "SELECT authenticated_at FROM identity.sessions WHERE id = $1", session_id
    )
    return at
