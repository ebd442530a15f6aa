"""Dead letters: messages that could not be applied. A row's content never changes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from billfold.platform.postgres.database import Connection
from billfold.wallets.contracts import DeadLetter, DeadLetterContent, DeadLetterStatus

#: Lists don't carry contents, which may be a megabyte each.
_COLUMNS = (
    "id, first_seen, last_seen, sequence, deliveries, retries, transfer_id, status, reason, detail, subject, headers, "
    "octet_length(content) AS size"
)

_SEEN_AGAIN = """
    last_seen = greatest(known.last_seen, excluded.last_seen),
    subject = excluded.subject,
    sequence = excluded.sequence,
    deliveries = CASE WHEN (known.subject, known.sequence) = (excluded.subject, excluded.sequence)
        THEN greatest(known.deliveries, excluded.deliveries) ELSE known.deliveries + excluded.deliveries END
"""


class NewDeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message to set aside. `id` is for when it is not known yet."""

    id: UUID
    digest: UUID
    now: datetime
    sequence: int
    deliveries: int
    reason: str
    detail: str
    subject: str
    headers: dict[str, str]
    content: bytes


async def record(connection: Connection, new: NewDeadLetter) -> tuple[UUID, DeadLetterStatus]:
    """Set a message aside; its id (another one than `new.id` if it was known) and status.

    One that an operator has dealt with stays dealt with. Delivered again, it counts the higher number; sent again, the
    deliveries of both add up.
    """
    row = await connection.fetchrow(
        f"""
        INSERT INTO wallets.dead_letters AS known
            (id, digest, first_seen, last_seen, sequence, deliveries, reason, detail, subject, headers, content)
        VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (digest) DO UPDATE SET
            {_SEEN_AGAIN},
            reason = CASE WHEN known.status = 'open' THEN excluded.reason ELSE known.reason END,
            detail = CASE WHEN known.status = 'open' THEN excluded.detail ELSE known.detail END
        RETURNING id, status
        """,
        new.id,
        new.digest,
        new.now,
        new.sequence,
        new.deliveries,
        new.reason,
        new.detail,
        new.subject,
        new.headers,
        new.content,
    )
    assert row is not None, "it is inserted or updated"
    return row[0], row[1]


async def dropped(
    connection: Connection, *, digest: UUID, now: datetime, subject: str, sequence: int, deliveries: int
) -> None:
    """Note that a discarded message has come again. Open, it is one whose discard has not got as far as this row."""
    await connection.execute(
        f"""
        UPDATE wallets.dead_letters AS known
        SET {_SEEN_AGAIN}, status = CASE WHEN known.status = 'open' THEN 'discarded' ELSE known.status END
        FROM (VALUES ($2::timestamptz, $3::text, $4::bigint, $5::integer))
            AS excluded (last_seen, subject, sequence, deliveries)
        WHERE digest = $1
        """,
        digest,
        now,
        subject,
        sequence,
        deliveries,
    )


async def page(
    connection: Connection, *, status: DeadLetterStatus | None, before: UUID | None, limit: int
) -> list[DeadLetter]:
    """Dead letters without their contents, the newest first."""
    found = await connection.fetch(
        f"SELECT {_COLUMNS} FROM wallets.dead_letters "
        "WHERE ($1::text IS NULL OR status = $1) AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        status,
        before,
        limit,
    )
    return [DeadLetter(**row) for row in found]


async def get(connection: Connection, dead_letter_id: UUID) -> DeadLetterContent | None:
    """One of them, with its content."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS}, content FROM wallets.dead_letters WHERE id = $1", dead_letter_id
    )
    return None if row is None else DeadLetterContent(**row)


async def retried(connection: Connection, dead_letter_id: UUID, transfer_id: UUID) -> None:
    """Note what a retry has posted. Money has moved, so this holds whatever another operator has decided meanwhile."""
    await connection.execute(
        "UPDATE wallets.dead_letters SET status = 'retried', transfer_id = $2, retries = retries + 1 WHERE id = $1",
        dead_letter_id,
        transfer_id,
    )


async def refused_again(connection: Connection, dead_letter_id: UUID, reason: str, detail: str) -> None:
    """Note that a retry was refused, and why."""
    await connection.execute(
        "UPDATE wallets.dead_letters SET reason = $2, detail = $3, retries = retries + 1 "
        "WHERE id = $1 AND status = 'open'",
        dead_letter_id,
        reason,
        detail,
    )


async def discard(connection: Connection, dead_letter_id: UUID) -> bool:
    """Close an open one without applying it; False if it is not open."""
    done = await connection.fetchval(
        "UPDATE wallets.dead_letters SET status = 'discarded' WHERE id = $1 AND status = 'open' RETURNING true",
        dead_letter_id,
    )
    return bool(done)


async def count_open(connection: Connection, limit: int) -> int:
    """How many are open, counted up to `limit`."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM (SELECT FROM wallets.dead_letters WHERE status = 'open' LIMIT $1) AS counted", limit
    )
    return count
