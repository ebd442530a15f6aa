"""SQL over approvals. Whoever changes those of a maker holds the row of that maker's owner, which orders them all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from billfold.identity.contracts import Approval, ApprovalStatus, Demand
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Connection

if TYPE_CHECKING:
    import asyncpg

_COLUMNS = (
    "id, kind, status, content, resolved, maker_id, checker_id, requested_at, expires_at, decided_at, ended_at, "
    "reason, needs, concerns, credential_id, key_fingerprint, key_text"
)
#: A request with these is not over.
_OPEN = "status IN ('pending', 'approved')"


class Stored(msgspec.Struct, frozen=True):
    """An approval, and what it takes to decide about it and to carry it out."""

    approval: Approval
    maker_id: UUID
    credential_id: UUID
    needs: frozenset[str]
    concerns: frozenset[UUID]
    key_fingerprint: int
    key_text: str


def _stored(row: asyncpg.Record) -> Stored:
    values: dict[str, Any] = {name: row[name] for name in Approval.__struct_fields__}
    for name in ("id", "maker_id", "checker_id"):
        values[name] = None if values[name] is None else str(values[name])
    return Stored(
        approval=Approval(**values),
        maker_id=row["maker_id"],
        credential_id=row["credential_id"],
        needs=frozenset(row["needs"]),
        concerns=frozenset(row["concerns"]),
        key_fingerprint=row["key_fingerprint"],
        key_text=row["key_text"],
    )


async def insert(
    connection: Connection,
    *,
    approval_id: UUID,
    by: Principal,
    demand: Demand,
    now: datetime,
    expires_at: datetime,
) -> Stored:
    """Add a request that waits from now on."""
    row = await connection.fetchrow(
        f"""
        INSERT INTO identity.approvals (id, kind, content, needs, maker_id, credential_id, concerns, key_digest,
            key_fingerprint, key_text, requested_at, expires_at, resolved)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        RETURNING {_COLUMNS}
        """,
        approval_id,
        demand.kind,
        demand.content,
        sorted(demand.needs),
        by.user_id,
        by.credential_id,
        sorted(demand.concerns),
        demand.key.digest,
        demand.key.fingerprint,
        demand.key_text,
        now,
        expires_at,
        sorted(demand.resolved),
    )
    assert row is not None
    return _stored(row)


async def of_key(connection: Connection, digest: UUID, *, open_only: bool) -> Stored | None:
    """The newest request with this idempotency key, or the newest that is not over."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM identity.approvals WHERE key_digest = $1 {f'AND {_OPEN}' if open_only else ''} "
        "ORDER BY id DESC LIMIT 1",
        digest,
    )
    return _stored(row) if row else None


async def find(connection: Connection, approval_id: UUID, *, maker: UUID | None = None) -> Stored | None:
    """The request; of that maker alone, if one is given."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM identity.approvals WHERE id = $1 AND ($2::uuid IS NULL OR maker_id = $2)",
        approval_id,
        maker,
    )
    return _stored(row) if row else None


async def page(
    connection: Connection, *, maker: UUID | None, status: ApprovalStatus | None, before: UUID | None, limit: int
) -> list[Approval]:
    """Requests, the newest first."""
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS} FROM identity.approvals
        WHERE ($1::uuid IS NULL OR maker_id = $1) AND ($2::text IS NULL OR status = $2)
            AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,
        maker,
        status,
        before,
        limit,
    )
    return [_stored(row).approval for row in rows]


async def count_pending(connection: Connection, maker: UUID) -> int:
    """How many requests of somebody wait for another person."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM identity.approvals WHERE maker_id = $1 AND status = 'pending'", maker
    )
    return count


async def decide(
    connection: Connection,
    approval_id: UUID,
    *,
    status: ApprovalStatus,
    checker: UUID | None,
    reason: str | None,
    now: datetime,
) -> Stored | None:
    """Say what becomes of a request that still waits; None if it doesn't."""
    row = await connection.fetchrow(
        f"""
        UPDATE identity.approvals SET status = $2, checker_id = $3, decided_at = CASE WHEN $3::uuid IS NULL THEN NULL
            ELSE $5::timestamptz END, reason = $4, ended_at = CASE WHEN $2 = 'approved' THEN NULL ELSE $5 END
        WHERE id = $1 AND status = 'pending'
        RETURNING {_COLUMNS}
        """,
        approval_id,
        status,
        checker,
        reason,
        now,
    )
    return _stored(row) if row else None


async def conclude(
    connection: Connection, approval_id: UUID, *, status: ApprovalStatus, reason: str | None, now: datetime
) -> Stored | None:
    """Say what has become of an approved request; None if that has been said."""
    row = await connection.fetchrow(
        f"""
        UPDATE identity.approvals SET status = $2, reason = $3, ended_at = $4
        WHERE id = $1 AND status = 'approved'
        RETURNING {_COLUMNS}
        """,
        approval_id,
        status,
        reason,
        now,
    )
    return _stored(row) if row else None


async def unfinished(connection: Connection, *, decided_before: datetime, limit: int) -> list[UUID]:
    """Approved requests that were not carried out right away."""
    rows = await connection.fetch(
        "SELECT id FROM identity.approvals WHERE status = 'approved' AND decided_at < $1 ORDER BY id LIMIT $2",
        decided_before,
        limit,
    )
    return [row["id"] for row in rows]


async def overdue(connection: Connection, *, now: datetime, limit: int) -> list[UUID]:
    """Requests that nobody has decided about in time."""
    rows = await connection.fetch(
        "SELECT id FROM identity.approvals WHERE status = 'pending' AND expires_at <= $1 ORDER BY id LIMIT $2",
        now,
        limit,
    )
    return [row["id"] for row in rows]


async def roles_of(connection: Connection, user_ids: Sequence[UUID]) -> dict[UUID, frozenset[str]]:
    """The roles of each of these people who have not left; theirs can't change until the database transaction ends."""
    rows = await connection.fetch(
        "SELECT id, roles FROM identity.users WHERE id = ANY($1) AND closed_at IS NULL ORDER BY id FOR SHARE",
        user_ids,
    )
    return {row["id"]: frozenset(row["roles"]) for row in rows}
