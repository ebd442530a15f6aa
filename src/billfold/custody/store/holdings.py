"""SQL over addresses that may hold something, and over our coins as the chain was asked for them.

What has moved is found by the heights of deposits, of what was passed over and of our own transactions: a block costs
what it has moved, however many addresses there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from billfold.chains.port import Coin
from billfold.platform.postgres.database import Connection

#: A coin that no block has used up.
_UNSPENT = "height IS NOT NULL AND spent_height IS NULL"


class Held(msgspec.Struct, frozen=True):
    """An address, and '' or a token."""

    address: str
    token: str


async def folded(connection: Connection, chain: str) -> tuple[int, str] | None:
    """The last block whose movements are among the holdings."""
    row = await connection.fetchrow("SELECT height, hash FROM custody.folded WHERE chain = $1", chain)
    return None if row is None else (row["height"], row["hash"])


async def is_known(connection: Connection, chain: str, block: tuple[int, str]) -> bool:
    """Whether a block is one of those that were read and are still on the chain."""
    height, block_hash = block
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM custody.blocks WHERE chain = $1 AND height = $2 AND hash = $3)",
            chain,
            height,
            block_hash,
        )
    )


async def fold(connection: Connection, chain: str, *, after: int, height: int, tokens: Sequence[str]) -> None:
    """Note what blocks after one and up to another have moved; of tokens those that are assets."""
    await connection.execute(
        """
        INSERT INTO custody.holdings (chain, address, token)
        SELECT DISTINCT $1, address, token FROM (
            SELECT address, token FROM custody.deposits WHERE chain = $1 AND height > $2 AND height <= $3
            UNION ALL
            SELECT address, token FROM custody.ignored WHERE chain = $1 AND height > $2 AND height <= $3
            UNION ALL
            SELECT payer, paid.token FROM custody.tx_queue AS tx
                JOIN custody.allocations AS used ON used.id = tx.allocation_id
                CROSS JOIN LATERAL (VALUES (used.source), (coalesce(used.change, used.source))) AS payers (payer)
                CROSS JOIN LATERAL (
                    SELECT '' UNION SELECT coalesce(token, '') FROM custody.tx_payments WHERE tx_id = tx.id
                ) AS paid (token)
            WHERE tx.chain = $1 AND tx.height > $2 AND tx.height <= $3
        ) AS moved WHERE token = '' OR token = ANY($4::text[])
        ON CONFLICT (chain, address, token) DO UPDATE SET moved = true
        """,
        chain,
        after,
        height,
        list(tokens),
    )


async def set_folded(connection: Connection, chain: str, block: tuple[int, str]) -> None:
    """From now on what was moved up to this block is among the holdings."""
    await connection.execute(
        "INSERT INTO custody.folded (chain, height, hash) VALUES ($1, $2, $3) "
        "ON CONFLICT (chain) DO UPDATE SET height = $2, hash = $3",
        chain,
        *block,
    )


async def doubt(connection: Connection, chain: str, *, above: int) -> None:
    """What was asked above a height may have been of blocks that the chain has replaced."""
    await connection.execute("UPDATE custody.holdings SET moved = true WHERE chain = $1 AND height > $2", chain, above)


async def doubt_these(connection: Connection, chain: str, held: Sequence[Held]) -> None:
    """Ask for these again, and for the first time for those that are new."""
    await connection.execute(
        "INSERT INTO custody.holdings (chain, address, token) "
        "SELECT DISTINCT $1, address, token FROM unnest($2::text[], $3::text[]) AS known (address, token) "
        "ON CONFLICT (chain, address, token) DO UPDATE SET moved = true",
        chain,
        [one.address for one in held],
        [one.token for one in held],
    )


async def moved(connection: Connection, chain: str, *, limit: int) -> list[Held]:
    """Those that have moved since they were asked for."""
    rows = await connection.fetch(
        "SELECT address, token FROM custody.holdings WHERE chain = $1 AND moved ORDER BY address, token LIMIT $2",
        chain,
        limit,
    )
    return [Held(*row) for row in rows]


async def oldest(connection: Connection, chain: str, *, before: datetime, limit: int) -> list[Held]:
    """Those that hold something and were asked for before an instant, the longest ago first."""
    rows = await connection.fetch(
        "SELECT address, token FROM custody.holdings WHERE chain = $1 AND NOT moved AND balance > 0 "
        "AND asked_at < $2 ORDER BY asked_at LIMIT $3",
        chain,
        before,
        limit,
    )
    return [Held(*row) for row in rows]


async def keep(connection: Connection, chain: str, found: Mapping[Held, int], *, height: int, now: datetime) -> None:
    """Keep what the chain has answered, when it was read up to `height`."""
    await connection.execute(
        "UPDATE custody.holdings AS held SET balance = new.balance, height = $2, moved = false, asked_at = $3 "
        "FROM unnest($4::text[], $5::text[], $6::numeric[]) AS new (address, token, balance) "
        "WHERE held.chain = $1 AND held.address = new.address AND held.token = new.token",
        chain,
        height,
        now,
        [one.address for one in found],
        [one.token for one in found],
        list(found.values()),
    )


async def asked_at_height(connection: Connection, chain: str, address: str) -> int:
    """How far the chain had been read when it was asked for the coin of an address; -1 if it never was."""
    found: int | None = await connection.fetchval(
        "SELECT height FROM custody.holdings WHERE chain = $1 AND address = $2 AND token = ''", chain, address
    )
    return -1 if found is None else found


async def sums(connection: Connection, chain: str, *, addresses: Sequence[str] | None = None) -> dict[str, int]:
    """What all addresses hold, or these alone, by token."""
    rows = await connection.fetch(
        "SELECT token, sum(balance) FROM custody.holdings WHERE chain = $1 AND balance > 0 "
        "AND ($2::text[] IS NULL OR address = ANY($2)) GROUP BY token",
        chain,
        None if addresses is None else list(addresses),
    )
    return {row[0]: int(row[1]) for row in rows}


async def not_asked_since(connection: Connection, chain: str, instant: datetime) -> int:
    """How many addresses that hold something were not asked for since then, and how many coins."""
    found: int = await connection.fetchval(
        f"""
        SELECT (SELECT count(*) FROM custody.holdings WHERE chain = $1 AND (moved OR (balance > 0 AND asked_at < $2)))
            + (SELECT count(*) FROM custody.coins
               WHERE chain = $1 AND {_UNSPENT} AND (checked_at IS NULL OR checked_at < $2))
        """,
        chain,
        instant,
    )
    return found


async def coins_to_check(connection: Connection, chain: str, *, before: datetime, limit: int) -> list[Coin]:
    """Coins that the chain was never asked for, or longest ago; and those that it did not have, whenever that was."""
    rows = await connection.fetch(
        f"""
        (SELECT chain_tx, index, address, amount FROM custody.coins
         WHERE chain = $1 AND {_UNSPENT} AND missing LIMIT $3)
        UNION ALL
        (SELECT chain_tx, index, address, amount FROM custody.coins
         WHERE chain = $1 AND {_UNSPENT} AND NOT missing AND (checked_at IS NULL OR checked_at < $2)
         ORDER BY checked_at NULLS FIRST LIMIT $3)
        """,
        chain,
        before,
        limit,
    )
    return [Coin(chain_tx=row[0], index=row[1], address=row[2], amount=int(row[3])) for row in rows]


async def checked(
    connection: Connection, chain: str, coins: Sequence[Coin], missing: Sequence[Coin], *, now: datetime
) -> None:
    """Keep which of these coins the chain has."""
    absent = {(coin.chain_tx, coin.index) for coin in missing}
    await connection.execute(
        "UPDATE custody.coins AS coin SET checked_at = $2, missing = new.missing "
        "FROM unnest($3::text[], $4::text[], $5::boolean[]) AS new (chain_tx, index, missing) "
        "WHERE coin.chain = $1 AND coin.chain_tx = new.chain_tx AND coin.index = new.index",
        chain,
        now,
        [coin.chain_tx for coin in coins],
        [coin.index for coin in coins],
        [(coin.chain_tx, coin.index) in absent for coin in coins],
    )


async def coins_sum(connection: Connection, chain: str, *, addresses: Sequence[str] | None = None) -> int:
    """What all our coins are worth that the chain has, or those at these addresses alone."""
    found = await connection.fetchval(
        f"SELECT coalesce(sum(amount), 0) FROM custody.coins WHERE chain = $1 AND {_UNSPENT} AND NOT missing "
        "AND ($2::text[] IS NULL OR address = ANY($2))",
        chain,
        None if addresses is None else list(addresses),
    )
    return int(found)


async def missing_coins(connection: Connection, chain: str, *, limit: int) -> list[Coin]:
    """Coins that no block has used up, as far as we have read, and that the chain does not have."""
    rows = await connection.fetch(
        f"SELECT chain_tx, index, address, amount FROM custody.coins WHERE chain = $1 AND {_UNSPENT} AND missing "
        "ORDER BY chain_tx, index LIMIT $2",
        chain,
        limit,
    )
    return [Coin(chain_tx=row[0], index=row[1], address=row[2], amount=int(row[3])) for row in rows]
