"""Consumers of events on every broker: in order, each event applied once, what can't be applied set aside."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from billfold.kernel.errors import InternalError, Invalid, Unavailable
from billfold.kernel.events import Event
from billfold.platform.messaging import cloudevents, consuming, inbox, leading, refused, topics, tries
from billfold.platform.messaging.consuming import EventConsumer, Handler
from billfold.platform.messaging.port import Delivery, Message, Messaging, Subscription
from billfold.platform.messaging.relay import Relay
from billfold.platform.postgres.database import Database
from tests.integration.messaging.brokers.conftest import Bench, tailed
from tests.integration.messaging.support import fact, published, running, until

SUBSCRIPTION = Subscription(name="counter", topic=topics.EVENTS, types=("test.",))

Consuming = Callable[[Handler], EventConsumer]


@pytest.fixture
def consumer(database: Database, messaging: Messaging) -> Consuming:
    def made(handle: Handler) -> EventConsumer:
        return EventConsumer(messaging=messaging, database=database, subscription=SUBSCRIPTION, handle=handle)

    return made


async def test_events_come_in_the_order_of_their_commits_and_only_those_that_were_asked_for(
    database: Database, messaging: Messaging, consumer: Consuming
) -> None:
    # A clock that is put back, or far off, changes nothing of the order.
    since = [datetime(2999, 1, 1, tzinfo=UTC) - timedelta(days=1_000 * number) for number in range(300)]
    facts = [msgspec.structs.replace(fact_of(number), time=time) for number, time in enumerate(since)]
    await _publish(messaging, [*facts, fact_of(0, type="other.happened.v1"), *map(fact_of, (300, 301))])
    seen: list[int] = []
    async with consumed(consumer(_into(seen))):
        await until(lambda: _reached(seen, 302))
    assert seen == list(range(302))


async def test_an_event_that_comes_again_is_applied_once(
    database: Database, messaging: Messaging, consumer: Consuming
) -> None:
    events = [fact_of(number) for number in range(50)]
    await _publish(messaging, events)
    await _publish(messaging, [msgspec.structs.replace(event, id=f"other-{event.id}") for event in events[:1]])
    failures = iter([True] * 3)
    applied: list[int] = []

    async def handle(found: Sequence[Event]) -> None:
        async with database.transaction() as connection:
            sifted = await inbox.first_time(connection, "counter", [*found, *found])
        applied.extend(map(_number, sifted.new))
        if next(failures, False):
            raise Unavailable  # The effect stands, and the events come again all the same.

    async with consumed(consumer(handle)):
        await until(lambda: _reached(applied, 51))
        await _publish(messaging, [fact_of(99)])
        await until(lambda: _reached(applied, 52))
    assert applied == [*range(50), 0, 99]


async def test_a_consumer_that_takes_no_events_any_more_says_nothing_of_their_number(
    messaging: Messaging, consumer: Consuming
) -> None:
    async def is_measured() -> bool:
        return _lag() is not None

    await _publish(messaging, [fact_of(0)])
    seen: list[int] = []
    async with consumed(consumer(_into(seen))):
        await until(is_measured)
        await until(lambda: _reached(seen, 1))
    assert _lag() is None


async def test_an_event_that_fails_takes_no_other_with_it_and_is_set_aside_and_told(
    database: Database, messaging: Messaging, consumer: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "RETRY_PAUSE_S", 0.001)
    await _publish(messaging, [fact_of(number) for number in range(20)])
    seen: list[int] = []
    tried = 0

    async def handle(found: Sequence[Event]) -> None:
        nonlocal tried
        numbers = [_number(event) for event in found]
        if 7 in numbers:
            tried += len(numbers) == 1
            raise RuntimeError("a bug")
        if 9 in numbers:
            raise Invalid("Nobody wants nines.")
        if 11 in numbers:
            raise InternalError
        seen.extend(numbers)

    async with consumed(consumer(handle)):
        await until(lambda: _reached(seen, 17))
        await until(lambda: _refused_are(database, 3))
    assert seen == [number for number in range(20) if number not in (7, 9, 11)]
    assert tried == consuming.TRIES_MAX
    refused = await _refused(database)
    assert [row["reason"] for row in refused] == ["event_failed", "invalid_request", "event_failed"]
    assert [json.loads(row["body"])["data"]["number"] for row in refused] == [7, 9, 11]
    async with running(Relay(database=database, messaging=messaging, expanders={})):
        await published(database)
    told = await tailed(messaging, topics.DEAD_LETTERS, 3)
    assert {one.type for one in told} == {"event.refused.v1"}
    assert sorted(one["data"]["reason"] for one in map(_json, told)) == [*["event_failed"] * 2, "invalid_request"]
    assert {one["data"]["consumer"] for one in map(_json, told)} == {"counter"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x00\xff", "invalid_cloud_event"),
        (b'{"specversion":"1.0","id":"1","source":"/x","type":"test.happened.v1"}', "invalid_cloud_event"),
        (b'{"specversion":"9.0","id":"1","source":"/x","type":"test.happened.v1"}', "invalid_cloud_event"),
        (cloudevents.encode(msgspec.structs.replace(fact("k", 1), type="transfer.posted.v1")), "event_unknown"),
        (cloudevents.encode(msgspec.structs.replace(fact("k", 1), type="test.other.v1")), "event_unknown"),
        (b'"' + b"x" * (cloudevents.EVENT_MAX_BYTES + 1) + b'"', "event_too_large"),
    ],
)
async def test_what_is_no_event_is_set_aside_once_and_those_behind_it_go_on(
    database: Database, messaging: Messaging, consumer: Consuming, body: bytes, reason: str
) -> None:
    strange = [Message(topic=topics.EVENTS, type="test.strange", id=str(n), key="k", body=body) for n in range(2)]
    async with messaging.connected(name="stranger") as broker:
        await broker.ensure(topics.EVENTS)
        await broker.publish(strange)
    await _publish(messaging, [fact_of(1)])
    seen: list[int] = []
    async with consumed(consumer(_into(seen))):
        await until(lambda: _reached(seen, 1))
        await until(lambda: _refused_are(database, 1))
    (row,) = await _refused(database)
    assert (row["reason"], row["body"]) == (reason, body)


@pytest.mark.parametrize("body", [b"?", cloudevents.encode(fact("k", 9))])
async def test_what_a_process_ends_before_setting_aside_is_set_aside_by_the_next_one(
    database: Database,
    messaging: Messaging,
    consumer: Consuming,
    monkeypatch: pytest.MonkeyPatch,
    body: bytes,
) -> None:
    about_to = asyncio.Event()

    async def hang(*_: object) -> None:
        about_to.set()
        await asyncio.Event().wait()

    async def handle(found: Sequence[Event]) -> None:
        raise Invalid("Nobody wants these.")

    async with messaging.connected(name="test") as broker:
        await broker.ensure(topics.EVENTS)
        await broker.publish([Message(topic=topics.EVENTS, type="test.happened.v1", id="1", key="k", body=body)])
    with monkeypatch.context() as patch:
        patch.setattr(refused, "set_aside", hang)
        async with consumed(consumer(handle)):
            await asyncio.wait_for(about_to.wait(), 30)
    async with consumed(consumer(handle)):
        await until(lambda: _refused_are(database, 1))
    assert [row["body"] for row in await _refused(database)] == [body]


async def test_events_wait_for_what_the_handler_needs_however_long_it_is_away(
    database: Database, messaging: Messaging, consumer: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "RETRY_PAUSE_MAX_S", 0.01)
    await _publish(messaging, [fact_of(number) for number in range(5)])
    calls = 0
    seen: list[int] = []

    async def handle(found: Sequence[Event]) -> None:
        nonlocal calls
        calls += 1
        if calls < 60:
            raise Unavailable
        seen.extend(map(_number, found))

    async with consumed(consumer(handle)):
        await until(lambda: _reached(seen, 5))
    assert seen == list(range(5))
    assert await _refused(database) == []


async def test_events_that_came_often_while_what_the_handler_needs_was_away_are_not_set_aside(
    database: Database, messaging: Messaging, consumer: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "ENDED_MAX", 2)
    await _publish(messaging, [fact_of(number) for number in range(3)])
    for _ in range(8):
        tried = asyncio.Event()

        async def away(found: Sequence[Event], tried: asyncio.Event = tried) -> None:
            tried.set()
            raise Unavailable

        async with consumed(consumer(away)):
            await asyncio.wait_for(tried.wait(), 30)
    seen: list[int] = []
    async with consumed(consumer(_into(seen))):
        await until(lambda: _reached(seen, 3))
    assert seen == [0, 1, 2]
    assert await _refused(database) == []


async def test_an_event_that_ended_its_process_whenever_it_was_tried_is_set_aside_untried(
    database: Database, messaging: Messaging, consumer: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "ENDED_MAX", 2)
    event = fact_of(0)
    await _publish(messaging, [event])
    for _ in range(3):
        async with messaging.connected(name="a process that ends") as broker:
            with pytest.raises(Unavailable):
                async with broker.consuming(SUBSCRIPTION) as hand:
                    assert await hand.fetch(1, max_bytes=1 << 20, wait_s=30)
                    raise Unavailable
    # A process that is killed leaves its tries as they are.
    for _ in range(2):
        await tries.Tries(database, SUBSCRIPTION.name)._begin(tries._digest(cloudevents.encode(event)))
    seen: list[int] = []
    async with consumed(consumer(_into(seen))):
        await until(lambda: _refused_are(database, 1))
    assert seen == []
    assert [row["reason"] for row in await _refused(database)] == ["event_delivery_limit_reached"]


async def test_one_process_consumes_at_a_time_and_another_takes_over_in_order(
    database: Database, bench: Bench, consumer: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "STANDBY_PAUSE_S", 0.01)
    by_first: list[int] = []
    by_second: list[int] = []
    in_hand = asyncio.Event()

    async def first(found: Sequence[Event]) -> None:
        by_first.extend(map(_number, found))
        if 30 in by_first:
            in_hand.set()
            await asyncio.Event().wait()

    await _publish(bench.messaging, [fact_of(number) for number in range(20)])
    async with consumed(consumer(first)):
        await until(lambda: _reached(by_first, 20))
        async with consumed(consumer(_into(by_second))) as second:
            await _publish(bench.messaging, [fact_of(number) for number in range(20, 40)])
            await asyncio.wait_for(in_hand.wait(), 30)
            assert by_second == []
            assert not second[0].done()
            handing_over = [fact_of(number) for number in range(40, 60)]
            await _publish(bench.messaging, handing_over)
            await _end_leads(database)
            await until(lambda: _contains(by_second, 59))
    # While the first one leaves Kafka's group, what the second one has in hand is given to it once more.
    new = list(dict.fromkeys(by_second)) if bench.name == "kafka" else by_second
    assert new == list(range(new[0], 60))
    assert new[0] <= 30


@asynccontextmanager
async def consumed(*consumers: EventConsumer) -> AsyncIterator[list[asyncio.Task[None]]]:
    """These consumers as the worker runs them, until the block ends; one that fails fails the test."""

    async def keep_running(consumer: EventConsumer) -> None:
        while True:
            try:
                await consumer.run()
            except Unavailable:
                await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(keep_running(consumer)) for consumer in consumers]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


def _json(delivery: Delivery) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(delivery.body)
    return found


def fact_of(number: int, *, type: str = "test.happened.v1") -> Event:  # noqa: A002 - what it is called in an event.
    return msgspec.structs.replace(fact("k", number), type=type)


def _into(seen: list[int]) -> Handler:
    async def handle(found: Sequence[Event]) -> None:
        seen.extend(map(_number, found))

    return handle


def _number(event: Event) -> int:
    assert isinstance(event.data, msgspec.Raw | dict)
    data: dict[str, Any] = msgspec.json.decode(event.data) if isinstance(event.data, msgspec.Raw) else event.data
    number: int = data["number"]
    return number


async def _publish(messaging: Messaging, events: Sequence[Event]) -> None:
    async with messaging.connected(name="test") as broker:
        await broker.ensure(topics.EVENTS)
        await broker.publish(
            [
                Message(
                    topic=topics.EVENTS, type=event.type, id=event.id, key=event.key, body=cloudevents.encode(event)
                )
                for event in events
            ]
        )


async def _reached(seen: list[int], count: int) -> bool:
    return len(seen) >= count


async def _contains(seen: list[int], number: int) -> bool:
    return number in seen


async def _refused(database: Database) -> list[Any]:
    async with database.connection() as connection:
        return list(await connection.fetch("SELECT * FROM messaging.refused_events ORDER BY id"))


async def _refused_are(database: Database, count: int) -> bool:
    return len(await _refused(database)) == count


def _lag() -> float | None:
    """What Prometheus would be told."""
    return REGISTRY.get_sample_value("billfold_consumer_lag", {"consumer": SUBSCRIPTION.name})


async def _end_leads(database: Database) -> None:
    """End the sessions that lead in this database."""
    async with database.connection() as connection:
        ended: Awaitable[Any] = connection.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        assert await ended >= 1
