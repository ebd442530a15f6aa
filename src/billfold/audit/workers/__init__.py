"""The audit's part of a worker: facts come from the broker, are recorded and sealed; heads are published, sinks fed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import structlog
from prometheus_client import Counter, Gauge

from billfold.audit import Audit, Place, errors
from billfold.audit.workers.sinks import feed, fill
from billfold.kernel import facts
from billfold.kernel.events import Event
from billfold.kernel.facts import Fact, Facts
from billfold.platform.messaging import topics
from billfold.platform.messaging.consuming import EventConsumer, EventUnknown
from billfold.platform.messaging.port import Messaging, Subscription
from billfold.platform.postgres.database import Database

__all__ = ["feed", "fill", "publish", "recording", "seal"]

SUBSCRIPTION = Subscription(name="audit", topic=topics.AUDIT)
#: Nobody waits for a record, and sealing comes seconds later.
GATHER_S = 0.2
#: Until there is a first head it is looked this often for something to seal.
FIRST_PAUSE_S = 1.0
#: What was not published yet is looked for this often.
PUBLISH_PAUSE_S = 1.0

RECORDED = Counter("billfold_audit_recorded", "Records that were added to the audit.")
SEALED = Gauge("billfold_audit_sealed_records", "Records that the newest signed head covers.")
SEALED_AT = Gauge("billfold_audit_sealed_timestamp_seconds", "When it was last looked whether there is more to seal.")
PUBLISHED = Counter("billfold_audit_published", "Signed heads that a place outside was told.", ["place"])
DIFFERS = Gauge("billfold_audit_head_differs", "1 while a place keeps another head than the one it is told.", ["place"])

log = structlog.get_logger(__name__)

_decode = msgspec.json.Decoder(Facts).decode


def recording(*, audit: Audit, messaging: Messaging, database: Database) -> EventConsumer:
    """What takes facts from the broker. `database` is the one that the broker's other consumers share."""

    async def handle(events: Sequence[Event]) -> None:
        added = await audit.recording.add([fact for event in events for fact in _facts(event)])
        RECORDED.inc(added.count)
        for fact in added.differing:
            # All others are recorded; the event of this one is set aside.
            raise errors.FactDiffers(f"The fact {fact.id} of {fact.source} came before, and said something else.")

    return EventConsumer(
        messaging=messaging, database=database, subscription=SUBSCRIPTION, handle=handle, gather_s=GATHER_S
    )


async def seal(audit: Audit, *, every_s: float) -> None:
    """Seal what was recorded, over and over until cancelled.

    Raises:
        Unavailable: the database or the master keys are away; call it again.
    """
    newest = await audit.reading.newest()
    while True:
        newest = await audit.sealing.seal() or newest
        if newest is not None:
            SEALED.set(newest.size)
        SEALED_AT.set_to_current_time()
        await asyncio.sleep(every_s if newest is not None else min(every_s, FIRST_PAUSE_S))


async def publish(audit: Audit, place: Place) -> None:
    """Tell a place of signed heads until cancelled.

    Raises:
        Unavailable: the place or the database is away; call it again.
    """
    while True:
        try:
            told = await audit.publishing.publish(place)
        except errors.HeadDiffers as error:
            DIFFERS.labels(place.name).set(1)
            # Where it was raised says nothing that the reason doesn't.
            log.error(  # noqa: TRY400
                "a signed head is not the one that is kept elsewhere", place=place.name, reason=error.detail
            )
            raise
        DIFFERS.labels(place.name).set(0)
        PUBLISHED.labels(place.name).inc(told)
        if not told:
            await asyncio.sleep(PUBLISH_PAUSE_S)


def _facts(event: Event) -> Sequence[Fact]:
    if event.type != facts.RECORDED:
        raise EventUnknown(f"The audit knows events of the type {facts.RECORDED} and no {event.type}.")
    assert isinstance(event.data, msgspec.Raw), "it comes from a broker"
    try:
        return _decode(event.data).facts
    except msgspec.DecodeError as error:
        raise errors.FactInvalid(f"The facts of {event.id} can't be read: {error}") from error
