"""Key trees, each with its sealed seed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from billfold.chains.port import Network
from billfold.platform.postgres.database import Connection


class Row(msgspec.Struct, frozen=True):
    """A tree as it is kept."""

    id: UUID
    chain: str
    network: Network
    public: str | None
    version: int
    provider: str
    master_key: str
    sealed: bytes
    created_at: datetime


_COLUMNS = "id, chain, network, public, version, provider, master_key, sealed, created_at"


async def insert(connection: Connection, row: Row) -> bool:
    """Add it; False if there is one of this id."""
    done = await connection.execute(
        f"INSERT INTO signer.trees ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        *msgspec.structs.astuple(row),
    )
    return done == "INSERT 0 1"


async def find(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Those that there are."""
    rows = await connection.fetch(f"SELECT {_COLUMNS} FROM signer.trees WHERE id = ANY($1)", list(ids))
    return {row["id"]: Row(*row) for row in rows}


async def every(connection: Connection, *, limit: int) -> list[Row]:
    """All, the oldest first."""
    rows = await connection.fetch(f"SELECT {_COLUMNS} FROM signer.trees ORDER BY created_at, id LIMIT $1", limit)
    return [Row(*row) for row in rows]


async def count(connection: Connection) -> int:
    """How many there are."""
    found: int = await connection.fetchval("SELECT count(*) FROM signer.trees")
    return found


async def reseal(connection: Connection, row: Row, *, version: int) -> bool:
    """Keep it as it is sealed anew; False if it is no longer of this `version`."""
    done = await connection.execute(
        "UPDATE signer.trees SET version = $3, provider = $4, master_key = $5, sealed = $6 "
        "WHERE id = $1 AND version = $2",
        row.id,
        version,
        row.version,
        row.provider,
        row.master_key,
        row.sealed,
    )
    return done == "UPDATE 1"


async def any_of_money(connection: Connection) -> bool:
    """Whether there is one that is not of a sandbox."""
    found: bool = await connection.fetchval("SELECT EXISTS (SELECT FROM signer.trees WHERE network <> 'sandbox')")
    return found
