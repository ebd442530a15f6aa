"""SQL over what our transactions use up, and in whose hands it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from billfold.custody.domain.withdrawals import Allocation, Coin
from billfold.platform.postgres.database import Connection

State = Literal["living", "settling", "used", "dead", "freed"]


class AllocationRow(msgspec.Struct, frozen=True):
    """What a transaction uses up, without its coins."""

    id: UUID
    chain: str
    source: str
    change: str | None
    nonce: int | None
    anchor: str | None
    last_height: int | None
    expires_at: datetime | None
    state: State
    house_fee: int | None
    fence: int = 0

    @property
    def endures(self) -> bool:
        """Whether its anchor is a durable nonce: what has the same one takes its place, however late."""
        return self.anchor is not None and self.last_height is None


_ROW = "id, chain, source, change, nonce, anchor, last_height, expires_at, state, house_fee, fence"


async def lock_chain(connection: Connection, chain: str) -> None:
    """Let what uses anything up on a chain be decided one after the other, until the database transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('custody allocations:' || $1, 0))", chain)


async def living(connection: Connection, chain: str) -> Mapping[str, int]:
    """How many living allocations each source has."""
    rows = await connection.fetch(
        "SELECT source, count(*) FROM custody.allocations WHERE chain = $1 AND state IN ('living', 'settling') "
        "GROUP BY source",
        chain,
    )
    return {row[0]: row[1] for row in rows}


async def next_nonces(connection: Connection, chain: str, source: str, *, least: int, count: int) -> list[int]:
    """The smallest numbers from `least` on that we have not used up and are not about to; `least` is the chain's next.

    A number that was given back is given out again, or all later ones would wait for it. That is safe: of two
    transactions with the same number of a source one at most can happen. The caller has the chain locked.
    """
    rows = await connection.fetch(
        """
        WITH taken AS (
            SELECT nonce FROM custody.allocations
            WHERE chain = $1 AND source = $2 AND nonce >= $3 AND state IN ('living', 'settling', 'used')
        )
        SELECT nonce FROM generate_series($3::numeric, $3::numeric + $4 - 1 + (SELECT count(*) FROM taken)) AS nonce
        WHERE nonce NOT IN (SELECT nonce FROM taken) ORDER BY nonce LIMIT $4
        """,
        chain,
        source,
        least,
        count,
    )
    return [row[0] for row in rows]


async def is_followed(connection: Connection, row: AllocationRow) -> bool:
    """Whether a living allocation has a later number of the same source, and waits for this one."""
    return row.nonce is not None and bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM custody.allocations WHERE chain = $1 AND source = $2 AND nonce > $3 "
            "AND state = 'living')",
            row.chain,
            row.source,
            row.nonce,
        )
    )


async def free_coins(connection: Connection, chain: str, *, height: int, final: int, limit: int) -> list[Coin]:
    """Coins of ours that nothing uses up, from blocks up to `final`, the largest first, locked."""
    rows = await connection.fetch(
        "SELECT chain_tx, index, address, amount FROM custody.coins WHERE chain = $1 AND height <= $4 "
        "AND mature_at <= $2 AND spent_height IS NULL AND allocated_to IS NULL "
        "ORDER BY amount DESC, chain_tx, index LIMIT $3 FOR UPDATE",
        chain,
        height,
        limit,
        final,
    )
    return [Coin(chain_tx=row[0], index=row[1], address=row[2], amount=row[3]) for row in rows]


async def mark_coins(connection: Connection, chain: str, coins: Sequence[Coin], allocation_id: UUID) -> None:
    """Let these coins be an allocation's."""
    marked = await connection.execute(
        "UPDATE custody.coins c SET allocated_to = $4 FROM unnest($2::text[], $3::text[]) AS o(chain_tx, index) "
        "WHERE c.chain = $1 AND c.chain_tx = o.chain_tx AND c.index = o.index AND c.allocated_to IS NULL",
        chain,
        [coin.chain_tx for coin in coins],
        [coin.index for coin in coins],
        allocation_id,
    )
    assert marked == f"UPDATE {len(coins)}", "they were locked"


async def free_coins_of(connection: Connection, allocation_id: UUID) -> None:
    """Give the coins of an allocation back, but those that were used up."""
    await connection.execute(
        "UPDATE custody.coins SET allocated_to = NULL WHERE allocated_to = $1 AND spent_height IS NULL", allocation_id
    )


async def insert(connection: Connection, new: AllocationRow, *, now: datetime) -> None:
    """Add one, due at once."""
    await insert_all(connection, [new], now=now)


async def insert_all(connection: Connection, new: Sequence[AllocationRow], *, now: datetime) -> None:
    """Add those, due at once; what of the fee is the house's nobody knows yet."""
    await connection.execute(
        "INSERT INTO custody.allocations (id, chain, source, change, nonce, anchor, last_height, expires_at, state, "
        "created_at, next_at) SELECT new.*, $10, $10 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], "
        "$5::numeric[], $6::text[], $7::bigint[], $8::timestamptz[], $9::text[]) AS new",
        [row.id for row in new],
        [row.chain for row in new],
        [row.source for row in new],
        [row.change for row in new],
        [row.nonce for row in new],
        [row.anchor for row in new],
        [row.last_height for row in new],
        [row.expires_at for row in new],
        [row.state for row in new],
        now,
    )


async def take(
    connection: Connection, chain: str, *, now: datetime, until: datetime, limit: int
) -> list[AllocationRow]:
    """Allocations that are due and that nobody has in hand; they are the caller's `until` then."""
    rows = await connection.fetch(
        "UPDATE custody.allocations SET fence = fence + 1, next_at = $3 WHERE id IN ("
        "SELECT id FROM custody.allocations WHERE chain = $1 AND state IN ('living', 'settling') AND next_at <= $2 "
        f"ORDER BY next_at, nonce, id LIMIT $4 FOR UPDATE SKIP LOCKED) RETURNING {_ROW}",
        chain,
        now,
        until,
        limit,
    )
    return sorted((AllocationRow(*row) for row in rows), key=lambda row: (row.nonce or 0, row.id))


async def lock(connection: Connection, allocation_id: UUID, *, fence: int | None = None) -> AllocationRow | None:
    """An allocation, if it is still the caller's by its fence; without one it is taken from whoever has it."""
    row = await connection.fetchrow(
        "UPDATE custody.allocations SET fence = fence + CASE WHEN $2::bigint IS NULL THEN 1 ELSE 0 END "
        f"WHERE id = $1 AND fence = coalesce($2, fence) AND state IN ('living', 'settling') RETURNING {_ROW}",
        allocation_id,
        fence,
    )
    return None if row is None else AllocationRow(*row)


async def get(connection: Connection, allocation_id: UUID) -> AllocationRow:
    """One, which somebody else may have in hand."""
    row = await connection.fetchrow(f"SELECT {_ROW} FROM custody.allocations WHERE id = $1", allocation_id)
    assert row is not None, "no allocation is deleted"
    return AllocationRow(*row)


async def content(connection: Connection, row: AllocationRow) -> Allocation:
    """What it is as a chain is told of it; its coins always in the same order."""
    coins = await connection.fetch(
        "SELECT chain_tx, index, address, amount FROM custody.coins WHERE allocated_to = $1 ORDER BY chain_tx, index",
        row.id,
    )
    return Allocation(
        source=row.source,
        coins=[Coin(chain_tx=one[0], index=one[1], address=one[2], amount=one[3]) for one in coins],
        change=row.change,
        nonce=row.nonce,
        anchor=row.anchor,
        last_height=row.last_height,
        expires_at=row.expires_at,
    )


async def change(
    connection: Connection,
    allocation_id: UUID,
    *,
    state: State,
    next_at: datetime,
    house_fee: int | None = None,
) -> None:
    """Let it be in another state. The caller has it locked."""
    await connection.execute(
        "UPDATE custody.allocations SET state = $2, next_at = $3, house_fee = coalesce($4, house_fee) WHERE id = $1",
        allocation_id,
        state,
        next_at,
        house_fee,
    )


async def postpone(connection: Connection, row: AllocationRow, *, next_at: datetime) -> None:
    """Look at it again then, unless somebody else has taken it since."""
    await connection.execute(
        "UPDATE custody.allocations SET next_at = $3 WHERE id = $1 AND fence = $2", row.id, row.fence, next_at
    )
