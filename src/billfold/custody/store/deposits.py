"""Deposits as blocks write and take them back. What the ledger has to do with them is in `store.crediting`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from billfold.chains.port import Movement
from billfold.custody.domain.matching import Arrived, Passed
from billfold.platform.postgres.database import Connection


class Row(msgspec.Struct, frozen=True):
    """A deposit."""

    id: UUID
    chain: str
    chain_tx: str
    index: str
    address: str
    memo: str
    token: str
    asset: str
    amount: int
    sender: str | None
    kind: str
    wallet_id: UUID | None
    height: int | None
    matures_after: int
    state: str
    waits: str | None
    epoch: int
    attempt: int
    account_id: UUID | None
    credit_transfer: UUID | None
    reversal_transfer: UUID | None
    detected_at: datetime
    credited_at: datetime | None
    releasable_at: datetime | None
    reverted_at: datetime | None


class Ignored(msgspec.Struct, frozen=True):
    """A movement to an address of ours that is no deposit."""

    chain: str
    index: str
    address: str
    wallet_id: UUID | None
    token: str
    amount: int
    reason: str
    height: int


COLUMNS = ", ".join(Row.__struct_fields__)
_KNOWN = ", ".join(f"known.{name}" for name in Row.__struct_fields__)


async def record(
    connection: Connection,
    chain: str,
    arrived: Sequence[Arrived],
    *,
    ids: Sequence[UUID],
    now: datetime,
    height: int | None,
    block: str | None,
) -> list[Row]:
    """Write what a block brings, or what waits for one (no `height`); those that are new, or are there again.

    One that was reverted begins anew; where the ledger had taken it back in another epoch, under other keys of the
    ledger. What was only given up was never credited, and goes on with its next attempt.
    """
    rows = await connection.fetch(
        f"""
        INSERT INTO custody.deposits AS known (id, chain, chain_tx, index, address, memo, token, asset, amount, sender,
            kind, wallet_id, height, block, matures_after, pending_at, state, detected_at)
        SELECT id, $1, chain_tx, index, address, memo, token, asset, amount, sender, kind, wallet_id, $3::bigint, $4,
            matures_after, $2::timestamptz, 'detected', $2::timestamptz
        FROM unnest($5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
            $12::numeric[], $13::text[], $14::text[], $15::uuid[], $16::bigint[])
            AS new (id, chain_tx, index, address, memo, token, asset, amount, sender, kind, wallet_id, matures_after)
        ON CONFLICT (chain, chain_tx, index, address, memo, token, amount) DO UPDATE SET
            height = coalesce(EXCLUDED.height, known.height), block = coalesce(EXCLUDED.block, known.block),
            matures_after = EXCLUDED.matures_after, pending_at = EXCLUDED.pending_at,
            epoch = known.epoch + (known.reversal_transfer IS NOT NULL)::integer,
            attempt = CASE WHEN known.reversal_transfer IS NULL THEN known.attempt ELSE 0 END,
            detected_at = CASE known.state WHEN 'reverted' THEN EXCLUDED.detected_at ELSE known.detected_at END,
            waits = CASE known.state WHEN 'reverted' THEN NULL ELSE known.waits END,
            credited_at = CASE known.state WHEN 'reverted' THEN NULL ELSE known.credited_at END,
            releasable_at = CASE known.state WHEN 'reverted' THEN NULL ELSE known.releasable_at END,
            reverted_at = CASE known.state WHEN 'reverted' THEN NULL ELSE known.reverted_at END,
            credit_transfer = CASE known.state WHEN 'reverted' THEN NULL ELSE known.credit_transfer END,
            reversal_transfer = CASE known.state WHEN 'reverted' THEN NULL ELSE known.reversal_transfer END,
            state = CASE known.state WHEN 'reverted' THEN 'detected' ELSE known.state END
        RETURNING {_KNOWN}
        """,
        chain,
        now,
        height,
        block,
        ids,
        [one.movement.chain_tx for one in arrived],
        [one.movement.index for one in arrived],
        [one.movement.address for one in arrived],
        [one.movement.memo or "" for one in arrived],
        [one.movement.token or "" for one in arrived],
        [one.asset for one in arrived],
        [one.movement.amount for one in arrived],
        [one.movement.sender for one in arrived],
        [one.kind for one in arrived],
        [one.wallet_id for one in arrived],
        [one.movement.matures_after for one in arrived],
    )
    return [found for row in rows if (found := Row(*row)).detected_at == now]


async def ignore(connection: Connection, chain: str, passed: Sequence[Passed], *, height: int) -> None:
    """Keep what is no deposit, for whoever asks why."""
    await connection.execute(
        """
        INSERT INTO custody.ignored (chain, chain_tx, index, address, wallet_id, token, amount, reason, height)
        SELECT $1, chain_tx, index, address, wallet_id, token, amount, reason, $2
        FROM unnest($3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::numeric[], $9::text[])
            AS new (chain_tx, index, address, wallet_id, token, amount, reason)
        ON CONFLICT (chain, chain_tx, index) DO UPDATE SET height = EXCLUDED.height, reason = EXCLUDED.reason
        """,
        chain,
        height,
        [one.movement.chain_tx for one in passed],
        [one.movement.index for one in passed],
        [one.movement.address for one in passed],
        [one.wallet_id for one in passed],
        [one.movement.token or "" for one in passed],
        [one.movement.amount for one in passed],
        [one.reason for one in passed],
    )


async def unmine(connection: Connection, chain: str, *, above: int, now: datetime) -> None:
    """Take back what the blocks above a height have brought: no block has it now."""
    await connection.execute(
        "UPDATE custody.deposits SET height = NULL, block = NULL, pending_at = $3, waits = NULL "
        "WHERE chain = $1 AND height > $2",
        chain,
        above,
        now,
    )
    await connection.execute("DELETE FROM custody.ignored WHERE chain = $1 AND height > $2", chain, above)


async def last_block(connection: Connection, chain: str, *, below: int) -> tuple[int, str] | None:
    """Height and hash of the last block below a height that has brought a deposit."""
    row = await connection.fetchrow(
        "SELECT height, block FROM custody.deposits WHERE chain = $1 AND height < $2 ORDER BY height DESC LIMIT 1",
        chain,
        below,
    )
    return None if row is None else (row[0], row[1])


async def still_pending(connection: Connection, chain: str, transactions: Sequence[str], *, now: datetime) -> None:
    """Note that these still wait for a block."""
    await connection.execute(
        "UPDATE custody.deposits SET pending_at = $3 "
        "WHERE chain = $1 AND height IS NULL AND state = 'detected' AND chain_tx = ANY($2)",
        chain,
        transactions,
        now,
    )


async def waiting(connection: Connection, chain: str, transactions: Sequence[str]) -> set[tuple[str, ...]]:
    """What is known of these transactions and is not reverted, each as it is `named` while no block has it."""
    rows = await connection.fetch(
        "SELECT chain_tx, index, address, token FROM custody.deposits "
        "WHERE chain = $1 AND chain_tx = ANY($2) AND state <> 'reverted'",
        chain,
        transactions,
    )
    return {_named(*row) for row in rows}


def named(movement: Movement) -> tuple[str, ...]:
    """By what it is known before a block has it: of a token the place is a guess, so it is by who gets which."""
    return _named(movement.chain_tx, movement.index, movement.address, movement.token or "")


def _named(chain_tx: str, index: str, address: str, token: str) -> tuple[str, ...]:
    return (chain_tx, address, token) if token else (chain_tx, index)


async def correct(connection: Connection, chain: str, arrived: Sequence[Arrived]) -> None:
    """Give what of a token was seen before a block had it the place and the amount that its block says.

    It would be there twice else: as the block has it, and as it was guessed from the call, which no block ever has.
    """
    tokens = [one.movement for one in arrived if one.movement.token is not None]
    if not tokens:
        return
    await connection.execute(
        """
        WITH told AS (
            SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::numeric[])
                AS told (chain_tx, address, memo, token, index, amount)
        ), wrong AS (
            SELECT DISTINCT ON (chain_tx, address, memo, token) known.id, told.index, told.amount
            FROM told JOIN custody.deposits AS known USING (chain_tx, address, memo, token)
            WHERE known.chain = $1 AND known.height IS NULL AND known.state = 'detected'
                AND known.account_id IS NULL AND known.attempt = 0 AND known.epoch = 0
                AND (chain_tx, address, memo, token, known.index, known.amount)
                    NOT IN (SELECT chain_tx, address, memo, token, index, amount FROM told)
                AND NOT EXISTS (
                    SELECT FROM custody.deposits AS same
                    WHERE (same.chain, same.chain_tx, same.index, same.address, same.memo, same.token, same.amount)
                        = ($1, told.chain_tx, told.index, told.address, told.memo, told.token, told.amount))
            ORDER BY chain_tx, address, memo, token, known.id, told.index
        )
        UPDATE custody.deposits AS known SET index = wrong.index, amount = wrong.amount
        FROM wrong WHERE known.id = wrong.id
        """,
        chain,
        [one.chain_tx for one in tokens],
        [one.address for one in tokens],
        [one.memo or "" for one in tokens],
        [one.token for one in tokens],
        [one.index for one in tokens],
        [one.amount for one in tokens],
    )


async def give_up(connection: Connection, chain: str, *, before: datetime, now: datetime, limit: int) -> list[Row]:
    """End what no block has and nobody has seen since `before`; it was never credited."""
    rows = await connection.fetch(
        f"""
        UPDATE custody.deposits AS known SET state = 'reverted', reverted_at = $3
        WHERE id IN (
            SELECT id FROM custody.deposits
            WHERE chain = $1 AND height IS NULL AND state = 'detected' AND pending_at < $2 LIMIT $4 FOR UPDATE)
        RETURNING {_KNOWN}
        """,
        chain,
        before,
        now,
        limit,
    )
    return [Row(*row) for row in rows]


async def get(connection: Connection, deposit_id: UUID, *, lock: bool = False) -> Row | None:
    """One deposit."""
    ending = " FOR UPDATE" if lock else ""
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM custody.deposits WHERE id = $1{ending}", deposit_id)
    return None if row is None else Row(*row)


async def page(
    connection: Connection, *, wallet_id: UUID | None, kind: str | None, before: UUID | None, limit: int
) -> list[Row]:
    """Deposits of a wallet, or of a kind, the newest first."""
    rows = await connection.fetch(
        f"""
        SELECT {COLUMNS} FROM custody.deposits
        WHERE ($1::uuid IS NULL OR wallet_id = $1) AND ($2::text IS NULL OR kind = $2) AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,
        wallet_id,
        kind,
        before,
        limit,
    )
    return [Row(*row) for row in rows]


async def of_transaction(connection: Connection, chain_tx: str, *, limit: int) -> list[Row]:
    """What a transaction has brought, on whichever chain."""
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM custody.deposits "
        "WHERE chain = ANY(SELECT chain FROM custody.cursors) AND chain_tx = $1 ORDER BY id LIMIT $2",
        chain_tx,
        limit,
    )
    return [Row(*row) for row in rows]


async def ignored_of(connection: Connection, chain_tx: str, *, limit: int) -> list[Ignored]:
    """What of a transaction was passed over."""
    rows = await connection.fetch(
        "SELECT chain, index, address, wallet_id, token, amount, reason, height FROM custody.ignored "
        "WHERE chain = ANY(SELECT chain FROM custody.cursors) AND chain_tx = $1 ORDER BY chain, index LIMIT $2",
        chain_tx,
        limit,
    )
    return [Ignored(*row) for row in rows]


async def unreleased(connection: Connection, accounts: Sequence[UUID]) -> dict[UUID, int]:
    """How much in each of these accounts came by deposits that may not leave on a chain yet."""
    rows = await connection.fetch(
        "SELECT account_id, sum(amount) AS bound FROM custody.deposits "
        "WHERE account_id = ANY($1) AND state IN ('crediting', 'credited', 'reverting') GROUP BY account_id",
        accounts,
    )
    return {row["account_id"]: row["bound"] for row in rows}
