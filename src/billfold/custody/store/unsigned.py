"""SQL over transactions that wait for signatures from elsewhere."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from billfold.custody.store.allocations import AllocationRow
from billfold.custody.store.queue import Tx, tx_columns
from billfold.platform.postgres.database import Connection

#: What is built; and what was discarded once, as long as nobody can say that it never happens and no other may.
_WAITING = (
    "FROM custody.tx_queue t JOIN custody.allocations a ON a.id = t.allocation_id WHERE t.chain = $1 "
    "AND a.state = 'living' AND (t.state = 'built' OR (t.state = 'dropped' AND t.exported_at IS NOT NULL "
    "AND t.raw IS NULL AND NOT EXISTS (SELECT FROM custody.tx_queue WHERE allocation_id = a.id "
    "AND state NOT IN ('dead', 'dropped'))))"
)


async def waiting(connection: Connection, chain: str, *, limit: int) -> list[Tx]:
    """Those of a chain, the oldest first."""
    rows = await connection.fetch(
        f"SELECT {tx_columns('t')} {_WAITING} ORDER BY t.created_at, t.id LIMIT $2",
        chain,
        limit,
    )
    return [Tx(*row) for row in rows]


async def count(connection: Connection, chain: str) -> int:
    """How many a chain has."""
    found: int = await connection.fetchval(f"SELECT count(*) {_WAITING}", chain)
    return found


async def find(connection: Connection, tx_id: UUID) -> Tx | None:
    """One, whatever its state."""
    row = await connection.fetchrow(f"SELECT {tx_columns('t')} FROM custody.tx_queue t WHERE t.id = $1", tx_id)
    return None if row is None else Tx(*row)


async def exported(connection: Connection, tx_id: UUID, *, now: datetime) -> None:
    """Write down that it is handed out, if that is for the first time."""
    await connection.execute(
        "UPDATE custody.tx_queue SET exported_at = coalesce(exported_at, $2), changed_at = $2 WHERE id = $1",
        tx_id,
        now,
    )


async def renew(connection: Connection, row: AllocationRow) -> None:
    """Let an allocation that nobody has seen yet begin its time now. The caller has it locked."""
    await connection.execute(
        "UPDATE custody.allocations SET anchor = $2, last_height = $3, expires_at = $4 WHERE id = $1",
        row.id,
        row.anchor,
        row.last_height,
        row.expires_at,
    )


_ENDURES = "chain = $1 AND anchor IS NOT NULL AND last_height IS NULL"


async def nonces_taken(connection: Connection, chain: str) -> set[str]:
    """The accounts of durable nonces that transactions have now, of which one at most may have each."""
    rows = await connection.fetch(
        f"SELECT split_part(anchor, ':', 3) FROM custody.allocations WHERE {_ENDURES} "
        "AND state IN ('living', 'settling')",
        chain,
    )
    return {row[0] for row in rows}


async def was_given(connection: Connection, chain: str, anchor: str) -> bool:
    """Whether a transaction has had the same value of the same durable nonce; a node that is behind may show it."""
    _, value, account = anchor.split(":")
    return bool(
        await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM custody.allocations WHERE {_ENDURES} "
            "AND split_part(anchor, ':', 3) = $2 AND split_part(anchor, ':', 2) = $3)",
            chain,
            account,
            value,
        )
    )


async def say(connection: Connection, allocation_id: UUID, reason: str) -> None:
    """Say why withdrawals that are allocated wait."""
    await connection.execute(
        "UPDATE custody.withdrawals SET reason = $2 WHERE allocation_id = $1 AND state = 'allocated' AND reason <> $2",
        allocation_id,
        reason,
    )
