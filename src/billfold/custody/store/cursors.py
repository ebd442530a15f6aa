"""How far each chain is read, and the blocks that were read last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from billfold.platform.postgres.database import Connection

_CURSOR = (
    "chain, network, first_height, height, hash, block_time, moved_at, head_height, head_at, halted, halted_detail, "
    "depth_allowed, partial_from"
)


class Cursor(msgspec.Struct, frozen=True):
    """How far a chain is read."""

    chain: str
    network: str
    first_height: int
    height: int
    hash: str
    block_time: datetime
    moved_at: datetime
    head_height: int
    head_at: datetime
    halted: str | None
    halted_detail: str | None
    depth_allowed: int | None
    #: From which block on the nodes do not show all that a block moves.
    partial_from: int | None


class Known(msgspec.Struct, frozen=True):
    """A block that was read."""

    height: int
    hash: str
    parent: str
    time: datetime


async def get(connection: Connection, chain: str) -> Cursor | None:
    """The cursor of a chain, if it has been begun."""
    row = await connection.fetchrow(f"SELECT {_CURSOR} FROM custody.cursors WHERE chain = $1", chain)
    return None if row is None else Cursor(*row)


async def all_(connection: Connection) -> dict[str, Cursor]:
    """Every cursor, by chain."""
    rows = await connection.fetch(f"SELECT {_CURSOR} FROM custody.cursors")
    return {row["chain"]: Cursor(*row) for row in rows}


async def halted(connection: Connection) -> set[str]:
    """The chains that are read no further until an operator has looked."""
    rows = await connection.fetch("SELECT chain FROM custody.cursors WHERE halted IS NOT NULL")
    return {row["chain"] for row in rows}


async def begin(connection: Connection, *, chain: str, network: str, block: Known, now: datetime) -> None:
    """Begin to read at this block, unless somebody has begun."""
    await connection.execute(
        "INSERT INTO custody.cursors "
        "(chain, network, first_height, height, hash, block_time, moved_at, head_height, head_at) "
        "VALUES ($1, $2, $3, $3, $4, $5, $6, $3, $6) ON CONFLICT (chain) DO NOTHING",
        chain,
        network,
        block.height,
        block.hash,
        block.time,
        now,
    )
    await add_block(connection, chain, block)


async def move(connection: Connection, chain: str, *, before: tuple[int, str], to: Known, now: datetime) -> bool:
    """Move the cursor from where we believe it to be; False if it is not there, or halted."""
    moved = await connection.fetchval(
        "UPDATE custody.cursors SET height = $4, hash = $5, block_time = $6, moved_at = $7 "
        "WHERE chain = $1 AND height = $2 AND hash = $3 AND halted IS NULL RETURNING true",
        chain,
        *before,
        to.height,
        to.hash,
        to.time,
        now,
    )
    return bool(moved)


async def see(connection: Connection, chain: str, *, head: int, now: datetime) -> None:
    """Note what the nodes say is the last block."""
    await connection.execute(
        "UPDATE custody.cursors SET head_height = $2, head_at = $3 WHERE chain = $1", chain, head, now
    )


async def halt(connection: Connection, chain: str, *, reason: str, detail: str, now: datetime) -> None:
    """Read no more of it."""
    await connection.execute(
        "UPDATE custody.cursors SET halted = $2, halted_detail = $3, halted_at = $4 WHERE chain = $1",
        chain,
        reason,
        detail,
        now,
    )


async def resume(connection: Connection, chain: str, *, depth_allowed: int) -> bool:
    """Read on, and let the next reorganisation take back so many blocks; False if it was not halted."""
    resumed = await connection.fetchval(
        "UPDATE custody.cursors SET halted = NULL, halted_detail = NULL, halted_at = NULL, depth_allowed = $2 "
        "WHERE chain = $1 AND halted IS NOT NULL RETURNING true",
        chain,
        depth_allowed,
    )
    return bool(resumed)


async def begin_again(connection: Connection, chain: str, *, at: Known) -> bool:
    """Read a halted chain on from this block, and forget all blocks that were kept; False if it is not halted."""
    moved = await connection.fetchval(
        "UPDATE custody.cursors SET height = $2, hash = $3, block_time = $4, halted = NULL, halted_detail = NULL, "
        "halted_at = NULL, depth_allowed = NULL WHERE chain = $1 AND halted IS NOT NULL RETURNING true",
        chain,
        at.height,
        at.hash,
        at.time,
    )
    if moved:
        await drop_blocks(connection, chain, above=-1)
        await add_block(connection, chain, at)
    return bool(moved)


async def note_partial(connection: Connection, chain: str, *, since: int | None) -> None:
    """From this block on the nodes do not show all that a block moves; None: they do."""
    await connection.execute("UPDATE custody.cursors SET partial_from = $2 WHERE chain = $1", chain, since)


async def forget_allowance(connection: Connection, chain: str) -> None:
    """From now on a reorganisation may be as deep as the settings say."""
    await connection.execute("UPDATE custody.cursors SET depth_allowed = NULL WHERE chain = $1", chain)


async def add_block(connection: Connection, chain: str, block: Known) -> None:
    """Keep a block that was read."""
    await connection.execute(
        "INSERT INTO custody.blocks (chain, height, hash, parent, time) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (chain, height) DO NOTHING",
        chain,
        block.height,
        block.hash,
        block.parent,
        block.time,
    )


async def blocks_before(connection: Connection, chain: str, *, height: int, limit: int) -> Sequence[Known]:
    """The blocks that were read up to this height, the last first."""
    rows = await connection.fetch(
        "SELECT height, hash, parent, time FROM custody.blocks WHERE chain = $1 AND height <= $2 "
        "ORDER BY height DESC LIMIT $3",
        chain,
        height,
        limit,
    )
    return [Known(*row) for row in rows]


async def drop_blocks(connection: Connection, chain: str, *, above: int) -> None:
    """Forget the blocks above a height: they are not on the main chain any more."""
    await connection.execute("DELETE FROM custody.blocks WHERE chain = $1 AND height > $2", chain, above)


async def prune_blocks(connection: Connection, chain: str, *, keep: int) -> None:
    """Forget all but the last `keep` blocks, whatever leaps their heights make."""
    await connection.execute(
        """
        DELETE FROM custody.blocks WHERE chain = $1 AND height < (
            SELECT min(height)
            FROM (SELECT height FROM custody.blocks WHERE chain = $1 ORDER BY height DESC LIMIT $2) AS kept)
        """,
        chain,
        keep,
    )
