"""Coins that are ours, and transactions that we have signed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from billfold.platform.postgres.database import Connection


class New(msgspec.Struct, frozen=True):
    """A coin that a block gave us."""

    chain_tx: str
    index: str
    address: str
    amount: int
    mature_at: int


class Used(msgspec.Struct, frozen=True):
    """A coin, perhaps ours, that a block's transaction `by` has used up."""

    chain_tx: str
    index: str
    by: str


async def add(connection: Connection, chain: str, coins: Sequence[New], *, height: int) -> None:
    """Keep coins that a block gave us; one that another branch had is as it was."""
    await connection.execute(
        """
        INSERT INTO custody.coins (chain, chain_tx, index, address, amount, height, mature_at)
        SELECT $1, chain_tx, index, address, amount, $2, mature_at
        FROM unnest($3::text[], $4::text[], $5::text[], $6::numeric[], $7::bigint[])
            AS new (chain_tx, index, address, amount, mature_at)
        ON CONFLICT (chain, chain_tx, index) DO UPDATE SET height = EXCLUDED.height, mature_at = EXCLUDED.mature_at
        """,
        chain,
        height,
        [coin.chain_tx for coin in coins],
        [coin.index for coin in coins],
        [coin.address for coin in coins],
        [coin.amount for coin in coins],
        [coin.mature_at for coin in coins],
    )


async def spend(connection: Connection, chain: str, spent: Sequence[Used], *, height: int) -> set[str]:
    """Note which coins of ours a block has used up, and say which transactions did it: only ours can."""
    rows = await connection.fetch(
        """
        UPDATE custody.coins AS coin SET spent_height = $2
        FROM unnest($3::text[], $4::text[], $5::text[]) AS gone (chain_tx, index, by)
        WHERE coin.chain = $1 AND coin.chain_tx = gone.chain_tx AND coin.index = gone.index
        RETURNING gone.by
        """,
        chain,
        height,
        [one.chain_tx for one in spent],
        [one.index for one in spent],
        [one.by for one in spent],
    )
    return {row["by"] for row in rows}


async def unmine(connection: Connection, chain: str, *, above: int) -> None:
    """Take back what the blocks above a height gave and used up."""
    await connection.execute(
        "UPDATE custody.coins SET spent_height = NULL WHERE chain = $1 AND spent_height > $2", chain, above
    )
    await connection.execute("UPDATE custody.coins SET height = NULL WHERE chain = $1 AND height > $2", chain, above)


async def own(connection: Connection, chain: str, transactions: Iterable[str]) -> set[str]:
    """Those of these transactions that we have signed."""
    rows = await connection.fetch(
        "SELECT chain_tx FROM custody.own_transactions WHERE chain = $1 AND chain_tx = ANY($2)",
        chain,
        list(transactions),
    )
    return {row["chain_tx"] for row in rows}


async def fed(connection: Connection, chain: str, transactions: Iterable[str]) -> set[str]:
    """Those of these transactions that bring deposits' addresses what their sweeps cost."""
    rows = await connection.fetch(
        "SELECT chain_tx FROM custody.tx_queue WHERE chain = $1 AND chain_tx = ANY($2) AND kind = 'gas'",
        chain,
        list(transactions),
    )
    return {row["chain_tx"] for row in rows}
