"""Addresses of ours that hold money, as far as we know without asking a node."""

from __future__ import annotations

import msgspec

from billfold.custody.domain.withdrawals import Purpose
from billfold.platform.postgres.database import Connection


class Held(msgspec.Struct, frozen=True):
    """An address, where its key is, and what we know that it holds of the chain's coin."""

    address: str
    purpose: Purpose
    place: int
    amount: int


async def by_coins(connection: Connection, chain: str, *, height: int, limit: int) -> tuple[list[Held], int]:
    """Of a chain of coins: those with coins after a block that was read, the richest first; and how many."""
    rows = await connection.fetch(
        """
        SELECT coin.address, known.purpose, known.place, sum(coin.amount) AS amount, count(*) OVER () AS addresses
        FROM custody.coins AS coin
        JOIN custody.addresses AS known ON known.chain = coin.chain AND known.address = coin.address AND known.memo = ''
        WHERE coin.chain = $1 AND coin.height <= $2 AND (coin.spent_height IS NULL OR coin.spent_height > $2)
        GROUP BY coin.address, known.purpose, known.place ORDER BY 4 DESC, 1 LIMIT $3
        """,
        *(chain, height, limit),
    )
    return [Held(row[0], row[1], row[2], int(row[3])) for row in rows], rows[0]["addresses"] if rows else 0


async def by_deposits(connection: Connection, chain: str, *, limit: int) -> tuple[list[Held], int]:
    """Of a chain of accounts: the house's, then those with deposits that no sweep has brought in; and how many."""
    rows = await connection.fetch(
        """
        WITH lying AS (
            SELECT deposit.address, sum(deposit.amount) AS amount FROM custody.deposits AS deposit
            LEFT JOIN custody.allocations AS sweep ON sweep.id = deposit.swept_by
            WHERE deposit.chain = $1 AND (deposit.state IN ('crediting', 'credited')
                OR deposit.state = 'releasable'
                AND (deposit.sweep_at IS NOT NULL OR sweep.state IN ('living', 'settling')))
            GROUP BY deposit.address
        )
        SELECT known.address, known.purpose, known.place, coalesce(lying.amount, 0), count(*) OVER () AS addresses
        FROM custody.addresses AS known LEFT JOIN lying ON lying.address = known.address
        WHERE known.chain = $1 AND known.memo = '' AND (known.wallet_id IS NULL OR lying.address IS NOT NULL)
        ORDER BY known.wallet_id IS NOT NULL, 4 DESC, 1 LIMIT $2
        """,
        chain,
        limit,
    )
    return [Held(row[0], row[1], row[2], int(row[3])) for row in rows], rows[0]["addresses"] if rows else 0
