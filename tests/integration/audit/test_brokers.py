"""The audit on every broker: each fact is recorded exactly once and in order, whatever comes twice or is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest

from billfold.audit import Audit, workers
from billfold.audit.contracts import Filter
from billfold.kernel import facts, ids
from billfold.kernel.errors import Unavailable
from billfold.kernel.facts import Fact
from billfold.platform.messaging import cloudevents, leading, outbox, topics
from billfold.platform.messaging.consuming import EventConsumer
from billfold.platform.messaging.port import Message
from billfold.platform.messaging.relay import Relay
from billfold.platform.messaging.topics import Topic
from billfold.platform.postgres.database import Database
from tests import servers
from tests.integration.audit import support
from tests.integration.messaging.brokers.conftest import Bench, bench, killed_and_started
from tests.integration.messaging.conftest import outbox_in
from tests.integration.messaging.support import published, running, until

__all__ = ["bench"]

KEYS = 3
#: For each key.
FACTS = 100


@pytest.fixture
async def told(postgres_server: servers.PostgresServer) -> AsyncIterator[Database]:
    """The database with the outbox, which is not the audit's."""
    async with outbox_in(postgres_server) as database:
        yield database


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    """The audit's, under a name that there has not been."""
    own = msgspec.structs.replace(topics.AUDIT, name=f"audit-{ids.new().hex}")
    monkeypatch.setattr(outbox, "TOPICS", tuple(own if one is topics.AUDIT else one for one in outbox.TOPICS))
    monkeypatch.setattr(topics, "AUDIT", own)
    monkeypatch.setattr(workers, "SUBSCRIPTION", msgspec.structs.replace(workers.SUBSCRIPTION, topic=own))
    monkeypatch.setattr(leading, "STANDBY_PAUSE_S", 0.01)
    return own


async def test_over_killed_brokers_and_lost_consumers_each_fact_is_recorded_once_and_in_order(
    audit: Audit, told: Database, bench: Bench, topic: Topic
) -> None:
    relay = Relay(database=told, messaging=bench.messaging, expanders={})
    first, second = (workers.recording(audit=audit, messaging=bench.messaging, database=told) for _ in range(2))
    async with running(relay):
        async with recording(first):
            writing = asyncio.gather(*[_written(told, key) for key in range(KEYS)])
            await until(lambda: _has(audit, FACTS // 2))
            await killed_and_started(bench)
        # Who comes next has what the one before had in hand.
        async with recording(second):
            await until(lambda: _has(audit, FACTS))
            await killed_and_started(bench)
            await writing
            await published(told)
            await until(lambda: _has(audit, KEYS * FACTS))
    assert await _numbers(audit) == {f"key-{key}": [*range(FACTS)] for key in range(KEYS)}
    await _is_sealed_whole(audit)


async def test_a_fact_that_comes_again_is_not_recorded_again_and_one_that_makes_no_sense_stops_nobody(
    audit: Audit, told: Database, bench: Bench, topic: Topic
) -> None:
    messages = [_message(topic, number) for number in range(20)]
    lie = msgspec.structs.replace(messages[0], body=messages[0].body.replace(b'"facts"', b'"fakes"'), id="a lie")
    async with bench.messaging.connected(name="test") as broker:
        await broker.ensure(topic)
        await broker.publish(messages)
        await broker.publish([lie, msgspec.structs.replace(lie, body=b"\x00", id="noise")])
        # Another fact under an id that is recorded, and one beside it that is new.
        await broker.publish([_contradiction(topic)])
        # Under other ids, as a broker has them that remembers none, or whose memory was too short.
        await broker.publish([msgspec.structs.replace(one, id=f"{one.id} again") for one in messages])
        await broker.publish([_message(topic, 20)])
    async with recording(workers.recording(audit=audit, messaging=bench.messaging, database=told)):
        await until(lambda: _has(audit, 22))
        # On Kafka those of different keys come in any order.
        await until(lambda: _are_set_aside(told, 3))
    assert (await _numbers(audit)) == {"key-0": [*range(20), 50, 20]}
    await _is_sealed_whole(audit)


@asynccontextmanager
async def recording(consumer: EventConsumer) -> AsyncIterator[None]:
    """This consumer as the worker runs it, until the block ends, in the middle of whatever it does."""
    task = asyncio.create_task(_kept_up(consumer.run))
    try:
        yield
    finally:
        await leading.stopped([task], again_after_s=leading.CANCEL_AGAIN_S)
        assert task.cancelled(), task


async def _kept_up(run: Callable[[], Awaitable[None]]) -> None:
    while True:
        with contextlib.suppress(Unavailable):
            await run()
        await asyncio.sleep(0.05)


async def _written(database: Database, key: int) -> None:
    for number in range(FACTS):
        async with database.transaction() as connection:
            told = [support.fact(key * FACTS + number)]
            await outbox.append_facts(connection, told, key=f"key-{key}", time=datetime.now(UTC))
        await asyncio.sleep(0.005)


def _contradiction(topic: Topic) -> Message:
    other = msgspec.structs.replace(support.fact(1), outcome="insufficient_funds")
    return _carrying(topic, [other, support.fact(50)])


def _message(topic: Topic, number: int) -> Message:
    return _carrying(topic, [support.fact(number)])


def _carrying(topic: Topic, told: Sequence[Fact]) -> Message:
    event = facts.carried(told, key="key-0", time=datetime.now(UTC))
    return Message(topic=topic, type=event.type, id=event.id, key=event.key, body=cloudevents.encode(event))


async def _has(audit: Audit, count: int) -> bool:
    newest = await audit.reading.page(by=support.AUDITOR, asked=Filter(), limit=1)
    return bool(newest.items) and newest.items[0].position + 1 >= count


async def _are_set_aside(database: Database, count: int) -> bool:
    async with database.connection() as connection:
        found: int = await connection.fetchval("SELECT count(*) FROM messaging.refused_events WHERE consumer = 'audit'")
    return found == count


async def _numbers(audit: Audit) -> dict[str, list[int]]:
    """What was recorded, in its order, by key."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    async with audit.reading._database.connection() as connection:
        rows = await connection.fetch("SELECT content FROM audit.records ORDER BY position")
    for row in rows:
        number = int(json.loads(row["content"])["id"].removeprefix("id-"))
        found[f"key-{number // FACTS}"].append(number % FACTS)
    return dict(found)


async def _is_sealed_whole(audit: Audit) -> None:
    await audit.sealing.seal()
    assert (await support.checked(audit)).faults == []
