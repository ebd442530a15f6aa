"""Events that a consumer could not apply: kept with the reason, and told of among the dead letters."""

from __future__ import annotations

from base64 import b64encode
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from billfold.kernel import clock, ids
from billfold.kernel.errors import BillfoldError
from billfold.kernel.events import Event
from billfold.platform.messaging import cloudevents, outbox
from billfold.platform.messaging.port import Delivery
from billfold.platform.postgres.database import Database

SOURCE: Final = "/billfold/messaging"
REFUSED: Final = "event.refused.v1"
#: A larger content is left out of the event; it is in the table.
CONTENT_MAX_BYTES = 256 * 1024
#: A reason is for people to read.
DETAIL_MAX = 1_000
#: Of all headers together; they are often traces and seldom more than a few hundred characters.
HEADERS_MAX = 16 * 1024


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


async def set_aside(database: Database, consumer: str, delivery: Delivery, why: BillfoldError) -> bool:
    """Keep what `consumer` could not apply, and tell of it, in one database transaction. Whether it is new here."""
    refused_id = ids.new()
    envelope = _envelope(delivery.body)
    source, event_id = (None, None) if envelope is None else (_storable(envelope.source), _storable(envelope.id))
    async with database.transaction() as connection:
        known: UUID = await connection.fetchval(
            "INSERT INTO messaging.refused_events "
            "(id, consumer, digest, source, event_id, type, reason, detail, position, deliveries, headers, body) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) "
            "ON CONFLICT (consumer, digest) DO UPDATE SET position = excluded.position, "
            "deliveries = greatest(messaging.refused_events.deliveries, excluded.deliveries) RETURNING id",
            refused_id,
            consumer,
            UUID(bytes=blake2b(delivery.body, digest_size=16).digest()),
            source,
            event_id,
            _storable(delivery.type if envelope is None else envelope.type),
            why.code,
            _storable(why.detail),
            _storable(delivery.position),
            delivery.deliveries,
            _headers(delivery),
            delivery.body,
        )
        if known == refused_id:
            data = EventRefused(
                refused_event_id=str(refused_id),
                consumer=consumer,
                reason=why.code,
                detail=_storable(why.detail),
                source=source,
                id=event_id,
                position=_storable(delivery.position),
                deliveries=delivery.deliveries,
                size=len(delivery.body),
                content=b64encode(delivery.body).decode() if len(delivery.body) <= CONTENT_MAX_BYTES else None,
            )
            await outbox.append_dead_letter(connection, _event(refused_id, data))
    return known == refused_id


def _event(refused_id: UUID, data: EventRefused) -> Event:
    subject = str(refused_id)
    now = clock.SystemClock().now()
    return Event(id=str(ids.new()), type=REFUSED, source=SOURCE, subject=subject, time=now, key=subject, data=data)


def _envelope(body: bytes) -> cloudevents.Envelope | None:
    try:
        return cloudevents.decode(body)
    except BillfoldError:
        return None


def _storable(text: str) -> str:
    """PostgreSQL's text is UTF-8 without NUL, and nobody reads on for ever."""
    return text.encode(errors="replace").decode().replace("\0", "?")[:DETAIL_MAX]


def _headers(delivery: Delivery) -> dict[str, str]:
    """As many of the headers as fit."""
    kept: dict[str, str] = {}
    size = 0
    for name, value in delivery.headers.items():
        size += len(name) + len(value)
        if size > HEADERS_MAX:
            break
        kept[_storable(name)] = _storable(value)
    return kept
