"""SQL over how assets stand, and over what was found."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from billfold.custody.contracts.reconciling import Report
from billfold.platform.postgres.database import Connection


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an asset stands. `difference` and `accepted` are smallest units."""

    asset: str
    chain: str
    outcome: Literal["clean", "break"]
    difference: int
    since: datetime
    reconciled_at: datetime
    stopped_at: datetime | None = None
    accepted: int | None = None


_COLUMNS = ", ".join(Standing.__struct_fields__)


async def all_(connection: Connection, *, chain: str | None = None) -> list[Standing]:
    """Of all assets, or of those of a chain."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM custody.standings WHERE $1::text IS NULL OR chain = $1 ORDER BY asset", chain
    )
    return [Standing(**row) for row in rows]


async def get(connection: Connection, asset: str) -> Standing | None:
    """Of one, locked."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM custody.standings WHERE asset = $1 FOR UPDATE", asset)
    return None if row is None else Standing(**row)


async def put(connection: Connection, standing: Standing) -> None:
    """Let it stand so."""
    await connection.execute(
        f"INSERT INTO custody.standings ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
        "ON CONFLICT (asset) DO UPDATE SET outcome = excluded.outcome, difference = excluded.difference, "
        "since = excluded.since, reconciled_at = excluded.reconciled_at, stopped_at = excluded.stopped_at, "
        "accepted = excluded.accepted",
        *msgspec.structs.astuple(standing),
    )


async def stopped(connection: Connection, assets: Collection[str]) -> set[str]:
    """Those of these assets whose withdrawals are stopped."""
    rows = await connection.fetch(
        "SELECT asset FROM custody.standings WHERE asset = ANY($1::text[]) AND stopped_at IS NOT NULL", list(assets)
    )
    return {row["asset"] for row in rows}


async def add_reports(connection: Connection, reports: Sequence[Report]) -> None:
    """Keep what was found."""
    await connection.executemany(
        "INSERT INTO custody.reconciliations (id, chain, asset, outcome, report, made_at) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        [(one.id, one.chain, one.asset, one.outcome, msgspec.to_builtins(one), one.made_at) for one in reports],
    )


async def prune_reports(connection: Connection, asset: str, *, keep: int) -> None:
    """Forget all but the last `keep` of an asset."""
    await connection.execute(
        "DELETE FROM custody.reconciliations WHERE asset = $1 AND id < ("
        "SELECT id FROM custody.reconciliations WHERE asset = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)",
        asset,
        keep - 1,
    )


async def page(
    connection: Connection, *, chain: str | None, asset: str | None, before: UUID | None, limit: int
) -> list[Report]:
    """What was found, the newest first."""
    rows = await connection.fetch(
        "SELECT report FROM custody.reconciliations WHERE ($1::text IS NULL OR chain = $1) "
        "AND ($2::text IS NULL OR asset = $2) AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        chain,
        asset,
        before,
        limit,
    )
    return [msgspec.convert(row["report"], Report) for row in rows]


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """What waits on a chain in one state."""

    state: str
    count: int
    oldest: datetime


async def depth(connection: Connection, chain: str) -> list[Depth]:
    """The queue of what is to leave, by state: of a withdrawal that is allocated, that of its transaction."""
    rows = await connection.fetch(
        """
        SELECT coalesce(tx.state, w.state) AS state, count(*) AS count, min(w.created_at) AS oldest
        FROM custody.withdrawals w LEFT JOIN LATERAL (
            SELECT state FROM custody.tx_queue WHERE w.state = 'allocated' AND allocation_id = w.allocation_id
            ORDER BY state IN ('mined', 'final') DESC, state NOT IN ('dead', 'dropped') DESC, created_at DESC LIMIT 1
        ) tx ON true
        WHERE w.chain = $1 AND w.state IN ('requested', 'held', 'allocated', 'settling') GROUP BY 1
        """,
        chain,
    )
    return [Depth(**row) for row in rows]
