"""The relay: from the outbox to the broker, in order, over and over. Why it is right is in the README beside this file.

Each round reads the first rows, turns them into events, publishes them, and deletes the rows. Looking for rows costs
less than being told of them: NOTIFY takes a lock of the whole server at COMMIT, which would put all postings in one
queue.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import PurePath

import structlog

from billfold.kernel.errors import Unavailable
from billfold.kernel.events import Event
from billfold.platform.messaging import cloudevents, metrics, outbox, refused, tracing
from billfold.platform.messaging.leading import leading
from billfold.platform.messaging.port import Broker, BrokerUnavailable, Message, MessageTooLarge, Messaging, TopicFull
from billfold.platform.messaging.topics import Topic
from billfold.platform.messaging.withholding import Withheld
from billfold.platform.postgres import database
from billfold.platform.postgres.database import Connection, Database
from billfold.platform.telemetry import traces

#: Turns the payloads of outbox rows of one kind into the events of each. A payload always stands for the same events
#: and facts; the facts of several may be carried together, behind the last one.
Expander = Callable[[Connection, Sequence[bytes]], Awaitable[list[list[Event]]]]

#: Rows read at a time. A row may be half a megabyte, and a row of the ledger may stand for thousands of events.
ROWS_MAX = 64
#: Rows expanded together: each may stand for thousands of events, which are all in memory then.
EXPANDED_MAX = 8
#: Events are published when so many have come together, which is what one atomic batch of NATS holds.
EVENTS_MAX = 1_000
#: How long to wait after a look that found nothing, shortly after rows and later. After rows the next look is at once.
BUSY_PAUSE_S = 0.005
IDLE_PAUSE_S = 0.025
#: The shorter pause is kept for so long after the last row.
LINGER_S = 1.0
#: Less than the silence after which PostgreSQL ends the session of a relay.
PUBLISH_TIMEOUT_S = 20.0
#: What was read so long ago is published only if the session that leads still lives: both together are no longer than
#: the silence that ends it.
IN_HAND_MAX_S = 10.0
#: How often parked rows are tried again.
PARKED_PAUSE_S = 60.0

log = structlog.get_logger(__name__)


class Poison(Exception):
    """This row can't be turned into messages."""


async def _events(connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
    del connection
    return [[cloudevents.event(cloudevents.decode(payload))] for payload in payloads]


class Relay:
    """Publishes an outbox. `expanders` says how the rows of each kind of the contexts become events."""

    def __init__(self, *, database: Database, messaging: Messaging, expanders: Mapping[str, Expander]) -> None:
        self._database = database
        self._messaging = messaging
        self._expanders = {**expanders, **dict.fromkeys(outbox.WRITTEN, _events)}
        #: Of the events in hand that are traced.
        self._publishing: list[traces.Span] = []
        #: When the session that leads was last heard of.
        self._heard_at = 0.0
        #: What a queue that is full has not taken.
        self._withheld = Withheld(())

    async def run(self) -> None:
        """Publish until cancelled.

        Raises:
            Unavailable: PostgreSQL or the broker is lost; nothing is, so call it again.
        """
        try:
            async with self._messaging.connected(name="billfold relay") as broker:
                for topic in outbox.TOPICS:
                    await broker.ensure(topic)
                async with self._leading() as connection:
                    await self._publish_for_ever(connection, broker)
        except Unavailable as error:
            metrics.FAILURES.labels("database" if isinstance(error, database.DatabaseUnavailable) else "broker").inc()
            raise

    async def measure(self) -> outbox.Lag:
        """How far behind publishing is; also sets the metrics of what waits. Any process may ask, leading or not.

        Raises:
            DatabaseUnavailable: it can't be known now.
        """
        async with self._database.connection() as connection:
            lag = await outbox.lag(connection)
            metrics.REFUSED_OPEN.set(await refused.count_open(connection))
        metrics.OUTBOX_ROWS.set(lag.rows)
        metrics.OUTBOX_AGE.set(lag.age_s)
        metrics.OUTBOX_PARKED.set(lag.parked)
        metrics.OUTBOX_WITHHELD.set(lag.withheld)
        return lag

    @asynccontextmanager
    async def _leading(self) -> AsyncIterator[Connection]:
        """The session that holds the lead, once no other does."""
        async with leading(self._database, outbox.LEAD) as connection:
            try:
                # A deletion that a crash of PostgreSQL undoes is an event published twice, and no reason to wait for
                # the disk. The table has no statistics worth a plan; its index is always the way.
                await connection.execute(
                    "SET synchronous_commit = off; SET enable_seqscan = off; SET enable_bitmapscan = off"
                )
                metrics.LEADING.set(1)
                log.info("this process publishes the outbox")
                yield connection
            finally:
                metrics.LEADING.set(0)

    async def _publish_for_ever(self, connection: Connection, broker: Broker) -> None:
        loop = asyncio.get_running_loop()
        self._withheld = Withheld(outbox.TOPICS)
        busy_until = parked_due = 0.0
        done: list[int] = []
        # What the relay before this one published last may still be here; all of it is once we have seen the end.
        perhaps_repeated = True
        while True:
            if loop.time() >= parked_due:
                await self._retry_parked(connection, broker)
                parked_due = loop.time() + PARKED_PAUSE_S
            await self._let_go(connection, broker)
            began = loop.time()
            rows = await outbox.waiting(connection, ROWS_MAX, remove=done)
            self._heard_at = began
            if rows:
                done = await self._publish(connection, broker, rows, perhaps_repeated=perhaps_repeated)
                perhaps_repeated = perhaps_repeated and len(rows) == ROWS_MAX
                busy_until = loop.time() + LINGER_S
                continue
            done = []
            perhaps_repeated = False
            # Under an old snapshot, such as a dump's, dead rows make each look slow; then there are fewer looks.
            pause_s = BUSY_PAUSE_S if began < busy_until else IDLE_PAUSE_S
            await asyncio.sleep(max(pause_s, loop.time() - began))

    async def _publish(
        self, connection: Connection, broker: Broker, rows: Sequence[outbox.Row], *, perhaps_repeated: bool
    ) -> list[int]:
        """Publish `rows` in order, and park those that can't be; the numbers of those that are published."""
        began = asyncio.get_running_loop().time()
        done: list[outbox.Row] = []
        messages: list[Message] = []
        for some in _blocks(rows):
            for row, found in await self._found(connection, some):
                if isinstance(found, Poison):
                    log.error("an outbox row can't be published and is parked", seq=row.seq, reason=str(found))
                    await outbox.park(connection, row, str(found))
                    continue
                if len(messages) + len(found) > EVENTS_MAX:
                    await self._store(connection, broker, messages, perhaps_repeated=perhaps_repeated)
                    messages = []
                messages += found
                done.append(row)
        await self._store(connection, broker, messages, perhaps_repeated=perhaps_repeated)
        took_s = asyncio.get_running_loop().time() - began
        for row in done:
            metrics.DELAY.observe(row.age_s + took_s)
        return [row.seq for row in done]

    async def _let_go(self, connection: Connection, broker: Broker) -> None:
        """Publish messages that a full queue has not taken, where it may take some now."""
        found = await self._withheld.next(connection)
        if found is None:
            return
        topic, waiting = found
        done: list[int] = []
        try:
            # One after the other: some brokers take or refuse each message by itself, and none may overtake another.
            for position, body in waiting:
                message = self._message(topic, cloudevents.event(cloudevents.decode(body)))
                await self._sent_or_parked(connection, broker, [message], perhaps_repeated=True)
                done.append(position)
        except TopicFull as full:
            self._withheld.refused(topic, full)
        await outbox.let_go(connection, done)

    async def _store(
        self,
        connection: Connection,
        broker: Broker,
        messages: Sequence[Message],
        *,
        perhaps_repeated: bool,
        parking: bool = True,
    ) -> None:
        """Publish messages in their order; there is none between topics. A queue that is full gets its own later.

        Raises:
            MessageTooLarge: not with `parking`, which puts aside what its topic does not take.
        """
        send = self._sent_or_parked if parking else self._sent
        error: Exception | None = None
        try:
            for topic in outbox.TOPICS:
                of_one = [message for message in messages if message.topic is topic]
                if of_one and not self._withheld.has(topic):
                    try:
                        await send(connection, broker, of_one, perhaps_repeated=perhaps_repeated)
                    except TopicFull:
                        # What it has taken of these comes again.
                        if not topic.queue:
                            raise
                    else:
                        continue
                if of_one:
                    await self._withheld.keep(connection, topic, of_one)
        except Unavailable as lost:
            error = lost
            raise
        finally:
            for span in self._publishing:
                span.end(error)
            self._publishing.clear()

    async def _sent_or_parked(
        self, connection: Connection, broker: Broker, messages: Sequence[Message], *, perhaps_repeated: bool
    ) -> None:
        """Publish messages of one topic in their order, and park those that are larger than it takes.

        Which they are is found by halves, as a broker may refuse what comes together: the first half is out, or parked,
        before the second one is tried.
        """
        try:
            await self._sent(connection, broker, messages, perhaps_repeated=perhaps_repeated)
        except MessageTooLarge as large:
            if len(messages) == 1:
                await self._park(connection, messages[0], large.detail)
                return
            middle = len(messages) // 2
            for half in (messages[:middle], messages[middle:]):
                await self._sent_or_parked(connection, broker, half, perhaps_repeated=True)

    async def _park(self, connection: Connection, message: Message, reason: str) -> None:
        log.error("an event can't be published and is parked", message=message.id, reason=reason)
        await outbox.park_message(connection, message, reason)

    async def _sent(
        self, connection: Connection, broker: Broker, messages: Sequence[Message], *, perhaps_repeated: bool
    ) -> None:
        largest = max(len(message.body) for message in messages)
        if largest > broker.body_max_bytes:
            raise MessageTooLarge(f"An event has {largest} bytes and the broker takes {broker.body_max_bytes}.")
        await self._assure_lead(connection)
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                await broker.publish(messages, perhaps_repeated=perhaps_repeated)
        except TimeoutError as late:
            raise BrokerUnavailable("The message broker is too slow to take the events.") from late
        metrics.PUBLISHED.inc(len(messages))

    async def _assure_lead(self, connection: Connection) -> None:
        """Go on only if the lead can't have gone to another one meanwhile.

        Raises:
            DatabaseUnavailable: the session has ended, and the lead with it.
        """
        now = asyncio.get_running_loop().time()
        if now - self._heard_at > IN_HAND_MAX_S:
            with database.translated():
                await connection.execute("SELECT")
            self._heard_at = now

    async def _found(
        self, connection: Connection, rows: Sequence[outbox.Row]
    ) -> list[tuple[outbox.Row, list[Message] | Poison]]:
        """These rows with what each stands for. Those of one kind are expanded together.

        What is expanded together may tell all its facts behind the last row. So no fact that is a row by itself may
        stand between: it would come before those of the rows that were committed before it.
        """
        together: dict[tuple[str, int], list[outbox.Row]] = {}
        facts = 0
        for row in rows:
            if row.kind == outbox.AUDIT:
                facts += 1
                together.setdefault((row.kind, 0), []).append(row)
            else:
                together.setdefault((row.kind, facts), []).append(row)
        found = {
            row.seq: messages
            for alike in together.values()
            for row, messages in zip(alike, await self._expanded(connection, alike), strict=True)
        }
        return [(row, found[row.seq]) for row in rows]

    async def _expanded(self, connection: Connection, rows: Sequence[outbox.Row]) -> list[list[Message] | Poison]:
        """What each of these rows of one kind stands for: all together, and one by one when that fails."""
        try:
            return [*await self._messages(connection, rows)]
        except Poison as poison:
            if len(rows) == 1:
                return [poison]
        return [found for row in rows for found in await self._expanded(connection, [row])]

    async def _messages(self, connection: Connection, rows: Sequence[outbox.Row]) -> list[list[Message]]:
        """The messages of each of these rows of one kind.

        Raises:
            Poison: one of them has none that could be published.
            Unavailable: the database is lost, so it isn't known.
        """
        kind = rows[0].kind
        expander = self._expanders.get(kind)
        if expander is None:
            raise Poison(f"No part of this version knows rows of the kind {kind}.")
        try:
            with database.translated():
                expanded = await expander(connection, [row.payload for row in rows])
            messages = [[self._message(outbox.topic_of(kind, event), event) for event in events] for events in expanded]
        except Unavailable:
            raise
        except Exception as error:
            # Whatever it is, a bug included, it is this row's alone: the others must not wait for its repair.
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{PurePath(place.filename).name}:{place.lineno}"
            raise Poison(f"{type(error).__name__} at {where}: {error}") from error
        if not all(messages):
            raise Poison("It stands for no event.")
        return messages

    def _message(self, topic: Topic, event: Event) -> Message:
        headers = {}
        span = tracing.publishing(topic, event) if event.traceparent is not None else None
        if span is not None:
            headers[tracing.HEADER] = span.place.traceparent()
            self._publishing.append(span)
        return Message(
            topic=topic,
            type=event.type,
            id=f"{event.source}/{event.id}",
            key=event.key,
            body=cloudevents.encode(event),
            headers=headers,
        )

    async def _retry_parked(self, connection: Connection, broker: Broker) -> None:
        after = 0
        while rows := await outbox.parked(connection, after=after, limit=ROWS_MAX):
            for row in rows:
                (found,) = await self._expanded(connection, [row])
                if isinstance(found, Poison):
                    log.warning("a parked outbox row can still not be published", seq=row.seq, reason=str(found))
                    continue
                try:
                    # Of several, the one that is too large has been parked by itself when this returns.
                    await self._store(connection, broker, found, perhaps_repeated=True, parking=len(found) > 1)
                except MessageTooLarge as large:
                    log.warning("a parked outbox row can still not be published", seq=row.seq, reason=large.detail)
                    continue
                await outbox.unpark(connection, row.seq)
                log.info("a parked outbox row is published", seq=row.seq)
            after = rows[-1].seq


def _blocks(rows: Sequence[outbox.Row]) -> Iterator[Sequence[outbox.Row]]:
    """A few at a time."""
    return (rows[start : start + EXPANDED_MAX] for start in range(0, len(rows), EXPANDED_MAX))
