"""Deposits on their way into the ledger, and out of it again.

Whatever is written after the ledger was asked names the state, epoch and attempt that were asked for: of two who do the
same one does it, and who has stood still meanwhile changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from billfold.custody.store.deposits import COLUMNS, Row
from billfold.platform.postgres.database import Connection

_KNOWN = ", ".join(f"known.{name}" for name in Row.__struct_fields__)
#: Nobody is being given it.
_UNCLAIMED = (
    "NOT EXISTS (SELECT FROM custody.claims AS claim WHERE claim.deposit_id = {}.id AND claim.transfer_id IS NULL)"
)


async def ripe(
    connection: Connection, chain: str, *, height: int, credit_after: int, now: datetime, limit: int
) -> list[Row]:
    """Locked: what has its confirmations and waits for nothing, or has waited long enough to be tried again."""
    rows = await connection.fetch(
        f"""
        SELECT {COLUMNS} FROM custody.deposits
        WHERE chain = $1 AND state = 'detected' AND height <= $2 - greatest($3, matures_after) + 1
            AND (waits IS NULL OR retry_at <= $4)
        ORDER BY height, id LIMIT $5 FOR UPDATE
        """,
        chain,
        height,
        credit_after,
        now,
        limit,
    )
    return [Row(*row) for row in rows]


async def small(
    connection: Connection, chain: str, *, wallet_id: UUID, asset: str, height: int, credit_after: int, limit: int
) -> list[Row]:
    """Locked: what a wallet has got of an asset that was less than the minimum, and has its confirmations.

    The largest first: of what anybody may send, the smallest must not keep the others from being added up.
    """
    rows = await connection.fetch(
        f"""
        SELECT {COLUMNS} FROM custody.deposits
        WHERE chain = $1 AND wallet_id = $2 AND asset = $3 AND state = 'detected' AND waits = 'below_minimum'
            AND height <= $4 - greatest($5, matures_after) + 1
        ORDER BY amount DESC, id LIMIT $6 FOR UPDATE
        """,
        chain,
        wallet_id,
        asset,
        height,
        credit_after,
        limit,
    )
    return [Row(*row) for row in rows]


async def hold_up(connection: Connection, deposits: Sequence[Row], *, waits: str, retry_at: datetime | None) -> None:
    """Let deposits wait for something else than confirmations."""
    await connection.execute(
        "UPDATE custody.deposits AS known SET waits = $1, retry_at = $2, state = 'detected' "
        "FROM unnest($3::uuid[], $4::text[], $5::integer[], $6::integer[]) AS new (id, state, epoch, attempt) "
        "WHERE known.id = new.id AND known.state = new.state AND known.epoch = new.epoch "
        "AND known.attempt = new.attempt",
        waits,
        retry_at,
        [row.id for row in deposits],
        [row.state for row in deposits],
        [row.epoch for row in deposits],
        [row.attempt for row in deposits],
    )


async def start_crediting(connection: Connection, deposits: Sequence[UUID], accounts: Sequence[UUID]) -> list[Row]:
    """Write that the ledger is asked to credit these accounts, before it is."""
    rows = await connection.fetch(
        f"""
        UPDATE custody.deposits AS known SET state = 'crediting', account_id = new.account_id, waits = NULL,
            retry_at = NULL, attempt = known.attempt + 1
        FROM unnest($1::uuid[], $2::uuid[]) AS new (id, account_id)
        WHERE known.id = new.id AND known.state = 'detected' RETURNING {_KNOWN}
        """,
        deposits,
        accounts,
    )
    return [Row(*row) for row in rows]


async def asked(connection: Connection, chain: str, *, state: str, limit: int) -> list[Row]:
    """What the ledger has been asked, and nobody has written down its answer."""
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM custody.deposits WHERE chain = $1 AND state = $2 ORDER BY id LIMIT $3",
        chain,
        state,
        limit,
    )
    return [Row(*row) for row in rows]


async def credited(connection: Connection, done: Sequence[tuple[Row, UUID]], *, now: datetime) -> list[Row]:
    """The ledger has credited these, by these transfers."""
    rows = await connection.fetch(
        f"""
        UPDATE custody.deposits AS known SET state = 'credited', credit_transfer = new.transfer, credited_at = $1
        FROM unnest($2::uuid[], $3::integer[], $4::integer[], $5::uuid[]) AS new (id, epoch, attempt, transfer)
        WHERE known.id = new.id AND known.epoch = new.epoch AND known.attempt = new.attempt
            AND known.state = 'crediting' RETURNING {_KNOWN}
        """,
        now,
        [row.id for row, _ in done],
        [row.epoch for row, _ in done],
        [row.attempt for row, _ in done],
        [transfer for _, transfer in done],
    )
    return [Row(*row) for row in rows]


async def to_suspense(connection: Connection, deposit: Row) -> None:
    """The wallet takes nothing any more, for ever: it becomes money of nobody, whoever was given it before."""
    await connection.execute(
        """
        WITH lost AS (
            UPDATE custody.deposits SET kind = 'unmatched', wallet_id = NULL, state = 'detected', waits = NULL
            WHERE id = $1 AND state = 'crediting' AND epoch = $2 AND attempt = $3 RETURNING id
        ), ended AS (
            DELETE FROM custody.claims WHERE deposit_id IN (SELECT id FROM lost) RETURNING
                deposit_id, wallet_id, account_id, claimed_by, reason, claimed_at, transfer_id
        )
        INSERT INTO custody.ended_claims
            (deposit_id, wallet_id, account_id, claimed_by, reason, claimed_at, transfer_id, why)
        SELECT deposit_id, wallet_id, account_id, claimed_by, reason, claimed_at, transfer_id, 'account_closed'
        FROM ended
        """,
        deposit.id,
        deposit.epoch,
        deposit.attempt,
    )


async def release(
    connection: Connection, chain: str, *, height: int, release_after: int, swept: bool, now: datetime, limit: int
) -> list[Row]:
    """Let what has its confirmations leave on chains, and be swept where that is done."""
    rows = await connection.fetch(
        f"""
        UPDATE custody.deposits AS known SET state = 'releasable', releasable_at = $4::timestamptz,
            sweep_at = CASE WHEN $6::boolean AND kind NOT IN ('house', 'warm') THEN $4::timestamptz END, swept_by = NULL
        WHERE id IN (
            SELECT id FROM custody.deposits
            WHERE chain = $1 AND state = 'credited' AND height <= $2 - greatest($3, matures_after) + 1
            ORDER BY height LIMIT $5 FOR UPDATE)
        RETURNING {_KNOWN}
        """,
        chain,
        height,
        release_after,
        now,
        limit,
        swept,
    )
    return [Row(*row) for row in rows]


async def start_reverting(connection: Connection, chain: str, *, limit: int) -> list[Row]:
    """Write that the ledger is asked to take back what no block has any more, before it is.

    What somebody is being given just now has its turn afterwards. So that is looked at again when all are locked, by
    another statement: the first one does not see what was committed while it waited for a lock.
    """
    gone = await connection.fetch(
        f"""
        SELECT id FROM custody.deposits AS gone
        WHERE chain = $1 AND height IS NULL AND state IN ('credited', 'releasable') AND {_UNCLAIMED.format("gone")}
        ORDER BY id LIMIT $2 FOR UPDATE
        """,
        chain,
        limit,
    )
    rows = await connection.fetch(
        "UPDATE custody.deposits AS known SET state = 'reverting' "
        f"WHERE id = ANY($1) AND {_UNCLAIMED.format('known')} RETURNING {_KNOWN}",
        [row["id"] for row in gone],
    )
    return [Row(*row) for row in rows]


async def reverted(connection: Connection, done: Sequence[tuple[Row, UUID]], *, now: datetime) -> list[Row]:
    """The ledger has taken these back, by these transfers."""
    rows = await connection.fetch(
        f"""
        UPDATE custody.deposits AS known SET state = 'reverted', reversal_transfer = new.transfer, reverted_at = $1
        FROM unnest($2::uuid[], $3::integer[], $4::integer[], $5::uuid[]) AS new (id, epoch, attempt, transfer)
        WHERE known.id = new.id AND known.epoch = new.epoch AND known.attempt = new.attempt
            AND known.state = 'reverting' RETURNING {_KNOWN}
        """,
        now,
        [row.id for row, _ in done],
        [row.epoch for row, _ in done],
        [row.attempt for row, _ in done],
        [transfer for _, transfer in done],
    )
    return [Row(*row) for row in rows]


async def begin_anew(connection: Connection, deposits: Sequence[UUID], *, now: datetime) -> list[Row]:
    """Those of these that a block has again, which was read while the ledger was asked to take them back.

    They begin again in another epoch, as what returns later does.
    """
    rows = await connection.fetch(
        f"""
        UPDATE custody.deposits AS known SET state = 'detected', epoch = epoch + 1, attempt = 0, detected_at = $2,
            waits = NULL, credited_at = NULL, releasable_at = NULL, reverted_at = NULL, credit_transfer = NULL,
            reversal_transfer = NULL
        WHERE id = ANY($1) AND state = 'reverted' AND height IS NOT NULL RETURNING {_KNOWN}
        """,
        deposits,
        now,
    )
    return [Row(*row) for row in rows]
