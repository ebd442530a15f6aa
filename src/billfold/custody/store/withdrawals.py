"""SQL over withdrawals and what the ledger holds for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from billfold.kernel.idempotency import Key
from billfold.platform.postgres.database import Connection

State = Literal["requested", "held", "allocated", "settling", "settled", "failed", "cancelled"]
Outcome = Literal["paid", "failed", "cancelled"]


class Row(msgspec.Struct, frozen=True):
    """A withdrawal as it is kept."""

    id: UUID
    #: None: it sends back what has arrived for nobody known.
    wallet_id: UUID | None
    owner_id: UUID | None
    account_id: UUID
    chain: str
    asset: str
    token: str | None
    amount: int
    service_fee: int
    network_fee: int
    opening: int
    address: str
    memo: str | None
    speed: Literal["slow", "normal", "fast"]
    state: State
    waits_until: datetime | None
    created_at: datetime
    changed_at: datetime
    allocation_id: UUID | None = None
    outcome: Outcome | None = None
    chain_tx: str | None = None
    fee_paid: int | None = None
    reason: str = ""
    cancel_asked: bool = False
    attempts: int = 0
    fence: int = 0

    @property
    def total(self) -> int:
        """All that is held for it at first."""
        return self.amount + self.service_fee + self.network_fee


class Hold(msgspec.Struct, frozen=True):
    """Money that the ledger holds, or is about to."""

    number: int
    amount: int
    hold_id: UUID | None


class Seen(msgspec.Struct, frozen=True):
    """A withdrawal with the transaction that is to pay it."""

    row: Row
    tx_state: str | None
    tx_chain_tx: str | None
    tx_height: int | None


_COLUMNS = (
    "id, wallet_id, owner_id, account_id, chain, asset, token, amount, service_fee, network_fee, opening, address, "
    "memo, speed, state, waits_until, created_at, changed_at, allocation_id, outcome, chain_tx, fee_paid, reason, "
    "cancel_asked, attempts, fence"
)
_OF_ROW = ", ".join(f"w.{name}" for name in _COLUMNS.split(", "))
#: The latest of its transactions is the one that counts, unless another is in a block.
_SEEN = (
    f"SELECT {_OF_ROW}, t.state, t.chain_tx, t.height FROM custody.withdrawals w LEFT JOIN LATERAL ("
    "SELECT state, chain_tx, height FROM custody.tx_queue WHERE allocation_id = w.allocation_id "
    "ORDER BY state IN ('mined', 'final') DESC, state NOT IN ('dead', 'dropped') DESC, created_at DESC LIMIT 1) t "
    "ON true"
)


async def earlier(connection: Connection, key: Key) -> tuple[UUID, int] | None:
    """What was asked with this idempotency key, and the fingerprint of that."""
    row = await connection.fetchrow("SELECT id, fingerprint FROM custody.withdrawals WHERE key = $1", key.digest)
    return None if row is None else (row["id"], row["fingerprint"])


async def insert(connection: Connection, new: Row, key: Key, *, next_at: datetime) -> bool:
    """Add one with what is to be held for it; False if the key has one."""
    added = await connection.fetchval(
        "WITH new AS (INSERT INTO custody.withdrawals (id, wallet_id, owner_id, account_id, chain, asset, token, "
        "amount, service_fee, network_fee, opening, address, memo, speed, state, waits_until, created_at, changed_at, "
        "key, fingerprint, next_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17, $18, $19, $20) "
        "ON CONFLICT (key) DO NOTHING RETURNING id) "
        "INSERT INTO custody.withdrawal_holds (withdrawal_id, number, amount) SELECT id, 1, $21 FROM new "
        "RETURNING true",
        *(new.id, new.wallet_id, new.owner_id, new.account_id, new.chain, new.asset, new.token),
        *(new.amount, new.service_fee, new.network_fee, new.opening, new.address, new.memo, new.speed, new.state),
        *(new.waits_until, new.created_at, key.digest, key.fingerprint, next_at, new.total),
    )
    return bool(added)


async def find(connection: Connection, withdrawal_id: UUID) -> Seen | None:
    """One."""
    row = await connection.fetchrow(f"{_SEEN} WHERE w.id = $1", withdrawal_id)
    return None if row is None else _seen(row)


async def page(connection: Connection, *, wallet_id: UUID, before: UUID | None, limit: int) -> list[Seen]:
    """Those of a wallet, the newest first."""
    rows = await connection.fetch(
        f"{_SEEN} WHERE w.wallet_id = $1 AND ($2::uuid IS NULL OR w.id < $2) ORDER BY w.id DESC LIMIT $3",
        wallet_id,
        before,
        limit,
    )
    return [_seen(row) for row in rows]


async def lock(connection: Connection, withdrawal_id: UUID) -> Row | None:
    """One, which nobody else changes until the database transaction ends."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM custody.withdrawals WHERE id = $1 FOR UPDATE", withdrawal_id
    )
    return None if row is None else Row(*row)


async def take(
    connection: Connection, chain: str, states: Sequence[State], *, now: datetime, until: datetime, limit: int
) -> list[Row]:
    """Those that are due and that nobody has in hand. They are the caller's `until` then, by their new `fence`."""
    rows = await connection.fetch(
        "UPDATE custody.withdrawals SET fence = fence + 1, next_at = $4 WHERE id IN ("
        "SELECT id FROM custody.withdrawals WHERE chain = $1 AND state = ANY($2::text[]) AND next_at <= $3 "
        f"ORDER BY next_at, id LIMIT $5 FOR UPDATE SKIP LOCKED) RETURNING {_COLUMNS}",
        chain,
        list(states),
        now,
        until,
        limit,
    )
    return sorted((Row(*row) for row in rows), key=lambda row: row.id)


async def take_one(connection: Connection, withdrawal_id: UUID, *, until: datetime) -> Row | None:
    """The same for one that is named and has a step to be done."""
    row = await connection.fetchrow(
        "UPDATE custody.withdrawals SET fence = fence + 1, next_at = $2 WHERE id = $1 "
        f"AND state IN ('requested', 'settling') RETURNING {_COLUMNS}",
        withdrawal_id,
        until,
    )
    return None if row is None else Row(*row)


async def change(
    connection: Connection, row: Row, *, state: State, now: datetime, next_at: datetime, **values: Any
) -> bool:
    """Let it be in another state, unless somebody else has taken it since."""
    sets = "".join(f", {name} = ${place}" for place, name in enumerate(values, 6))
    done = await connection.fetchval(
        "UPDATE custody.withdrawals SET fence = fence + 1, state = $3, changed_at = $4, next_at = $5"
        f"{sets} WHERE id = $1 AND fence = $2 RETURNING true",
        row.id,
        row.fence,
        state,
        now,
        next_at,
        *values.values(),
    )
    return bool(done)


async def postpone(connection: Connection, row: Row, *, next_at: datetime, reason: str) -> None:
    """Look at it again later, and say why."""
    await connection.execute(
        "UPDATE custody.withdrawals SET next_at = $3, reason = $4 WHERE id = $1 AND fence = $2",
        row.id,
        row.fence,
        next_at,
        reason,
    )


async def of_allocation(connection: Connection, allocation_id: UUID) -> list[Row]:
    """Those that share an allocation, locked."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM custody.withdrawals WHERE allocation_id = $1 AND state = 'allocated' "
        "ORDER BY id FOR UPDATE",
        allocation_id,
    )
    return [Row(*row) for row in rows]


async def unsigned(connection: Connection, allocations: Sequence[UUID]) -> list[Row]:
    """Those of these allocations of which nothing was signed or handed out to be."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM custody.withdrawals w WHERE allocation_id = ANY($1::uuid[]) AND state = 'allocated' "
        "AND NOT EXISTS (SELECT FROM custody.tx_queue t WHERE t.allocation_id = w.allocation_id "
        "AND t.state <> 'dropped' AND (t.raw IS NOT NULL OR t.exported_at IS NOT NULL)) ORDER BY id",
        list(allocations),
    )
    return [Row(*row) for row in rows]


async def still_held(connection: Connection, rows: Sequence[Row]) -> list[Row]:
    """Those that are still the caller's, locked."""
    found = await connection.fetch(
        f"SELECT {_COLUMNS} FROM custody.withdrawals WHERE id = ANY($1::uuid[]) AND state = 'held' "
        "ORDER BY id FOR UPDATE",
        [row.id for row in rows],
    )
    fences = {row.id: row.fence for row in rows}
    return [row for row in (Row(*one) for one in found) if fences[row.id] == row.fence]


async def add_hold(connection: Connection, withdrawal_id: UUID, *, number: int, amount: int) -> None:
    """Write down what the ledger is to hold."""
    await connection.execute(
        "INSERT INTO custody.withdrawal_holds (withdrawal_id, number, amount) VALUES ($1, $2, $3)",
        withdrawal_id,
        number,
        amount,
    )


async def holds(connection: Connection, withdrawal_id: UUID) -> list[Hold]:
    """What the ledger holds, or was to hold."""
    rows = await connection.fetch(
        "SELECT number, amount, hold_id FROM custody.withdrawal_holds WHERE withdrawal_id = $1 ORDER BY number",
        withdrawal_id,
    )
    return [Hold(*row) for row in rows]


async def has_hold(connection: Connection, hold_id: UUID, *, withdrawal_id: UUID | None) -> bool:
    """Whether a hold is a withdrawal's. `withdrawal_id` is what it says itself, good until the hold is noted."""
    found: bool = await connection.fetchval(
        """
        SELECT EXISTS (SELECT FROM custody.withdrawal_holds WHERE hold_id = $1)
            OR EXISTS (SELECT FROM custody.withdrawal_holds WHERE withdrawal_id = $2 AND hold_id IS NULL)
        """,
        hold_id,
        withdrawal_id,
    )
    return found


async def name_hold(connection: Connection, withdrawal_id: UUID, number: int, hold_id: UUID) -> None:
    """Write down what the ledger calls it."""
    await connection.execute(
        "UPDATE custody.withdrawal_holds SET hold_id = $3 WHERE withdrawal_id = $1 AND number = $2",
        withdrawal_id,
        number,
        hold_id,
    )


async def set_held(connection: Connection, row: Row, hold_id: UUID, *, now: datetime, next_at: datetime) -> None:
    """Write down the first hold, and let the withdrawal be held unless somebody else has taken it since."""
    await connection.execute(
        "WITH named AS (UPDATE custody.withdrawal_holds SET hold_id = $3 WHERE withdrawal_id = $1 AND number = 1) "
        "UPDATE custody.withdrawals SET fence = fence + 1, state = 'held', changed_at = $4, next_at = $5 "
        "WHERE id = $1 AND fence = $2",
        row.id,
        row.fence,
        hold_id,
        now,
        next_at,
    )


def _seen(row: Any) -> Seen:
    *columns, tx_state, tx_chain_tx, tx_height = row
    return Seen(Row(*columns), tx_state, tx_chain_tx, tx_height)


async def ask_cancel(connection: Connection, withdrawal_id: UUID) -> None:
    """Write down that its owner wants it back."""
    await connection.execute("UPDATE custody.withdrawals SET cancel_asked = true WHERE id = $1", withdrawal_id)


async def raise_fee(connection: Connection, withdrawal_id: UUID, *, by: int) -> None:
    """Let more be charged for the network."""
    await connection.execute(
        "UPDATE custody.withdrawals SET network_fee = network_fee + $2 WHERE id = $1", withdrawal_id, by
    )
