"""SQL over the feed. Who sees what is decided before it is written; each reader names the owner."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from billfold.notifications.contracts import FeedEvent, Place
from billfold.platform.postgres.database import Connection

if TYPE_CHECKING:
    import asyncpg

_COLUMNS = "position, event_id, source, type, subject, time, data"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What one owner is told, before it has a position."""

    owner_id: UUID
    source: str
    event_id: str
    type: str
    subject: str
    time: datetime
    data: str


class Told(msgspec.Struct, frozen=True, gc=False):
    """An event in the order of all owners."""

    seq: int
    owner_id: UUID
    event: FeedEvent


async def append(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write entries behind everything that is there. Whoever writes at the same time waits until this has committed.

    What is for owners who have left is counted and not written.
    """
    before = await connection.fetchval("UPDATE notifications.head SET seq = seq + $1 RETURNING seq - $1", len(entries))
    await connection.execute(
        """
        WITH given AS MATERIALIZED (
            SELECT * FROM unnest(
                $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[]
            ) WITH ORDINALITY AS t (owner_id, source, event_id, type, subject, time, data, number)
        ),
        counted AS (
            INSERT INTO notifications.owners AS owners (owner_id, position)
            SELECT owner_id, count(*) FROM given GROUP BY owner_id ORDER BY owner_id
            ON CONFLICT (owner_id) DO UPDATE SET position = owners.position + excluded.position,
                forgotten = CASE WHEN owners.gone THEN owners.position + excluded.position ELSE owners.forgotten END
            RETURNING owner_id, position, gone
        )
        INSERT INTO notifications.feed (seq, owner_id, position, source, event_id, type, subject, time, data)
        SELECT $1 + number, owner_id,
            position - count(*) OVER (PARTITION BY owner_id)
                + row_number() OVER (PARTITION BY owner_id ORDER BY number),
            source, event_id, type, subject, time, data
        FROM given JOIN counted USING (owner_id) WHERE NOT gone
        """,
        before,
        *(list(column) for column in zip(*(msgspec.structs.astuple(entry) for entry in entries), strict=True)),
    )


async def head(connection: Connection) -> int:
    """The number of the last row of all."""
    found: int = await connection.fetchval("SELECT seq FROM notifications.head")
    return found


async def between(
    connection: Connection, *, after: int, until: int, owners: Collection[UUID], limit: int
) -> list[Told]:
    """Rows of these owners, in order."""
    rows = await connection.fetch(
        f"SELECT seq, owner_id, {_COLUMNS} FROM notifications.feed "
        "WHERE seq > $1 AND seq <= $2 AND owner_id = ANY($3) ORDER BY seq LIMIT $4",
        after,
        until,
        owners,
        limit,
    )
    return [Told(row["seq"], row["owner_id"], _event(row)) for row in rows]


async def place(connection: Connection, owner_id: UUID) -> Place:
    """Where the owner's feed ends and begins; nothing has happened to whoever is not there."""
    row = await connection.fetchrow(
        "SELECT position, forgotten FROM notifications.owners WHERE owner_id = $1", owner_id
    )
    return Place(0, 0) if row is None else Place(row["position"], row["forgotten"])


async def page(
    connection: Connection,
    owner_id: UUID,
    *,
    types: Collection[str],
    after: int,
    before: int | None = None,
    subject: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    newest_first: bool = False,
    limit: int,
) -> list[FeedEvent]:
    """The owner's events of these types, behind `after` and before `before`."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM notifications.feed "
        "WHERE owner_id = $1 AND type = ANY($2) AND position > $3 AND ($4::bigint IS NULL OR position < $4) "
        "AND ($5::text IS NULL OR subject = $5) AND ($6::timestamptz IS NULL OR time >= $6) "
        "AND ($7::timestamptz IS NULL OR time < $7) "
        f"ORDER BY position {'DESC' if newest_first else 'ASC'} LIMIT $8",
        owner_id,
        types,
        after,
        before,
        subject,
        since,
        until,
        limit,
    )
    return [_event(row) for row in rows]


async def leave(connection: Connection, owners: Collection[UUID]) -> None:
    """Delete all that these owners were told, who have left for good, and write nothing for them any more."""
    await connection.execute("DELETE FROM notifications.feed WHERE owner_id = ANY($1)", owners)
    await connection.execute(
        "UPDATE notifications.owners SET gone = true, forgotten = position WHERE owner_id = ANY($1)", owners
    )


async def forget(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete some of the rows that were written before this instant, the oldest first, and say how many."""
    # The same lock as writers take first, so that they and this never wait for one another's owners.
    await connection.execute("SELECT FROM notifications.head FOR UPDATE")
    found: int = await connection.fetchval(
        """
        WITH gone AS (
            DELETE FROM notifications.feed WHERE seq IN (
                SELECT seq FROM (SELECT seq, recorded_at FROM notifications.feed ORDER BY seq LIMIT $2) AS oldest
                WHERE recorded_at < $1
            ) RETURNING owner_id, position
        ),
        noted AS (
            UPDATE notifications.owners AS owners SET forgotten = greatest(owners.forgotten, gone.position)
            FROM (SELECT owner_id, max(position) AS position FROM gone GROUP BY owner_id) AS gone
            WHERE owners.owner_id = gone.owner_id
        )
        SELECT count(*) FROM gone
        """,
        before,
        limit,
    )
    return found


def _event(row: asyncpg.Record) -> FeedEvent:
    return FeedEvent(
        position=row["position"],
        id=row["event_id"],
        source=row["source"],
        type=row["type"],
        subject=row["subject"],
        time=row["time"],
        data=msgspec.Raw(row["data"].encode()),
    )
