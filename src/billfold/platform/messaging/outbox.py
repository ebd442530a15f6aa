"""The outbox: events are written in the database transaction of the state they tell of. Reading it is the relay's.

The contract is in the README beside this file; the SQL of the relay is here too, because only this file and its
migration name the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from billfold.kernel import clock, facts, ids, origin
from billfold.kernel.events import Event
from billfold.kernel.facts import Fact
from billfold.kernel.origin import Origin
from billfold.platform.messaging import cloudevents, topics
from billfold.platform.messaging.port import Message
from billfold.platform.messaging.topics import Topic
from billfold.platform.postgres.database import Connection
from billfold.platform.telemetry import traces

#: The payload is a CloudEvent in JSON.
EVENT = "event"
#: So it is here, and it tells of a message that a consumer has given up on.
DEAD_LETTER = "dead-letter"
#: So it is here, and it carries facts for the audit.
AUDIT = "audit"
#: The kinds whose payload is a CloudEvent.
WRITTEN = (EVENT, DEAD_LETTER, AUDIT)
#: Where events go, in the order in which the relay publishes what it has found for each.
TOPICS = (topics.EVENTS, topics.DEAD_LETTERS, topics.AUDIT)

#: Rows are counted up to here: beyond, it only matters that they are many.
LAG_COUNT_MAX = 100_000
#: A reason is for people to read.
REASON_MAX = 2_000

#: An arbitrary number of ours: who leads under it relays this database's outbox.
LEAD = 0x42_46_4F_55_54_42_4F_58

_encode = msgspec.json.Encoder().encode


class Row(msgspec.Struct, frozen=True):
    """A row that is still to be published. `age_s` is by the database's clock."""

    seq: int
    kind: str
    payload: bytes
    age_s: float


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One of several events that are told together; where its command came from, and what came of that."""

    event: Event
    of: Origin | None
    outcome: str = facts.DONE


class Lag(msgspec.Struct, frozen=True):
    """What is still to be published, what is parked, and how many messages are withheld from queues that are full."""

    rows: int
    age_s: float
    parked: int
    withheld: int


def topic_of(kind: str, event: Event) -> Topic:
    """Where `event` goes, which a row of this kind stands for. A row may have events for several topics."""
    if kind == DEAD_LETTER:
        return topics.DEAD_LETTERS
    return topics.AUDIT if event.type == facts.RECORDED else topics.EVENTS


def _kind_of(topic: Topic) -> str:
    """As what a message of this topic is written by itself."""
    if topic is topics.DEAD_LETTERS:
        return DEAD_LETTER
    return AUDIT if topic is topics.AUDIT else EVENT


async def append(
    connection: Connection,
    event: Event,
    *,
    before: object = None,
    outcome: str = facts.DONE,
    of: Origin | None = None,
    fact: object = None,
) -> None:
    """Publish `event` if and only if the database transaction of `connection` commits.

    For events with the same key to keep the order of their commits, the caller must hold a row lock that belongs to the
    key by now. The audit gets it with where the command came from: `of`, or else what is known now; with what it was
    `before`, where that is known; and with the code of the refusal where it is none that was carried out. It gets
    `fact` in the place of the event's data where whoever does it may not know all of that.

    Raises:
        EventTooLarge: more than cloudevents.EVENT_MAX_BYTES.
    """
    known = of or origin.current()
    await _append(connection, _rows(_placed(event), known, before=before, outcome=outcome, data=fact))


async def append_all(connection: Connection, told: Sequence[Told]) -> None:
    """As `append`, for what came from different places: what is known here is of no event in particular.

    Raises:
        EventTooLarge: one has more than cloudevents.EVENT_MAX_BYTES.
    """
    await _append(connection, [row for one in told for row in _rows(one.event, one.of, outcome=one.outcome)])


async def append_fact(
    connection: Connection,
    kind: str,
    *,
    source: str,
    subject: str,
    time: datetime,
    data: object = None,
    outcome: str = facts.DONE,
) -> None:
    """Have the audit keep something that is told in no event; where none is kept, nothing happens.

    Raises:
        EventTooLarge: more than cloudevents.EVENT_MAX_BYTES.
    """
    known = origin.current()
    if known is not None:
        told = Fact(
            type=kind,
            source=source,
            id=str(ids.new()),
            subject=subject,
            time=clock.format(time),
            origin=known,
            outcome=outcome,
            data=data,
        )
        await append_facts(connection, [told], key=subject, time=time)


async def append_facts(connection: Connection, told: Sequence[Fact], *, key: str, time: datetime) -> None:
    """Have the audit keep what is no event, if and only if the database transaction of `connection` commits.

    Any number of facts is one statement, and a row for as many of them as one event carries.

    Raises:
        EventTooLarge: one fact has more than cloudevents.EVENT_MAX_BYTES.
    """
    parts = facts.in_parts((fact, len(_encode(fact))) for fact in told)
    await _append(connection, [_row(AUDIT, _placed(facts.carried(part, key=key, time=time))) for part in parts])


async def append_dead_letter(connection: Connection, event: Event) -> None:
    """As `append`, but to the dead-letter stream.

    Raises:
        EventTooLarge: more than cloudevents.EVENT_MAX_BYTES.
    """
    await _append(connection, [_row(DEAD_LETTER, _placed(event))])


async def _append(connection: Connection, rows: Sequence[tuple[str, bytes]]) -> None:
    await connection.execute(
        "SELECT messaging.append(kind, payload) FROM unnest($1::text[], $2::bytea[]) AS given (kind, payload)",
        [kind for kind, _ in rows],
        [payload for _, payload in rows],
    )


def _rows(
    event: Event, of: Origin | None, *, before: object = None, outcome: str, data: object = None
) -> list[tuple[str, bytes]]:
    """What tells of an event, and what the audit gets of it."""
    rows = [_row(EVENT, event)]
    if of is not None:
        fact = facts.of_event(event, of, before=before, outcome=outcome, data=data)
        carried = facts.carried([fact], key=event.key, time=event.time)
        rows.append(_row(AUDIT, msgspec.structs.replace(carried, traceparent=event.traceparent)))
    return rows


def _row(kind: str, event: Event) -> tuple[str, bytes]:
    return kind, cloudevents.encode(event)


def _placed(event: Event) -> Event:
    """The event with where in its trace it is told."""
    place = traces.current()
    if place is None or event.traceparent is not None:
        return event
    return msgspec.structs.replace(event, traceparent=place.traceparent())


async def waiting(connection: Connection, limit: int, *, remove: Sequence[int] = ()) -> list[Row]:
    """The first rows in the order of `seq` among those that are visible, once exactly the rows `remove` are deleted.

    A range to delete would take rows with it that have become visible since it was read.
    """
    found = await connection.fetch(
        "WITH gone AS (DELETE FROM messaging.outbox WHERE seq = ANY($2)) "
        "SELECT seq, kind, payload, extract(epoch FROM clock_timestamp() - created_at)::float8 "
        "FROM messaging.outbox WHERE seq <> ALL($2) ORDER BY seq LIMIT $1",
        limit,
        remove,
    )
    return [Row(*row) for row in found]


async def park(connection: Connection, row: Row, reason: str) -> None:
    """Put a row that can't be published aside, in one statement, so that it is always in one place."""
    await connection.execute(
        "WITH gone AS (DELETE FROM messaging.outbox WHERE seq = $1 RETURNING seq, created_at, kind, payload) "
        "INSERT INTO messaging.parked (seq, created_at, kind, payload, reason) SELECT *, $2 FROM gone",
        row.seq,
        reason.replace("\x00", "")[:REASON_MAX],
    )


async def park_message(connection: Connection, message: Message, reason: str) -> None:
    """Put a message aside that its topic does not take, whatever row it came from, as a row of its own."""
    async with connection.transaction():
        row = await connection.fetchrow(
            "INSERT INTO messaging.outbox (kind, payload) VALUES ($1, $2) RETURNING seq, kind, payload, 0::float8",
            _kind_of(message.topic),
            message.body,
        )
        assert row is not None
        await park(connection, Row(*row), reason)


async def parked(connection: Connection, *, after: int, limit: int) -> list[Row]:
    """Parked rows in the order of `seq`."""
    found = await connection.fetch(
        "SELECT seq, kind, payload, extract(epoch FROM clock_timestamp() - created_at)::float8 "
        "FROM messaging.parked WHERE seq > $1 ORDER BY seq LIMIT $2",
        after,
        limit,
    )
    return [Row(*row) for row in found]


async def unpark(connection: Connection, seq: int) -> None:
    """Forget a parked row that has been published after all."""
    await connection.execute("DELETE FROM messaging.parked WHERE seq = $1", seq)


async def withhold(connection: Connection, topic: Topic, messages: Sequence[Message]) -> None:
    """Put messages aside until their topic takes them. One that is there already is not put there again."""
    await connection.execute(
        "INSERT INTO messaging.withheld (topic, id, body) SELECT $1, id, body "
        "FROM unnest($2::text[], $3::bytea[]) WITH ORDINALITY AS given (id, body, number) ORDER BY number "
        "ON CONFLICT (topic, id) DO NOTHING",
        topic.name,
        [message.id for message in messages],
        [message.body for message in messages],
    )


async def withheld(connection: Connection, topic: Topic, limit: int) -> list[tuple[int, bytes]]:
    """The first messages that were put aside of a topic, in their order: the position and the body of each."""
    found = await connection.fetch(
        "SELECT position, body FROM messaging.withheld WHERE topic = $1 ORDER BY position LIMIT $2", topic.name, limit
    )
    return [(row["position"], row["body"]) for row in found]


async def let_go(connection: Connection, positions: Sequence[int]) -> None:
    """Forget messages that were put aside and are published."""
    await connection.execute("DELETE FROM messaging.withheld WHERE position = ANY($1)", positions)


async def lag(connection: Connection) -> Lag:
    """How much waits, for how long, and how much is parked and withheld."""
    row = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM (SELECT FROM messaging.outbox LIMIT $1) AS counted), "
        "coalesce((SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM messaging.outbox "
        "          ORDER BY seq LIMIT 1), 0), "
        "(SELECT count(*) FROM (SELECT FROM messaging.parked LIMIT $1) AS counted), "
        "(SELECT count(*) FROM (SELECT FROM messaging.withheld LIMIT $1) AS counted)",
        LAG_COUNT_MAX,
    )
    assert row is not None
    return Lag(*row)
