"""SQL over what lies ready of each asset, and over what operators are asked to bring."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from billfold.custody.contracts.treasury import RefillOutcome, Side
from billfold.custody.domain.withdrawals import Coin
from billfold.platform.postgres.database import Connection

Moved = Literal["sweep", "gas", "warm", "merge", "child"]


class Level(msgspec.Struct, frozen=True):
    """How much of an asset lies ready, as it was seen last."""

    asset: str
    chain: str
    free: int
    waiting: int
    low: int
    target: int
    high: int
    side: Side
    since: datetime
    looked_at: datetime


class Refill(msgspec.Struct, frozen=True):
    """What operators are asked to bring."""

    id: UUID
    chain: str
    asset: str
    amount: int
    address: str
    received: int
    opened_at: datetime
    closed_at: datetime | None = None
    outcome: RefillOutcome | None = None


_LEVEL = ", ".join(Level.__struct_fields__)
_REFILL = ", ".join(Refill.__struct_fields__)
#: Transactions that may still take something.
_OPEN = "a.state = 'living' AND t.state NOT IN ('dead', 'dropped', 'mined', 'final')"


async def waiting(connection: Connection, chain: str, asset: str) -> int:
    """What withdrawals without a transaction will take of an asset."""
    found = await connection.fetchval(
        "SELECT coalesce(sum(amount + network_fee), 0) FROM custody.withdrawals "
        "WHERE chain = $1 AND asset = $2 AND state IN ('requested', 'held')",
        chain,
        asset,
    )
    return int(found)


async def coming(connection: Connection, chain: str, token: str | None) -> int:
    """What sweeps are to bring that no block has yet."""
    found = await connection.fetchval(
        "SELECT coalesce(sum(p.amount), 0) FROM custody.tx_queue t JOIN custody.tx_payments p ON p.tx_id = t.id "
        "JOIN custody.allocations a ON a.id = t.allocation_id "
        f"WHERE a.chain = $1 AND {_OPEN} AND t.kind = 'sweep' AND p.token IS NOT DISTINCT FROM $2",
        chain,
        token,
    )
    return int(found)


async def coins_held(connection: Connection, chain: str, *, final: int, height: int) -> tuple[int, int]:
    """The sum of all coins that are ours and not used up; and of those that can be sent now, of blocks that stay."""
    row = await connection.fetchrow(
        "SELECT coalesce(sum(amount), 0), coalesce(sum(amount) FILTER "
        "(WHERE height <= $2 AND mature_at <= $3 AND allocated_to IS NULL), 0) "
        "FROM custody.coins WHERE chain = $1 AND height IS NOT NULL AND spent_height IS NULL",
        chain,
        final,
        height,
    )
    assert row is not None, "sums always are"
    return int(row[0]), int(row[1])


async def coin_counts(
    connection: Connection, chain: str, *, final: int, height: int, dust: int, below: int
) -> list[tuple[int, int]]:
    """Number and sum of free coins of blocks that stay: of all, of those from `dust` to `below`, of those of less."""
    row = await connection.fetchrow(
        "SELECT count(*), coalesce(sum(amount), 0), "
        "count(*) FILTER (WHERE amount > $4 AND amount < $5), "
        "coalesce(sum(amount) FILTER (WHERE amount > $4 AND amount < $5), 0), "
        "count(*) FILTER (WHERE amount <= $4), coalesce(sum(amount) FILTER (WHERE amount <= $4), 0) "
        "FROM custody.coins WHERE chain = $1 AND height <= $2 AND mature_at <= $3 AND spent_height IS NULL "
        "AND allocated_to IS NULL",
        *(chain, final, height, dust, below),
    )
    assert row is not None, "sums always are"
    return [(row[place], int(row[place + 1])) for place in (0, 2, 4)]


async def small_coins(
    connection: Connection, chain: str, *, final: int, height: int, dust: int, below: int, limit: int
) -> list[Coin]:
    """Free coins of blocks that stay, of more than `dust` and less than `below`, the smallest first, locked."""
    rows = await connection.fetch(
        "SELECT chain_tx, index, address, amount FROM custody.coins WHERE chain = $1 AND height <= $2 "
        "AND mature_at <= $3 AND spent_height IS NULL AND allocated_to IS NULL AND amount > $4 AND amount < $5 "
        "ORDER BY amount, chain_tx, index LIMIT $6 FOR UPDATE",
        *(chain, final, height, dust, below, limit),
    )
    return [Coin(chain_tx=row[0], index=row[1], address=row[2], amount=row[3]) for row in rows]


async def put_level(connection: Connection, new: Level) -> datetime:
    """Keep what was seen, and say since when the asset has been on that side."""
    since: datetime = await connection.fetchval(
        f"INSERT INTO custody.hot_levels AS old ({_LEVEL}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
        "ON CONFLICT (asset) DO UPDATE SET chain = excluded.chain, free = excluded.free, waiting = excluded.waiting, "
        "low = excluded.low, target = excluded.target, high = excluded.high, side = excluded.side, "
        "since = CASE WHEN old.side = excluded.side THEN old.since ELSE excluded.since END, "
        "looked_at = excluded.looked_at RETURNING since",
        *msgspec.structs.astuple(new),
    )
    return since


async def begin_again(connection: Connection, asset: str, *, now: datetime) -> None:
    """Count the time on a side from now on."""
    await connection.execute("UPDATE custody.hot_levels SET since = $2 WHERE asset = $1", asset, now)


async def levels(connection: Connection) -> list[Level]:
    """Of all assets."""
    rows = await connection.fetch(f"SELECT {_LEVEL} FROM custody.hot_levels ORDER BY chain, asset")
    return [Level(*row) for row in rows]


async def is_moving(connection: Connection, chain: str, *, token: str | None, since: datetime) -> bool:
    """Whether some of an asset is on its way to the warm address, or was when we began to look."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM custody.tx_queue t JOIN custody.tx_payments p ON p.tx_id = t.id "
            "JOIN custody.allocations a ON a.id = t.allocation_id WHERE a.chain = $1 AND t.kind = 'warm' "
            "AND p.token IS NOT DISTINCT FROM $2 AND (a.state IN ('living', 'settling') OR t.changed_at >= $3))",
            chain,
            token,
            since,
        )
    )


async def is_merging(connection: Connection, chain: str) -> bool:
    """Whether a merge is on its way."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM custody.tx_queue t JOIN custody.allocations a ON a.id = t.allocation_id "
            "WHERE a.chain = $1 AND t.kind = 'merge' AND a.state IN ('living', 'settling'))",
            chain,
        )
    )


async def open_refill(connection: Connection, new: Refill) -> bool:
    """Ask for it, unless something is asked for already."""
    return bool(
        await connection.fetchval(
            "INSERT INTO custody.refills (id, chain, asset, amount, address, opened_at) "
            "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (asset) WHERE closed_at IS NULL DO NOTHING RETURNING true",
            *(new.id, new.chain, new.asset, new.amount, new.address, new.opened_at),
        )
    )


async def lock_refill(connection: Connection, asset: str) -> Refill | None:
    """What is asked for of an asset."""
    row = await connection.fetchrow(
        f"SELECT {_REFILL} FROM custody.refills WHERE asset = $1 AND closed_at IS NULL FOR UPDATE", asset
    )
    return None if row is None else Refill(*row)


async def received(connection: Connection, refill: Refill) -> int:
    """What has come from the warm address since, and has its confirmations."""
    found = await connection.fetchval(
        "SELECT coalesce(sum(amount), 0) FROM custody.deposits WHERE kind = 'warm' AND asset = $1 "
        "AND credited_at >= $2 AND state IN ('credited', 'releasable')",
        refill.asset,
        refill.opened_at,
    )
    return int(found)


async def change_refill(connection: Connection, refill: Refill) -> None:
    """Keep what has come, and how it ended. The caller has it locked."""
    await connection.execute(
        "UPDATE custody.refills SET received = $2, closed_at = $3, outcome = $4 WHERE id = $1",
        *(refill.id, refill.received, refill.closed_at, refill.outcome),
    )


async def refills(connection: Connection, *, only_open: bool, before: UUID | None, limit: int) -> list[Refill]:
    """The newest first."""
    rows = await connection.fetch(
        f"SELECT {_REFILL} FROM custody.refills WHERE (NOT $1 OR closed_at IS NULL) AND ($2::uuid IS NULL OR id < $2) "
        "ORDER BY id DESC LIMIT $3",
        only_open,
        before,
        limit,
    )
    return [Refill(*row) for row in rows]
