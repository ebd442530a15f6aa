"""SQL over people, for those who look after them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from billfold.identity.contracts import User
from billfold.platform.postgres.database import Connection

if TYPE_CHECKING:
    import asyncpg

_COLUMNS = "id, display_name, email, phone, locale, time_zone, roles, created_at, closed_at"


class UserQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which people are wanted; None is no matter."""

    email: str | None = None
    #: In the form in which it is compared.
    handle: str | None = None
    before: UUID | None = None


def _user(row: asyncpg.Record) -> User:
    values = {name: row[name] for name in User.__struct_fields__}
    return User(**(values | {"id": str(row["id"])}))


async def find(connection: Connection, user_id: UUID) -> User | None:
    """Somebody, who may have left."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM identity.users WHERE id = $1", user_id)
    return _user(row) if row else None


async def with_email(connection: Connection, email: str) -> User | None:
    """Whoever has this address."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM identity.users WHERE email = $1", email)
    return _user(row) if row else None


async def page(connection: Connection, query: UserQuery, *, limit: int) -> list[User]:
    """People, the newest first."""
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS} FROM identity.users
        WHERE ($1::text IS NULL OR email = $1)
            AND ($2::text IS NULL OR id IN (
                SELECT owner_id FROM identity.aliases
                WHERE kind = 'handle' AND canonical = $2 AND taken AND released_at IS NULL
            ))
            AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,
        query.email,
        query.handle,
        query.before,
        limit,
    )
    return [_user(row) for row in rows]


async def set_roles(connection: Connection, user_id: UUID, roles: Collection[str]) -> None:
    """Give somebody these roles and no others."""
    await connection.execute("UPDATE identity.users SET roles = $2 WHERE id = $1", user_id, sorted(roles))
