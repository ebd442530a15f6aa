"""SQL over payment requests. Who may see one is part of the statement: whoever asks, and whoever is asked."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from billfold.kernel.idempotency import Key
from billfold.platform.postgres.database import Connection

#: An expired one is open here: nothing happens when its time is over.
Status = Literal["open", "paid", "declined", "cancelled"]

_COLUMNS = (
    "id, owner_id, payer_id, alias, wallet_id, asset, units, reference, description, created_at, expires_at, status, "
    "ended_at, transfer_id"
)


class Row(msgspec.Struct, frozen=True):
    """A request as it is kept."""

    id: UUID
    owner_id: UUID
    payer_id: UUID
    alias: str
    wallet_id: UUID
    asset: str
    units: int
    reference: str
    description: str
    created_at: datetime
    expires_at: datetime
    status: Status
    ended_at: datetime | None = None
    transfer_id: UUID | None = None


async def lock(connection: Connection, owner: UUID) -> None:
    """Let an owner's requests be made one after the other until the database transaction ends."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('payment requests:' || $1::uuid::text, 0))", owner
    )


async def earlier(connection: Connection, key: Key) -> tuple[Row, int] | None:
    """What was made with this idempotency key, and the fingerprint of what was asked then."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS}, request_fingerprint FROM wallets.payment_requests WHERE request_digest = $1", key.digest
    )
    return None if row is None else (Row(*list(row)[:-1]), row["request_fingerprint"])


async def count_open(connection: Connection, owner: UUID, *, payer: UUID, now: datetime) -> tuple[int, int]:
    """How many of an owner's can still be paid: by this payer, and by anybody."""
    row = await connection.fetchrow(
        "SELECT count(*) FILTER (WHERE payer_id = $2), count(*) FROM wallets.payment_requests "
        "WHERE owner_id = $1 AND status = 'open' AND expires_at > $3",
        owner,
        payer,
        now,
    )
    assert row is not None
    return row[0], row[1]


async def insert(connection: Connection, new: Row, key: Key) -> None:
    """Add one."""
    await connection.execute(
        "INSERT INTO wallets.payment_requests (id, owner_id, payer_id, alias, wallet_id, asset, units, reference, "
        "description, created_at, expires_at, request_digest, request_fingerprint) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        new.id,
        new.owner_id,
        new.payer_id,
        new.alias,
        new.wallet_id,
        new.asset,
        new.units,
        new.reference,
        new.description,
        new.created_at,
        new.expires_at,
        key.digest,
        key.fingerprint,
    )


async def find(connection: Connection, request_id: UUID, *, owner: UUID) -> Row | None:
    """One that the owner asks for, or is asked."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM wallets.payment_requests WHERE id = $1 AND (owner_id = $2 OR payer_id = $2)",
        request_id,
        owner,
    )
    return None if row is None else Row(*row)


async def page(
    connection: Connection,
    *,
    owner: UUID,
    incoming: bool,
    only_open: bool,
    before: UUID | None,
    now: datetime,
    limit: int,
) -> list[Row]:
    """Those that an owner is asked, or asks for; the newest first."""
    side = "payer_id" if incoming else "owner_id"
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM wallets.payment_requests WHERE {side} = $1 AND ($2::uuid IS NULL OR id < $2) "
        "AND (NOT $3 OR (status = 'open' AND expires_at > $4)) ORDER BY id DESC LIMIT $5",
        owner,
        before,
        only_open,
        now,
        limit,
    )
    return [Row(*row) for row in rows]


async def end(
    connection: Connection, request_id: UUID, *, status: Status, transfer_id: UUID | None, now: datetime
) -> Row | None:
    """Let an open one be so; None if it has ended already."""
    row = await connection.fetchrow(
        "UPDATE wallets.payment_requests SET status = $2, transfer_id = $3, ended_at = $4 "
        f"WHERE id = $1 AND status = 'open' RETURNING {_COLUMNS}",
        request_id,
        status,
        transfer_id,
        now,
    )
    return None if row is None else Row(*row)
