"""SQL over many transactions of ours at once: each step of all of them is one statement, and one COMMIT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from billfold.chains.port import Signed, Unsigned
from billfold.custody.domain.withdrawals import Allocation, Coin, Found, Payment
from billfold.custody.store import queue, withdrawals
from billfold.custody.store.allocations import AllocationRow
from billfold.custody.store.queue import Tx
from billfold.custody.store.withdrawals import Hold, Row
from billfold.platform.postgres.database import Connection

_OF_TX = ", ".join(Tx.__struct_fields__)
_OF_WITHDRAWAL = ", ".join(Row.__struct_fields__)


class Attempt(msgspec.Struct, frozen=True):
    """Of a transaction, which of its broadcasts it is, and what came of it."""

    tx_id: UUID
    number: int
    state: queue.State = "broadcasting"
    reason: str = ""


class Paid(msgspec.Struct, frozen=True):
    """A withdrawal that a block has paid, and what it is charged for that."""

    row: Row
    fee: int
    chain_tx: str
    #: What is strange about it; nothing as a rule.
    reason: str


async def set_allocated(connection: Connection, pairs: Sequence[tuple[Row, UUID]], *, now: datetime) -> None:
    """Let each withdrawal be paid by an allocation's transaction. The caller has their rows locked."""
    done = await connection.execute(
        "UPDATE custody.withdrawals w SET fence = fence + 1, state = 'allocated', changed_at = $1, next_at = $1, "
        "allocation_id = new.allocation_id, attempts = attempts + 1, reason = '' "
        "FROM unnest($2::uuid[], $3::bigint[], $4::uuid[]) AS new (id, mine, allocation_id) "
        "WHERE w.id = new.id AND w.fence = new.mine",
        now,
        [row.id for row, _ in pairs],
        [row.fence for row, _ in pairs],
        [allocation_id for _, allocation_id in pairs],
    )
    assert done == f"UPDATE {len(pairs)}", "their rows are locked"


async def lock(connection: Connection, rows: Sequence[AllocationRow]) -> set[UUID]:
    """Those that are still the caller's by their fences; nobody takes one until the database transaction ends."""
    found = await connection.fetch(
        "SELECT a.id FROM custody.allocations a JOIN unnest($1::uuid[], $2::bigint[]) AS mine (id, fence) "
        "ON a.id = mine.id AND a.fence = mine.fence WHERE a.state IN ('living', 'settling') ORDER BY a.id "
        "FOR UPDATE OF a",
        [row.id for row in rows],
        [row.fence for row in rows],
    )
    return {row[0] for row in found}


async def living(connection: Connection, rows: Sequence[AllocationRow]) -> Mapping[UUID, list[Tx]]:
    """The transactions of each that may still happen, the oldest first."""
    found = await connection.fetch(
        f"SELECT {_OF_TX} FROM custody.tx_queue WHERE allocation_id = ANY($1::uuid[]) "
        "AND state NOT IN ('dead', 'dropped') ORDER BY created_at, id",
        [row.id for row in rows],
    )
    by_allocation: dict[UUID, list[Tx]] = {row.id: [] for row in rows}
    for one in found:
        tx = Tx(*one)
        by_allocation[tx.allocation_id].append(tx)
    return by_allocation


async def contents(connection: Connection, rows: Sequence[AllocationRow]) -> Mapping[UUID, Allocation]:
    """What each is as a chain is told of it; its coins always in the same order."""
    found = await connection.fetch(
        "SELECT allocated_to, chain_tx, index, address, amount FROM custody.coins WHERE allocated_to = ANY($1::uuid[]) "
        "ORDER BY chain_tx, index",
        [row.id for row in rows],
    )
    coins: dict[UUID, list[Coin]] = {}
    for one in found:
        coins.setdefault(one[0], []).append(Coin(chain_tx=one[1], index=one[2], address=one[3], amount=one[4]))
    return {
        row.id: Allocation(
            source=row.source,
            coins=coins.get(row.id, []),
            change=row.change,
            nonce=row.nonce,
            anchor=row.anchor,
            last_height=row.last_height,
            expires_at=row.expires_at,
        )
        for row in rows
    }


async def payments(connection: Connection, txs: Sequence[Tx]) -> Mapping[UUID, list[tuple[Payment, UUID | None]]]:
    """What each transaction pays, in its order, and for which withdrawals."""
    found = await connection.fetch(
        "SELECT tx_id, address, amount, token, memo, withdrawal_id FROM custody.tx_payments "
        "WHERE tx_id = ANY($1::uuid[]) ORDER BY tx_id, number",
        [tx.id for tx in txs],
    )
    by_tx: dict[UUID, list[tuple[Payment, UUID | None]]] = {tx.id: [] for tx in txs}
    for one in found:
        by_tx[one[0]].append((Payment(address=one[1], amount=one[2], token=one[3], memo=one[4]), one[5]))
    return by_tx


async def set_built(connection: Connection, built: Sequence[tuple[Tx, Unsigned]], *, now: datetime) -> None:
    """Keep their bytes without signatures."""
    await connection.execute(
        "UPDATE custody.tx_queue t SET state = 'built', changed_at = $1, payload = new.payload, fee_max = new.fee_max "
        "FROM unnest($2::uuid[], $3::bytea[], $4::numeric[]) AS new (id, payload, fee_max) WHERE t.id = new.id",
        now,
        [tx.id for tx, _ in built],
        [unsigned.payload for _, unsigned in built],
        [unsigned.fee_max for _, unsigned in built],
    )


async def known(connection: Connection, chain: str, chain_txs: Sequence[str]) -> Mapping[str, UUID]:
    """Ours that the chain knows as these; nobody else gives one out until the database transaction ends."""
    ordered = sorted(set(chain_txs))
    await connection.fetch(
        "SELECT pg_advisory_xact_lock(hashtextextended('custody tx:' || one, 0)) FROM unnest($1::text[]) AS one",
        ordered,
    )
    found = await connection.fetch(
        "SELECT chain_tx, id FROM custody.tx_queue WHERE chain = $1 AND chain_tx = ANY($2::text[])", chain, ordered
    )
    return {row[0]: row[1] for row in found}


async def set_signed(connection: Connection, chain: str, signed: Sequence[tuple[Tx, Signed]], *, now: datetime) -> None:
    """Keep the bytes that are to be sent; whoever reads blocks knows them as ours from now on."""
    await connection.execute(
        "INSERT INTO custody.own_transactions (chain, chain_tx) SELECT $1, one FROM unnest($2::text[]) AS one "
        "ON CONFLICT DO NOTHING",
        chain,
        [one.chain_tx for _, one in signed],
    )
    await connection.execute(
        "UPDATE custody.tx_queue t SET state = 'signed', changed_at = $1, raw = new.raw, chain_tx = new.chain_tx "
        "FROM unnest($2::uuid[], $3::bytea[], $4::text[]) AS new (id, raw, chain_tx) WHERE t.id = new.id",
        now,
        [tx.id for tx, _ in signed],
        [one.raw for _, one in signed],
        [one.chain_tx for _, one in signed],
    )


async def begin_attempts(connection: Connection, attempts: Sequence[Attempt], *, now: datetime) -> None:
    """Write down that they are about to be handed over, for the first time."""
    await connection.execute(
        "INSERT INTO custody.tx_attempts (tx_id, number, began_at) "
        "SELECT id, number, $1 FROM unnest($2::uuid[], $3::int[]) AS new (id, number)",
        now,
        [one.tx_id for one in attempts],
        [one.number for one in attempts],
    )
    await connection.execute(
        "UPDATE custody.tx_queue t SET state = 'broadcasting', changed_at = $1, broadcasts = new.number "
        "FROM unnest($2::uuid[], $3::int[]) AS new (id, number) WHERE t.id = new.id",
        now,
        [one.tx_id for one in attempts],
        [one.number for one in attempts],
    )


async def end_attempts(connection: Connection, attempts: Sequence[Attempt], *, now: datetime) -> None:
    """Write down what the node said of each."""
    ids, numbers = [one.tx_id for one in attempts], [one.number for one in attempts]
    await connection.execute(
        "UPDATE custody.tx_attempts a SET answer = new.answer FROM unnest($1::uuid[], $2::int[], $3::text[]) "
        "AS new (id, number, answer) WHERE a.tx_id = new.id AND a.number = new.number",
        ids,
        numbers,
        [one.reason or one.state for one in attempts],
    )
    await connection.execute(
        "UPDATE custody.tx_queue t SET state = new.state, changed_at = $1, reason = new.reason "
        "FROM unnest($2::uuid[], $3::text[], $4::text[]) AS new (id, state, reason) WHERE t.id = new.id",
        now,
        ids,
        [one.state for one in attempts],
        [one.reason for one in attempts],
    )


async def set_mined(connection: Connection, mined: Sequence[tuple[Tx, queue.State, Found]], *, now: datetime) -> None:
    """Write down which block has each. Of their allocations nothing else lives."""
    await connection.execute(
        "UPDATE custody.tx_queue t SET state = new.state, changed_at = $1, height = new.height, block = new.block, "
        "succeeded = new.succeeded, fee = new.fee, reason = new.reason "
        "FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::boolean[], $7::numeric[], $8::text[]) "
        "AS new (id, state, height, block, succeeded, fee, reason) WHERE t.id = new.id",
        now,
        [tx.id for tx, _, _ in mined],
        [state for _, state, _ in mined],
        [found.height for _, _, found in mined],
        [found.block for _, _, found in mined],
        [found.succeeded for _, _, found in mined],
        [found.fee for _, _, found in mined],
        [found.reason[: queue.REASON_MAX] for _, _, found in mined],
    )


async def postpone(connection: Connection, rows: Sequence[tuple[AllocationRow, datetime]]) -> None:
    """Look at each again then, unless somebody else has taken it since."""
    await connection.execute(
        "UPDATE custody.allocations a SET next_at = new.next_at "
        "FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) AS new (id, fence, next_at) "
        "WHERE a.id = new.id AND a.fence = new.fence",
        [row.id for row, _ in rows],
        [row.fence for row, _ in rows],
        [next_at for _, next_at in rows],
    )


async def sharing(connection: Connection, allocations: Sequence[UUID]) -> Mapping[UUID, list[Row]]:
    """The withdrawals of each allocation, locked."""
    found = await connection.fetch(
        f"SELECT {_OF_WITHDRAWAL} FROM custody.withdrawals WHERE allocation_id = ANY($1::uuid[]) "
        "AND state = 'allocated' ORDER BY id FOR UPDATE",
        list(allocations),
    )
    by_allocation: dict[UUID, list[Row]] = {one: [] for one in allocations}
    for one in found:
        row = Row(*one)
        assert row.allocation_id is not None, "it was asked for by it"
        by_allocation[row.allocation_id].append(row)
    return by_allocation


async def set_paid(connection: Connection, paid: Sequence[Paid], *, now: datetime) -> None:
    """Decide that each was paid, and what it is charged. Their rows are locked."""
    await connection.execute(
        "UPDATE custody.withdrawals w SET fence = fence + 1, state = 'settling', changed_at = $1, next_at = $1, "
        "outcome = 'paid', fee_paid = new.fee, chain_tx = new.chain_tx, reason = new.reason "
        "FROM unnest($2::uuid[], $3::numeric[], $4::text[], $5::text[]) AS new (id, fee, chain_tx, reason) "
        "WHERE w.id = new.id",
        now,
        [one.row.id for one in paid],
        [one.fee for one in paid],
        [one.chain_tx for one in paid],
        [one.reason[: queue.REASON_MAX] for one in paid],
    )


async def set_used(connection: Connection, used: Sequence[tuple[UUID, int]], *, now: datetime) -> None:
    """They are done with, but for what of the network fee is the house's."""
    await connection.execute(
        "UPDATE custody.allocations a SET state = CASE WHEN new.house_fee > 0 THEN 'settling' ELSE 'used' END, "
        "next_at = $1, house_fee = new.house_fee FROM unnest($2::uuid[], $3::numeric[]) AS new (id, house_fee) "
        "WHERE a.id = new.id",
        now,
        [one for one, _ in used],
        [house_fee for _, house_fee in used],
    )


async def holds(connection: Connection, rows: Sequence[Row]) -> Mapping[UUID, list[Hold]]:
    """What the ledger holds for each, or was to hold."""
    found = await connection.fetch(
        "SELECT withdrawal_id, number, amount, hold_id FROM custody.withdrawal_holds "
        "WHERE withdrawal_id = ANY($1::uuid[]) ORDER BY withdrawal_id, number",
        [row.id for row in rows],
    )
    by_row: dict[UUID, list[Hold]] = {row.id: [] for row in rows}
    for one in found:
        by_row[one[0]].append(Hold(one[1], one[2], one[3]))
    return by_row


async def set_ended(
    connection: Connection, ended: Sequence[tuple[Row, withdrawals.State]], *, now: datetime
) -> set[UUID]:
    """Let them have ended; those that nobody else has taken meanwhile."""
    found = await connection.fetch(
        "UPDATE custody.withdrawals w SET fence = w.fence + 1, state = new.state, changed_at = $1, next_at = $1 "
        "FROM unnest($2::uuid[], $3::bigint[], $4::text[]) AS new (id, fence, state) "
        "WHERE w.id = new.id AND w.fence = new.fence RETURNING w.id",
        now,
        [row.id for row, _ in ended],
        [row.fence for row, _ in ended],
        [state for _, state in ended],
    )
    return {row[0] for row in found}
