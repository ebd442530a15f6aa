"""How far each sink was fed, and what comes next for it."""

from __future__ import annotations

import msgspec

from billfold.platform.postgres.database import Connection


class Place(msgspec.Struct, frozen=True):
    """Where a sink is: what it was fed, in which round, and how many records there are."""

    fed: int
    round: int
    total: int


async def place(connection: Connection, name: str) -> Place:
    """Where this sink is; the first time it is at the beginning."""
    await connection.execute("INSERT INTO audit.sink_places (name) VALUES ($1) ON CONFLICT DO NOTHING", name)
    row = await connection.fetchrow(
        "SELECT fed, round, (SELECT coalesce(max(position) + 1, 0) FROM audit.records) FROM audit.sink_places "
        "WHERE name = $1",
        name,
    )
    assert row is not None, "nobody deletes it"
    return Place(*row)


async def following(connection: Connection, begin: int, *, limit: int, max_bytes: int) -> list[bytes]:
    """The texts of so many records from `begin` on; of fewer when they are large, and never of none if there is one."""
    found = await connection.fetch(
        "SELECT content FROM (SELECT position, content, "
        "sum(octet_length(content)) OVER (ORDER BY position) - octet_length(content) AS before "
        "FROM audit.records WHERE position >= $1 AND position < $2) AS asked WHERE before < $3 ORDER BY position",
        begin,
        begin + limit,
        max_bytes,
    )
    return [row[0] for row in found]


async def move(connection: Connection, name: str, at: Place, *, by: int) -> None:
    """Note that it was fed that much more, unless it was moved meanwhile."""
    await connection.execute(
        "UPDATE audit.sink_places SET fed = fed + $4 WHERE name = $1 AND fed = $2 AND round = $3",
        name,
        at.fed,
        at.round,
        by,
    )


async def restart(connection: Connection, name: str) -> int | None:
    """Have it fed from the beginning, and say how much that is; None if it was never fed."""
    total: int | None = await connection.fetchval(
        "UPDATE audit.sink_places SET fed = 0, round = round + 1 WHERE name = $1 "
        "RETURNING (SELECT coalesce(max(position) + 1, 0) FROM audit.records)",
        name,
    )
    return total
