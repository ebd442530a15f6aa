"""Records are fed to sinks: from our database to a queue of each sink's, and from there to it.

The topic that facts come by is a queue that the audit empties, and what is there has no number yet. So each sink has a
queue of its own, into which records are put in the order of their numbers. Its place in the audit is kept in our
database and moves when the broker has what was put there; its place in the queue is kept by the broker and moves when
the sink has answered. A sink that is away lags behind, for however long: its queue fills up to WAITING_MAX, and the
rest waits where it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import msgspec
import structlog
from prometheus_client import Counter, Gauge

from billfold.audit import Audit, Sink, errors
from billfold.audit.contracts import AuditRecord
from billfold.kernel import clock
from billfold.kernel.events import Event
from billfold.platform.messaging import cloudevents
from billfold.platform.messaging.cloudevents import EventTooLarge
from billfold.platform.messaging.consuming import EventConsumer, EventUnknown
from billfold.platform.messaging.port import Broker, Message, MessageTooLarge, Messaging, Subscription
from billfold.platform.messaging.topics import Topic
from billfold.platform.postgres.database import Database

#: The type of the events that carry a record to a sink.
TOLD: Final = "audit.told.v1"
#: So many records wait in the broker for a sink; the rest waits in our database.
WAITING_MAX = 20_000
#: How often it is looked for new records, and for room.
PAUSE_S = 0.25
#: One key for all: order counts.
_KEY = "records"

LAG = Gauge("billfold_audit_sink_lag_records", "Records that a sink of the audit does not have yet.", ["sink"])
WRITTEN = Counter(
    "billfold_audit_sink_written", "Records that a sink of the audit has said to have, repeats included.", ["sink"]
)
UP = Gauge("billfold_audit_sink_up", "1 if a sink of the audit took what it was last given, 0 if not.", ["sink"])

log = structlog.get_logger(__name__)
_decode = msgspec.json.Decoder(AuditRecord).decode


def queue_of(name: str) -> Subscription:
    """The queue of a sink. It is never full: there is room for what a process may put in unseen."""
    topic = Topic(
        name=f"audit-{name}",
        description=f"Records of the audit, on their way to {name}. For nobody else to read.",
        max_messages=2 * WAITING_MAX,
        queue=True,
        in_order=True,
    )
    return Subscription(name=f"audit-{name}", topic=topic, types=(TOLD,))


async def feed(audit: Audit, name: str, messaging: Messaging) -> None:
    """Put records into the queue of a sink until cancelled. Any number of processes may: one does, the others stand by.

    Raises:
        Unavailable: the broker, the database or the lead is lost; nothing is, so call it again.
    """
    await audit.feeding.alone(name, lambda: _feed(audit, name, messaging))


async def fill(sink: Sink, *, messaging: Messaging, database: Database) -> None:
    """Write what is in the queue of a sink into it, until cancelled.

    Raises:
        Unavailable: the broker or the lead is lost; nothing is, so call it again.
    """
    async with sink.opened() as target:

        async def handle(events: Sequence[Event]) -> None:
            try:
                await target.write([_told(event) for event in events])
            except errors.SinkUnavailable:
                UP.labels(sink.name).set(0)
                raise
            UP.labels(sink.name).set(1)
            WRITTEN.labels(sink.name).inc(len(events))

        consumer = EventConsumer(
            messaging=messaging, database=database, subscription=queue_of(sink.name), handle=handle
        )
        with _telling(UP, sink.name):
            await consumer.run()


async def _feed(audit: Audit, name: str, messaging: Messaging) -> None:
    queue = queue_of(name)
    unseen = 0
    async with messaging.connected(name=f"billfold feeding {queue.name}") as broker:
        await broker.ensure(queue.topic)
        with _telling(LAG, name):
            while True:
                backlog = await broker.backlog(queue)
                # Nobody has taken anything yet: then what we have put there is there.
                waiting = unseen if backlog is None else backlog.waiting + backlog.in_hand
                put = await _put(audit, broker, name, waiting=waiting)
                unseen += put
                if not put:
                    await asyncio.sleep(PAUSE_S)


@contextmanager
def _telling(gauge: Gauge, name: str) -> Iterator[None]:
    """Who leads tells it, and nobody who did before."""
    try:
        yield
    finally:
        with suppress(KeyError):
            gauge.remove(name)


async def _put(audit: Audit, broker: Broker, name: str, *, waiting: int) -> int:
    """Put the next records into the queue, if there is room, and say how many."""
    block = await audit.feeding.following(name, room=WAITING_MAX - waiting)
    LAG.labels(name).set(block.at.total - block.at.fed + waiting)
    if block.told:
        topic = queue_of(name).topic
        try:
            await broker.publish([_message(topic, block.at.round, told, broker.body_max_bytes) for told in block.told])
        except MessageTooLarge:
            # The queue takes less than its broker does, as an operator wants it.
            for told in block.told:
                await _put_alone(broker, topic, block.at.round, told)
        await audit.feeding.fed(name, block)
    return len(block.told)


async def _put_alone(broker: Broker, topic: Topic, round_: int, told: AuditRecord) -> None:
    try:
        await broker.publish([_message(topic, round_, told, broker.body_max_bytes)])
    except MessageTooLarge:
        await broker.publish([_message(topic, round_, told, 0)])


def _message(topic: Topic, round_: int, told: AuditRecord, max_bytes: int) -> Message:
    body = _body(told)
    if body is None or len(body) > max_bytes:
        log.warning("a record is too large for the broker and is told without its data", position=told.position)
        body = _body(msgspec.structs.replace(told, before=None, data=None))
        assert body is not None, "what is left has limits of its own"
    # A broker drops a repeat; what is fed again on purpose is none.
    message_id = f"{round_}/{told.key}"
    return Message(topic=topic, type=TOLD, id=message_id, key=_KEY, body=body)


def _body(told: AuditRecord) -> bytes | None:
    """The event that carries a record; None if it is too large for one."""
    event = Event(
        id=told.id,
        type=TOLD,
        source=told.source,
        subject=told.subject,
        time=clock.parse(told.time),
        key=_KEY,
        data=told,
    )
    try:
        return cloudevents.encode(event)
    except EventTooLarge:
        return None


def _told(event: Event) -> AuditRecord:
    assert isinstance(event.data, msgspec.Raw), "it comes from a broker"
    try:
        return _decode(event.data)
    except msgspec.DecodeError as error:
        raise EventUnknown(f"The record in {event.id} can't be read: {error}") from error
