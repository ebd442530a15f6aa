"""Events that a consumer could not apply: kept with the reason, told of among the dead letters, and tried again.

This is the consumer's side, and all SQL over them; what operators do with them is in `working_off`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold.kernel import clock, ids
from billfold.kernel.errors import BillfoldError
from billfold.kernel.events import Event
from billfold.platform.messaging import cloudevents, legible, outbox
from billfold.platform.messaging.port import Delivery
from billfold.platform.postgres.database import Connection, Database

SOURCE: Final = "/billfold/messaging"
REFUSED: Final = "event.refused.v1"
#: A larger content is left out of the event; it is in the table.
CONTENT_MAX_BYTES = 256 * 1024
#: A consumer tries so many at a look, before it goes on with what comes.
RETRIED_TOGETHER_MAX = 100
#: Beyond this it only matters that they are many.
COUNT_MAX = 100_000

Status = Literal["open", "retrying", "applied", "discarded"]
#: Lists don't carry contents, which may be a megabyte each.
_COLUMNS = (
    "id, consumer, status, reason, detail, type, source, event_id, position, deliveries, retries, refused_at, headers, "
    "octet_length(body) AS size"
)


class EventRefused(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a consumer could not apply. `content` is base64."""

    refused_event_id: str
    consumer: str
    reason: str
    detail: str
    source: str | None
    id: str | None
    position: str
    deliveries: int
    size: int
    content: str | None


class RefusedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a consumer could not apply, as operators see it."""

    id: UUID
    consumer: Annotated[str, Meta(description="Which of Billfold's consumers has refused it.")]
    status: Annotated[
        Status,
        Meta(
            description="Open until its consumer has applied it or an operator discards it; retrying once an operator "
            "wants it tried again, until its consumer has."
        ),
    ]
    reason: Annotated[str, Meta(description="The code of the error that refused it last.")]
    detail: Annotated[str, Meta(description="That error's sentence.")]
    type: Annotated[str, Meta(description="What it is, as far as it can be read.")]
    source: Annotated[str | None, Meta(description="Who has told it, if that can be read.")]
    event_id: Annotated[str | None, Meta(description="Its id there, if that can be read.")]
    position: Annotated[str, Meta(description="Where the broker had it when it came last.")]
    deliveries: Annotated[int, Meta(description="How often the broker had delivered it.")]
    retries: Annotated[int, Meta(description="How often its consumer has tried it again for an operator.")]
    refused_at: Annotated[datetime, Meta(description="RFC 3339, UTC.", tz=True)]
    headers: Annotated[Mapping[str, str], Meta(description="The headers it came with.")]
    size: Annotated[int, Meta(description="Bytes of its content.")]


class RefusedEventContent(RefusedEvent, frozen=True, kw_only=True):
    """An event that a consumer could not apply, with its content."""

    content: Annotated[bytes, Meta(description="The event byte for byte, in base64.")]


class Wanted(msgspec.Struct, frozen=True):
    """One that an operator wants to be tried again, as it was delivered."""

    id: UUID
    delivery: Delivery


async def set_aside(database: Database, consumer: str, delivery: Delivery, why: BillfoldError) -> bool:
    """Keep what `consumer` could not apply, and tell of it, in one database transaction. Whether it is new here."""
    refused_id = ids.new()
    envelope = _envelope(delivery.body)
    source, event_id = (None, None) if envelope is None else (legible.text(envelope.source), legible.text(envelope.id))
    async with database.transaction() as connection:
        known: UUID = await connection.fetchval(
            "INSERT INTO messaging.refused_events "
            "(id, consumer, digest, source, event_id, type, reason, detail, position, deliveries, headers, body, "
            "delivered_as) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) "
            "ON CONFLICT (consumer, digest) DO UPDATE SET position = excluded.position, "
            "deliveries = greatest(messaging.refused_events.deliveries, excluded.deliveries) RETURNING id",
            refused_id,
            consumer,
            UUID(bytes=blake2b(delivery.body, digest_size=16).digest()),
            source,
            event_id,
            legible.text(delivery.type if envelope is None else envelope.type),
            why.code,
            legible.text(why.detail),
            legible.text(delivery.position),
            delivery.deliveries,
            legible.headers(delivery.headers),
            delivery.body,
            legible.text(delivery.type),
        )
        if known == refused_id:
            data = EventRefused(
                refused_event_id=str(refused_id),
                consumer=consumer,
                reason=why.code,
                detail=legible.text(why.detail),
                source=source,
                id=event_id,
                position=legible.text(delivery.position),
                deliveries=delivery.deliveries,
                size=len(delivery.body),
                content=b64encode(delivery.body).decode() if len(delivery.body) <= CONTENT_MAX_BYTES else None,
            )
            await outbox.append_dead_letter(connection, _event(refused_id, data))
    return known == refused_id


async def take_wanted(database: Database, consumer: str) -> list[Wanted]:
    """What `consumer` is to try again now. Nobody else gets it, and nobody again unless an operator asks again."""
    async with database.connection() as connection:
        rows = await connection.fetch(
            "UPDATE messaging.refused_events SET wanted = false, retries = retries + 1 "
            "WHERE id = ANY (ARRAY(SELECT id FROM messaging.refused_events "
            "WHERE consumer = $1 AND status = 'retrying' AND wanted ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)) "
            "RETURNING id, delivered_as, headers, body",
            consumer,
            RETRIED_TOGETHER_MAX,
        )
    return [
        Wanted(
            row["id"],
            Delivery(
                type=row["delivered_as"],
                headers=row["headers"],
                body=row["body"],
                subject="messaging.refused_events",
                sequence=0,
                deliveries=1,
            ),
        )
        for row in sorted(rows, key=lambda row: row["id"].int)
    ]


async def tried(database: Database, refused_id: UUID, why: BillfoldError | None) -> None:
    """Note what has become of one that was tried again: `why` it is refused, or None.

    Applied it is whatever an operator has decided meanwhile; refused it stays open, unless it is wanted once more.
    """
    async with database.connection() as connection:
        if why is None:
            await connection.execute(
                "UPDATE messaging.refused_events SET status = 'applied', wanted = false WHERE id = $1", refused_id
            )
            return
        await connection.execute(
            "UPDATE messaging.refused_events SET reason = $2, detail = $3, "
            "status = CASE WHEN wanted THEN status ELSE 'open' END WHERE id = $1 AND status = 'retrying'",
            refused_id,
            why.code,
            legible.text(why.detail),
        )


async def count_open(connection: Connection) -> int:
    """How many have not ended, counted up to COUNT_MAX."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM (SELECT FROM messaging.refused_events "
        "WHERE status IN ('open', 'retrying') LIMIT $1) AS counted",
        COUNT_MAX,
    )
    return count


async def page(
    connection: Connection, *, consumer: str | None, status: Status | None, before: UUID | None, limit: int
) -> list[RefusedEvent]:
    """Refused events without their contents, the newest first."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM messaging.refused_events WHERE ($1::text IS NULL OR consumer = $1) "  # noqa: S608 - constants
        "AND ($2::text IS NULL OR status = $2) AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        consumer,
        status,
        before,
        limit,
    )
    return [RefusedEvent(**row) for row in rows]


async def get(connection: Connection, refused_id: UUID) -> RefusedEventContent | None:
    """One of them, with its content."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS}, body AS content FROM messaging.refused_events WHERE id = $1",  # noqa: S608 - constants
        refused_id,
    )
    return None if row is None else RefusedEventContent(**row)


async def want(connection: Connection, refused_id: UUID) -> bool:
    """Have its consumer try one that has not ended; False if it has."""
    done = await connection.fetchval(
        "UPDATE messaging.refused_events SET status = 'retrying', wanted = true "
        "WHERE id = $1 AND status IN ('open', 'retrying') RETURNING true",
        refused_id,
    )
    return bool(done)


async def discard(connection: Connection, refused_id: UUID) -> bool:
    """Leave one that has not ended as it is for good; False if it has ended."""
    done = await connection.fetchval(
        "UPDATE messaging.refused_events SET status = 'discarded', wanted = false "
        "WHERE id = $1 AND status IN ('open', 'retrying') RETURNING true",
        refused_id,
    )
    return bool(done)


def _event(refused_id: UUID, data: EventRefused) -> Event:
    subject = str(refused_id)
    now = clock.SystemClock().now()
    return Event(id=str(ids.new()), type=REFUSED, source=SOURCE, subject=subject, time=now, key=subject, data=data)


def _envelope(body: bytes) -> cloudevents.Envelope | None:
    try:
        return cloudevents.decode(body)
    except BillfoldError:
        return None
