"""SQL over our transactions, what they pay, and how they were handed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from billfold.custody.domain.withdrawals import Payment, Rate
from billfold.platform.postgres.database import Connection

State = Literal[
    "allocated", "built", "signed", "broadcasting", "sent", "uncertain", "mined", "final", "dead", "dropped"
]
Kind = Literal["pay", "clear", "sweep", "gas", "open", "warm", "merge", "child"]
#: So many attempts of one transaction are kept; more say nothing new.
ATTEMPTS_KEPT = 50
#: A reason is for people to read.
REASON_MAX = 300


class Tx(msgspec.Struct, frozen=True):
    """A transaction of ours."""

    id: UUID
    allocation_id: UUID
    chain: str
    kind: Kind
    rate: Mapping[str, int]
    fee_limit: int
    state: State
    created_at: datetime
    replaces: UUID | None = None
    fee_max: int | None = None
    payload: bytes | None = None
    raw: bytes | None = None
    chain_tx: str | None = None
    height: int | None = None
    block: str | None = None
    succeeded: bool | None = None
    fee: int | None = None
    reason: str = ""
    broadcasts: int = 0
    #: When it was handed out to be signed elsewhere.
    exported_at: datetime | None = None

    @property
    def is_living(self) -> bool:
        """Whether it may still happen."""
        return self.state not in ("dead", "dropped")

    @property
    def is_loose(self) -> bool:
        """Whether somebody may have signed and sent it, of whom nobody has heard since it was handed out."""
        return self.exported_at is not None and self.raw is None and self.state != "dead"

    @property
    def offered(self) -> Rate:
        """What it offers for a place in a block."""
        return Rate(numbers=self.rate)


_TX = (
    "id, allocation_id, chain, kind, rate, fee_limit, state, created_at, replaces, fee_max, payload, raw, chain_tx, "
    "height, block, succeeded, fee, reason, broadcasts, exported_at"
)
#: Of living allocations, the transactions that may still happen; of one that a block has, none does any more.
_COMMITTED = (
    "FROM custody.tx_queue t {join} JOIN custody.allocations a ON a.id = t.allocation_id "
    "WHERE a.chain = $1 AND a.state = 'living' AND t.state NOT IN ('dead', 'dropped') AND {whose} "
    "AND NOT EXISTS (SELECT FROM custody.tx_queue WHERE allocation_id = a.id AND state IN ('mined', 'final'))"
)
_PAYMENTS = "JOIN custody.tx_payments p ON p.tx_id = t.id"
#: A sweep brings, and pays its fee from what it moves, unless somebody else is named who does.
_PAYING = "t.kind <> 'sweep'"
_PAYING_FEES = f"({_PAYING} OR a.change IS NOT NULL)"


def tx_columns(of: str) -> str:
    """The columns of a transaction, of the table that is called so."""
    return ", ".join(f"{of}.{name}" for name in _TX.split(", "))


async def insert_tx(connection: Connection, new: Tx, payments: Sequence[tuple[Payment, UUID | None]]) -> None:
    """Add one with what it pays, and for which withdrawal."""
    await insert_txs(connection, [(new, payments)])


async def insert_txs(connection: Connection, new: Sequence[tuple[Tx, Sequence[tuple[Payment, UUID | None]]]]) -> None:
    """Add those, each with what it pays, and for which withdrawals."""
    txs = [tx for tx, _ in new]
    await connection.execute(
        "INSERT INTO custody.tx_queue (id, allocation_id, chain, kind, rate, fee_limit, state, created_at, changed_at, "
        "replaces) "
        "SELECT id, allocation_id, chain, kind, rate, fee_limit, state, at, at, replaces "
        "FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::numeric[], $7::text[], "
        "$8::timestamptz[], $9::uuid[]) "
        "AS new (id, allocation_id, chain, kind, rate, fee_limit, state, at, replaces)",
        [tx.id for tx in txs],
        [tx.allocation_id for tx in txs],
        [tx.chain for tx in txs],
        [tx.kind for tx in txs],
        [dict(tx.rate) for tx in txs],
        [tx.fee_limit for tx in txs],
        [tx.state for tx in txs],
        [tx.created_at for tx in txs],
        [tx.replaces for tx in txs],
    )
    rows = [(tx.id, number, *paid) for tx, paid_by_it in new for number, paid in enumerate(paid_by_it)]
    await connection.execute(
        "INSERT INTO custody.tx_payments (tx_id, number, withdrawal_id, address, amount, token, memo) "
        "SELECT * FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::text[], $5::numeric[], $6::text[], $7::text[])",
        [tx_id for tx_id, *_ in rows],
        [number for _, number, *_ in rows],
        [withdrawal_id for *_, withdrawal_id in rows],
        [payment.address for _, _, payment, _ in rows],
        [payment.amount for _, _, payment, _ in rows],
        [payment.token for _, _, payment, _ in rows],
        [payment.memo for _, _, payment, _ in rows],
    )


async def txs(connection: Connection, allocation_id: UUID) -> list[Tx]:
    """The transactions of an allocation, the oldest first."""
    rows = await connection.fetch(
        f"SELECT {_TX} FROM custody.tx_queue WHERE allocation_id = $1 ORDER BY created_at, id", allocation_id
    )
    return [Tx(*row) for row in rows]


async def payments(connection: Connection, tx_id: UUID) -> list[tuple[Payment, UUID | None]]:
    """What a transaction pays, in its order, and for which withdrawal."""
    rows = await connection.fetch(
        "SELECT address, amount, token, memo, withdrawal_id FROM custody.tx_payments WHERE tx_id = $1 ORDER BY number",
        tx_id,
    )
    return [(Payment(address=row[0], amount=row[1], token=row[2], memo=row[3]), row[4]) for row in rows]


async def change_tx(connection: Connection, tx_id: UUID, *, state: State, now: datetime, **values: Any) -> None:
    """Let a transaction be in another state. The caller has its allocation locked."""
    sets = "".join(f", {name} = ${place}" for place, name in enumerate(values, 4))
    await connection.execute(
        f"UPDATE custody.tx_queue SET state = $2, changed_at = $3{sets} WHERE id = $1",
        tx_id,
        state,
        now,
        *values.values(),
    )


async def stuck(connection: Connection, chain: str, kinds: Sequence[str], *, before: datetime, limit: int) -> list[Tx]:
    """The latest transaction of each living allocation that was handed over before, and that no block or child has."""
    names = ", ".join(f"t.{name}" for name in Tx.__struct_fields__)
    rows = await connection.fetch(
        f"SELECT {names} FROM custody.allocations a JOIN LATERAL ("
        "SELECT * FROM custody.tx_queue WHERE allocation_id = a.id AND state NOT IN ('dead', 'dropped') "
        "ORDER BY created_at DESC, id DESC LIMIT 1) t ON true WHERE a.chain = $1 AND a.state = 'living' "
        "AND t.kind = ANY($2::text[]) AND t.state IN ('sent', 'uncertain') AND t.created_at < $3 "
        "AND NOT EXISTS (SELECT FROM custody.tx_queue WHERE allocation_id = a.id AND state IN ('mined', 'final')) "
        "AND (SELECT max(created_at) FROM custody.tx_queue WHERE allocation_id = a.id) < $3 "
        "AND NOT EXISTS (SELECT FROM custody.coins c JOIN custody.allocations child ON child.id = c.allocated_to "
        "WHERE c.chain = t.chain AND c.chain_tx = t.chain_tx AND child.state = 'living') "
        "ORDER BY t.created_at LIMIT $4",
        chain,
        list(kinds),
        before,
        limit,
    )
    return [Tx(*row) for row in rows]


async def known(connection: Connection, chain: str, chain_tx: str) -> UUID | None:
    """Our transaction that the chain knows as this; nobody else gives it out until the database transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('custody tx:' || $1, 0))", chain_tx)
    found: UUID | None = await connection.fetchval(
        "SELECT id FROM custody.tx_queue WHERE chain = $1 AND chain_tx = $2", chain, chain_tx
    )
    return found


async def note_own(connection: Connection, chain: str, chain_tx: str) -> None:
    """Let whoever reads blocks know the transaction as ours, before it is sent."""
    await connection.execute(
        "INSERT INTO custody.own_transactions (chain, chain_tx) VALUES ($1, $2) ON CONFLICT DO NOTHING", chain, chain_tx
    )


async def committed(connection: Connection, chain: str) -> tuple[Mapping[str | None, int], int]:
    """What transactions that no block has yet are to pay from the house, by token, and what they cost at most.

    Of those that share an allocation one happens, so what the dearest of them takes is counted.
    """
    rows = await connection.fetch(
        "SELECT token, sum(most) FROM (SELECT allocation_id, token, max(units) AS most FROM ("
        "SELECT t.allocation_id, t.id, p.token, sum(p.amount) AS units "
        f"{_COMMITTED.format(join=_PAYMENTS, whose=_PAYING)} "
        "GROUP BY 1, 2, 3) AS one GROUP BY 1, 2) AS each GROUP BY token",
        chain,
    )
    fees = await connection.fetchval(
        "SELECT coalesce(sum(most), 0) FROM ("
        f"SELECT max(t.fee_limit) AS most {_COMMITTED.format(join='', whose=_PAYING_FEES)} "
        "GROUP BY t.allocation_id) AS each",
        chain,
    )
    return {row[0]: row[1] for row in rows}, int(fees)


async def begin_attempt(connection: Connection, tx_id: UUID, number: int, *, now: datetime) -> None:
    """Write down that it is about to be handed over."""
    await connection.execute(
        "INSERT INTO custody.tx_attempts (tx_id, number, began_at) VALUES ($1, $2, $3)", tx_id, number, now
    )
    await connection.execute(
        "DELETE FROM custody.tx_attempts WHERE tx_id = $1 AND number <= $2", tx_id, number - ATTEMPTS_KEPT
    )


async def end_attempt(connection: Connection, tx_id: UUID, number: int, answer: str) -> None:
    """Write down what the node said."""
    await connection.execute(
        "UPDATE custody.tx_attempts SET answer = $3 WHERE tx_id = $1 AND number = $2", tx_id, number, answer
    )


async def unmine_others(connection: Connection, allocation_id: UUID, tx_id: UUID, *, now: datetime) -> None:
    """Of an allocation one is in a block: a reorganisation may have put another one there."""
    await connection.execute(
        "UPDATE custody.tx_queue SET state = 'uncertain', changed_at = $3, height = NULL, block = NULL "
        "WHERE allocation_id = $1 AND id <> $2 AND state = 'mined'",
        allocation_id,
        tx_id,
        now,
    )


async def end_others(connection: Connection, allocation_id: UUID, tx_id: UUID, *, now: datetime) -> None:
    """The others of an allocation, of which one is final, can't happen any more."""
    await connection.execute(
        "UPDATE custody.tx_queue SET state = CASE WHEN raw IS NULL THEN 'dropped' ELSE 'dead' END, changed_at = $3, "
        "reason = 'replaced' WHERE allocation_id = $1 AND id <> $2 AND state NOT IN ('dead', 'dropped')",
        allocation_id,
        tx_id,
        now,
    )


async def end_unsigned(connection: Connection, allocation_id: UUID, *, reason: str, now: datetime) -> None:
    """Those of a dead allocation that were never signed can't happen either."""
    await connection.execute(
        "UPDATE custody.tx_queue SET state = 'dropped', changed_at = $2, reason = $3 "
        "WHERE allocation_id = $1 AND raw IS NULL AND state <> 'dropped'",
        allocation_id,
        now,
        reason,
    )
