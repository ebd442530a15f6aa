"""Proofs of reserves: how far each is made, and what each holder's own proof is made of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from billfold.custody.domain.sum_trees import Node
from billfold.platform.postgres.database import Connection


class Row(msgspec.Struct, frozen=True):
    """A snapshot."""

    id: UUID
    at: datetime
    assets: Sequence[str]
    secret: bytes
    state: str
    root: bytes | None
    reason: str

    def __repr__(self) -> str:
        return f"Row({self.id})"


class Tree(msgspec.Struct, frozen=True):
    """What is owed of an asset."""

    asset: str
    scale: int
    chain: str
    token: str | None
    depth: int
    top: bytes
    owed: int
    below_zero: int


class Chunk(msgspec.Struct, frozen=True):
    """The top of some leaves in a row."""

    number: int
    first_holder: bytes
    node: Node


_ROW = "id, at, assets, secret, state, root, reason"
_TREE = ("asset", "scale", "chain", "token", "depth", "top", "owed", "below_zero")


async def request(
    connection: Connection, snapshot_id: UUID, *, at: datetime, assets: Sequence[str], secret: bytes, asked_by: UUID
) -> Row | None:
    """Ask for one; None if another is being made."""
    row = await connection.fetchrow(
        "INSERT INTO custody.reserve_snapshots (id, at, assets, secret, state, asked_by) "
        f"VALUES ($1, $2, $3, $4, 'requested', $5) ON CONFLICT DO NOTHING RETURNING {_ROW}",
        *(snapshot_id, at, list(assets), secret, asked_by),
    )
    return None if row is None else Row(*row)


async def requested(connection: Connection) -> Row | None:
    """The one that is to be made."""
    row = await connection.fetchrow(f"SELECT {_ROW} FROM custody.reserve_snapshots WHERE state = 'requested'")
    return None if row is None else Row(*row)


async def get(connection: Connection, snapshot_id: UUID) -> Row | None:
    """One of them."""
    row = await connection.fetchrow(f"SELECT {_ROW} FROM custody.reserve_snapshots WHERE id = $1", snapshot_id)
    return None if row is None else Row(*row)


async def latest(connection: Connection, *, limit: int, done: bool = False) -> list[Row]:
    """The newest first; of those that are done, if `done`."""
    rows = await connection.fetch(
        f"SELECT {_ROW} FROM custody.reserve_snapshots WHERE NOT $2 OR state = 'done' ORDER BY id DESC LIMIT $1",
        limit,
        done,
    )
    return [Row(*row) for row in rows]


async def document(connection: Connection, snapshot_id: UUID) -> bytes | None:
    """The published file of one that is done."""
    found: bytes | None = await connection.fetchval(
        "SELECT document FROM custody.reserve_snapshots WHERE id = $1", snapshot_id
    )
    return found


async def finish(
    connection: Connection, snapshot_id: UUID, *, root: bytes, document: bytes, now: datetime, kept: int
) -> None:
    """It is done. Only the newest `kept` have proofs for their holders from now on."""
    await connection.execute(
        "UPDATE custody.reserve_snapshots SET state = 'done', root = $2, document = $3, reason = '', done_at = $4 "
        "WHERE id = $1 AND state = 'requested'",
        *(snapshot_id, root, document, now),
    )
    for table in ("reserve_leaves", "reserve_chunks"):
        await connection.execute(
            f"DELETE FROM custody.{table} WHERE snapshot_id NOT IN "
            "(SELECT id FROM custody.reserve_snapshots WHERE state <> 'failed' ORDER BY id DESC LIMIT $1)",
            kept,
        )


async def note(connection: Connection, snapshot_id: UUID, *, reason: str, failed: bool) -> None:
    """Say what it waits for, or why it has failed."""
    await connection.execute(
        "UPDATE custody.reserve_snapshots SET reason = $2, state = CASE WHEN $3 THEN 'failed' ELSE state END "
        "WHERE id = $1 AND state = 'requested'",
        *(snapshot_id, reason, failed),
    )


async def trees(connection: Connection, snapshot_id: UUID) -> list[Tree]:
    """What is owed of each asset, in the order of their codes."""
    rows = await connection.fetch(
        f'SELECT {", ".join(_TREE)} FROM custody.reserve_trees WHERE snapshot_id = $1 ORDER BY asset COLLATE "C"',
        snapshot_id,
    )
    return [Tree(*row) for row in rows]


async def clear(connection: Connection, snapshot_id: UUID, asset: str) -> None:
    """Forget leaves of a tree that was begun and not finished."""
    await connection.execute(
        "DELETE FROM custody.reserve_leaves WHERE snapshot_id = $1 AND asset = $2", snapshot_id, asset
    )


async def add_leaves(
    connection: Connection, snapshot_id: UUID, asset: str, leaves: Sequence[tuple[bytes, int]]
) -> None:
    """Add holders and amounts."""
    await connection.execute(
        "INSERT INTO custody.reserve_leaves (snapshot_id, asset, holder, amount) "
        "SELECT $1, $2, holder, amount FROM unnest($3::bytea[], $4::numeric[]) AS new (holder, amount)",
        *(snapshot_id, asset, [holder for holder, _ in leaves], [amount for _, amount in leaves]),
    )


async def leaves(
    connection: Connection, snapshot_id: UUID, asset: str, *, first: bytes, limit: int
) -> list[tuple[bytes, int]]:
    """Leaves in their order, from a holder on."""
    rows = await connection.fetch(
        "SELECT holder, amount FROM custody.reserve_leaves WHERE snapshot_id = $1 AND asset = $2 AND holder >= $3 "
        "ORDER BY holder LIMIT $4",
        *(snapshot_id, asset, first, limit),
    )
    return [(row["holder"], int(row["amount"])) for row in rows]


async def add_tree(connection: Connection, snapshot_id: UUID, tree: Tree, chunks: Sequence[Chunk]) -> None:
    """A tree is finished."""
    await connection.execute(
        "INSERT INTO custody.reserve_chunks (snapshot_id, asset, number, first_holder, hash, sum) "
        "SELECT $1, $2, * FROM unnest($3::int[], $4::bytea[], $5::bytea[], $6::numeric[])",
        *(snapshot_id, tree.asset, [one.number for one in chunks], [one.first_holder for one in chunks]),
        *([one.node.hash for one in chunks], [one.node.sum for one in chunks]),
    )
    await connection.execute(
        f"INSERT INTO custody.reserve_trees (snapshot_id, {', '.join(_TREE)}) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        *(snapshot_id, *msgspec.structs.astuple(tree)),
    )


async def chunks(connection: Connection, snapshot_id: UUID, asset: str) -> list[Chunk]:
    """The tops of a tree's chunks, in their order."""
    rows = await connection.fetch(
        "SELECT number, first_holder, hash, sum FROM custody.reserve_chunks "
        "WHERE snapshot_id = $1 AND asset = $2 ORDER BY number",
        *(snapshot_id, asset),
    )
    return [Chunk(row["number"], row["first_holder"], Node(row["hash"], int(row["sum"]))) for row in rows]
