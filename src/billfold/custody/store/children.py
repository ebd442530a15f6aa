"""SQL over children: transactions of ours that spend a coin of one that no block has yet."""

from __future__ import annotations

from uuid import UUID

from billfold.custody.domain.withdrawals import Coin
from billfold.custody.store.queue import Tx
from billfold.platform.postgres.database import Connection

_TX = ", ".join(f"t.{name}" for name in Tx.__struct_fields__)


async def of(connection: Connection, chain: str, chain_tx: str) -> tuple[Tx, Coin] | None:
    """The child of a transaction that may still happen or has, the newest of those that share a coin; and its coin."""
    row = await connection.fetchrow(
        f"SELECT c.index, c.address, c.amount, {_TX} FROM custody.coins c "
        "JOIN custody.tx_queue t ON t.allocation_id = c.allocated_to WHERE c.chain = $1 AND c.chain_tx = $2 "
        "AND t.kind = 'child' AND t.state NOT IN ('dead', 'dropped') ORDER BY t.created_at DESC, t.id DESC LIMIT 1",
        chain,
        chain_tx,
    )
    if row is None:
        return None
    index, address, amount, *tx = row
    return Tx(*tx), Coin(chain_tx=chain_tx, index=index, address=address, amount=amount)


async def take_coin(connection: Connection, chain: str, coin: Coin, allocation_id: UUID) -> bool:
    """Let a coin that no block has yet be an allocation's, unless one has it by now, or it is another's."""
    return bool(
        await connection.fetchval(
            "INSERT INTO custody.coins AS c (chain, chain_tx, index, address, amount, allocated_to) "
            "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (chain, chain_tx, index) "
            "DO UPDATE SET allocated_to = excluded.allocated_to "
            "WHERE c.height IS NULL AND c.spent_height IS NULL AND c.allocated_to IS NULL RETURNING true",
            *(chain, coin.chain_tx, coin.index, coin.address, coin.amount, allocation_id),
        )
    )


async def allocation_of(connection: Connection, chain: str, chain_tx: str) -> UUID | None:
    """Whose transaction this is, if it is ours and may still happen."""
    found: UUID | None = await connection.fetchval(
        "SELECT allocation_id FROM custody.tx_queue WHERE chain = $1 AND chain_tx = $2 "
        "AND state NOT IN ('dead', 'dropped')",
        chain,
        chain_tx,
    )
    return found


async def has_one(connection: Connection, allocation_id: UUID) -> bool:
    """Whether a child of one of its transactions is on its way: a replacement would have to pay for that, too."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM custody.tx_queue t "
            "JOIN custody.coins c ON c.chain = t.chain AND c.chain_tx = t.chain_tx "
            "JOIN custody.allocations a ON a.id = c.allocated_to WHERE t.allocation_id = $1 AND a.state = 'living')",
            allocation_id,
        )
    )
