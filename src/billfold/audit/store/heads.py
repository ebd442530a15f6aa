"""Signed heads, to whom they were told, and the keys that sign them."""

from __future__ import annotations

from datetime import datetime

import msgspec

from billfold.platform.postgres.database import Connection


class KeptHead(msgspec.Struct, frozen=True):
    """A head as it is kept."""

    size: int
    root: bytes
    sealed_at: datetime
    note: str


_COLUMNS = "size, root, sealed_at, note"


async def latest(connection: Connection) -> KeptHead | None:
    """The newest head, if there is one."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM audit.heads ORDER BY size DESC LIMIT 1")
    return None if row is None else KeptHead(*row)


async def find(connection: Connection, size: int) -> KeptHead | None:
    """The head of that size."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM audit.heads WHERE size = $1", size)
    return None if row is None else KeptHead(*row)


async def page(connection: Connection, *, before: int | None, limit: int) -> list[KeptHead]:
    """Heads, the newest first."""
    found = await connection.fetch(
        f"SELECT {_COLUMNS} FROM audit.heads WHERE $1::bigint IS NULL OR size < $1 ORDER BY size DESC LIMIT $2",
        before,
        limit,
    )
    return [KeptHead(*row) for row in found]


async def sizes(connection: Connection) -> list[int]:
    """The sizes of all heads, from the first to the last."""
    return [row[0] for row in await connection.fetch("SELECT size FROM audit.heads ORDER BY size")]


async def insert(connection: Connection, head: KeptHead) -> None:
    """Add a head."""
    await connection.execute(
        f"INSERT INTO audit.heads ({_COLUMNS}) VALUES ($1, $2, $3, $4)", *msgspec.structs.astuple(head)
    )


async def unpublished(connection: Connection, place: str, *, limit: int) -> list[KeptHead]:
    """Heads that this place was not told since it was last told one, the oldest first."""
    found = await connection.fetch(
        f"SELECT {_COLUMNS} FROM audit.heads WHERE size > "
        "(SELECT coalesce(max(size), -1) FROM audit.publications WHERE place = $1) ORDER BY size LIMIT $2",
        place,
        limit,
    )
    return [KeptHead(*row) for row in found]


async def published(connection: Connection, place: str, size: int) -> None:
    """Note that this place was told that head."""
    await connection.execute(
        "INSERT INTO audit.publications (place, size) VALUES ($1, $2) ON CONFLICT DO NOTHING", place, size
    )


async def signing_key(connection: Connection) -> tuple[str, bytes] | None:
    """The key that signs now: its public half, and its private half sealed."""
    row = await connection.fetchrow("SELECT public, sealed FROM audit.signing_keys ORDER BY number DESC LIMIT 1")
    return None if row is None else (row[0], row[1])


async def public_keys(connection: Connection) -> list[str]:
    """The public halves of all keys that have signed, the newest first."""
    return [row[0] for row in await connection.fetch("SELECT public FROM audit.signing_keys ORDER BY number DESC")]


async def insert_signing_key(connection: Connection, public: str, sealed: bytes) -> None:
    """Add a key, which signs from now on."""
    await connection.execute("INSERT INTO audit.signing_keys (public, sealed) VALUES ($1, $2)", public, sealed)
