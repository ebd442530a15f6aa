"""The tree: hashes of complete subtrees at every eighth level; those between are made of 128 hashes at most.

Level 0 is the hashes of the records themselves, in their own table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from billfold.audit.domain import merkle
from billfold.audit.domain.merkle import Node
from billfold.audit.store import records
from billfold.platform.postgres.database import Connection

#: Levels of the tree from one kept level to the next: 256 hashes each.
STEP = 8
WIDTH = 1 << STEP


async def nodes(connection: Connection, asked: Iterable[Node]) -> dict[Node, bytes]:
    """The hashes of these complete subtrees."""
    found = {}
    for node in set(asked):
        kept, above = divmod(node.level, STEP)
        begin, end = node.number << above, (node.number + 1) << above
        hashes = await (records.leaves(connection, begin, end) if kept == 0 else _kept(connection, kept, begin, end))
        assert len(hashes) == end - begin, "the subtree is complete"
        found[node] = merkle.complete_root(hashes)
    return found


async def sealed(connection: Connection, level: int) -> int:
    """How many subtrees of a kept level there are."""
    found: int = await connection.fetchval(
        'SELECT coalesce(max("index") + 1, 0) FROM audit.subtrees WHERE level = $1', level
    )
    return found


async def insert(connection: Connection, level: int, first: int, hashes: Sequence[bytes]) -> None:
    """Add subtrees of a kept level, from number `first` on."""
    await connection.copy_records_to_table(
        "subtrees",
        schema_name="audit",
        columns=["level", "index", "hash"],
        records=[(level, first + place, found) for place, found in enumerate(hashes)],
    )


async def elements(connection: Connection, level: int, begin: int, end: int) -> list[bytes]:
    """What the subtrees of a kept level are made of: leaves for the first, subtrees of the level below for others."""
    if level == 1:
        return await records.leaves(connection, begin, end)
    return await _kept(connection, level - 1, begin, end)


async def _kept(connection: Connection, level: int, begin: int, end: int) -> list[bytes]:
    found = await connection.fetch(
        'SELECT hash FROM audit.subtrees WHERE level = $1 AND "index" >= $2 AND "index" < $3 ORDER BY "index"',
        level,
        begin,
        end,
    )
    return [row[0] for row in found]
