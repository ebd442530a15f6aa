"""Who may be given seeds, and what they were given: sealed for them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from billfold.platform.postgres.database import Connection
from billfold.signer.contracts import Recipient


class Export(msgspec.Struct, frozen=True):
    """What was given out for a request. It opens for its recipient alone."""

    request_id: UUID
    tree_id: UUID
    recipient: bytes
    package: bytes
    position: int


async def recipients(connection: Connection, *, limit: int) -> list[Recipient]:
    """Those that are allowed, by their names."""
    rows = await connection.fetch(
        "SELECT name, public_key, created_at FROM signer.recipients ORDER BY name LIMIT $1", limit
    )
    return [Recipient(*row) for row in rows]


async def recipient(connection: Connection, public_key: bytes) -> Recipient | None:
    """The one with this key, if it is allowed."""
    row = await connection.fetchrow(
        "SELECT name, public_key, created_at FROM signer.recipients WHERE public_key = $1", public_key
    )
    return None if row is None else Recipient(*row)


async def put_recipient(connection: Connection, name: str, public_key: bytes, *, now: datetime) -> bool:
    """Allow one; False if another one has the name or the key."""
    done = await connection.execute(
        "INSERT INTO signer.recipients (name, public_key, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        name,
        public_key,
        now,
    )
    return done == "INSERT 0 1"


async def remove_recipient(connection: Connection, name: str) -> bool:
    """Allow it no more; False if there is none."""
    return await connection.execute("DELETE FROM signer.recipients WHERE name = $1", name) == "DELETE 1"


async def find(connection: Connection, request_id: UUID) -> Export | None:
    """What was given out for a request."""
    row = await connection.fetchrow(
        "SELECT request_id, tree_id, recipient, package, position FROM signer.exports WHERE request_id = $1", request_id
    )
    return None if row is None else Export(*row)


async def insert(connection: Connection, export: Export) -> None:
    """Keep it."""
    await connection.execute(
        "INSERT INTO signer.exports (request_id, tree_id, recipient, package, position) VALUES ($1, $2, $3, $4, $5)",
        *msgspec.structs.astuple(export),
    )
