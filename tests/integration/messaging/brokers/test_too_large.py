"""An operator lets a topic take less than its broker: what is larger is parked, and all else goes on in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from billfold.kernel import ids
from billfold.kernel.events import Event
from billfold.platform.messaging import cloudevents, leading, outbox, topics, withholding
from billfold.platform.messaging import relay as relay_module
from billfold.platform.messaging.brokers import nats, streams
from billfold.platform.messaging.port import Delivery, Message, MessageTooLarge, Subscription
from billfold.platform.messaging.relay import Relay
from billfold.platform.messaging.topics import Topic
from billfold.platform.postgres.database import Connection, Database
from tests.integration.messaging.brokers.conftest import Bench, tailed
from tests.integration.messaging.support import (
    DEADLINE_S,
    append,
    append_row,
    fact,
    published,
    recorded,
    running,
    until,
)

#: What the operator lets a message have, and more than that.
LIMIT = 4_096
LARGE = "x" * (2 * LIMIT)
#: RabbitMQ has no limit for a message below ours.
LIMITED = pytest.mark.parametrize("bench", ["nats", "kafka"], indirect=True)


@LIMITED
@pytest.mark.parametrize("count", [5, 60])
async def test_an_event_that_is_larger_than_its_topic_takes_is_parked_and_the_others_go_on_in_order(
    database: Database, bench: Bench, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(relay_module, "PARKED_PAUSE_S", 0.1)
    await _limit(bench, topics.EVENTS, LIMIT)
    large = {count // 2, count - 1}
    for number in range(count):
        await append(database, fact("k", number, padding=LARGE if number in large else ""))
    relay = Relay(database=database, messaging=bench.messaging, expanders={})
    async with running(relay):
        await published(database)
        await append(database, fact("k", count))
        await published(database)
        assert _numbers(await tailed(bench.messaging, topics.EVENTS, count - 1)) == [
            number for number in range(count + 1) if number not in large
        ]
        assert (await relay.measure()).parked == len(large)
        parked = await _parked(database)
        assert all("max_msg_size" in row["reason"] or "max.message.bytes" in row["reason"] for row in parked)
        # Once they fit, they are out by themselves.
        await _limit(bench, topics.EVENTS, 1_000_000)
        await until(lambda: _nothing_is_parked(relay))
    found = _numbers(await tailed(bench.messaging, topics.EVENTS, count + 1))
    assert sorted(found) == list(range(count + 1))


@LIMITED
async def test_of_a_row_that_stands_for_many_events_only_the_one_that_is_too_large_is_parked(
    database: Database, bench: Bench
) -> None:
    async def many(connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        return [
            [fact("k", int(payload) + number, padding=LARGE if number == 7 else "") for number in range(20)]
            for payload in payloads
        ]

    await _limit(bench, topics.EVENTS, LIMIT)
    await append_row(database, "many", b"0")
    await append(database, fact("k", 20))
    relay = Relay(database=database, messaging=bench.messaging, expanders={"many": many})
    async with running(relay):
        await published(database)
    assert _numbers(await tailed(bench.messaging, topics.EVENTS, 20)) == [n for n in range(21) if n != 7]
    (row,) = await _parked(database)
    assert (row["kind"], msgspec.json.decode(row["payload"])["data"]["number"]) == (outbox.EVENT, 7)


@LIMITED
async def test_who_publishes_is_told_that_a_message_is_too_large_and_can_go_on(bench: Bench) -> None:
    await _limit(bench, topics.EVENTS, LIMIT)
    messages = [_message(fact("k", number, padding=padding)) for number, padding in enumerate(("", LARGE, ""))]
    async with bench.messaging.connected(name="test") as broker:
        for repeated in (True, False):
            with pytest.raises(MessageTooLarge):
                await broker.publish(messages, perhaps_repeated=repeated)
        await broker.publish(messages[::2])
    assert set(_numbers(await tailed(bench.messaging, topics.EVENTS, 2))) == {0, 2}


@pytest.mark.parametrize("bench", ["nats"], indirect=True)
async def test_what_waited_for_a_queue_and_is_too_large_for_it_now_is_parked_and_those_behind_it_go_on(
    database: Database, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = msgspec.structs.replace(topics.AUDIT, name=f"audit-{ids.new().hex}", max_messages=2)
    monkeypatch.setattr(outbox, "TOPICS", tuple(topic if one is topics.AUDIT else one for one in outbox.TOPICS))
    monkeypatch.setattr(topics, "AUDIT", topic)
    monkeypatch.setattr(withholding, "FULL_PAUSE_S", 0.05)
    monkeypatch.setattr(leading, "STANDBY_PAUSE_S", 0.01)
    relay = Relay(database=database, messaging=bench.messaging, expanders={})
    async with running(relay):
        for number in range(8):
            told = recorded("k", number, padding=LARGE if number == 4 else "")
            await append_row(database, outbox.AUDIT, cloudevents.encode(told))
        await published(database)
        assert (await relay.measure()).withheld >= 6
    await _limit(bench, topic, LIMIT)
    async with running(relay):
        assert await _taken(bench, topic, last=7) == [0, 1, 2, 3, 5, 6, 7]
        await until(lambda: _nothing_is_withheld(relay))
        assert (await relay.measure()).parked == 1
    (row,) = await _parked(database)
    assert (row["kind"], msgspec.json.decode(row["payload"])["data"]["number"]) == (outbox.AUDIT, 4)


async def _limit(bench: Bench, topic: Topic, size: int) -> None:
    """What the operator lets a message of the topic have, which is made where it is missing."""
    async with bench.messaging.connected(name="operator") as broker:
        await broker.ensure(topic)
        if isinstance(broker, nats.Broker):
            name = streams.of(topic).name
            info = await broker.api(f"STREAM.INFO.{name}", {}, dict[str, Any])
            await broker.api(f"STREAM.UPDATE.{name}", {**info["config"], "max_msg_size": size}, dict[str, Any])
            return
    from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415 - who has no Kafka has no client, either.
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # noqa: PLC0415 - as above.

    from billfold.platform.messaging.brokers import kafka  # noqa: PLC0415 - as above.

    assert isinstance(bench.messaging, kafka.Cluster)
    admin = AIOKafkaAdminClient(**bench.messaging.options("operator"))
    await admin.start()
    limit = ConfigResource(ConfigResourceType.TOPIC, topic.address, configs={"max.message.bytes": str(size)})
    await admin.alter_configs([limit])
    await admin.close()


def _message(event: Event) -> Message:
    return Message(topic=topics.EVENTS, type=event.type, id=event.id, key=event.key, body=cloudevents.encode(event))


async def _taken(bench: Bench, topic: Topic, *, last: int) -> list[int]:
    found: list[Delivery] = []
    async with (
        asyncio.timeout(DEADLINE_S),
        bench.messaging.connected(name="test") as broker,
        broker.consuming(Subscription(name="audit", topic=topic)) as hand,
    ):
        while last not in _numbers(found):
            deliveries = await hand.fetch(3, max_bytes=1 << 20, wait_s=5)
            found += deliveries
            await hand.settle(deliveries)
    return _numbers(found)


def _numbers(deliveries: Sequence[Delivery]) -> list[int]:
    """Repeats don't count."""
    return list(dict.fromkeys(msgspec.json.decode(delivery.body)["data"]["number"] for delivery in deliveries))


async def _parked(database: Database) -> list[Any]:
    async with database.connection() as connection:
        return list(await connection.fetch("SELECT kind, reason, payload FROM messaging.parked ORDER BY seq"))


async def _nothing_is_parked(relay: Relay) -> bool:
    return (await relay.measure()).parked == 0


async def _nothing_is_withheld(relay: Relay) -> bool:
    return (await relay.measure()).withheld == 0
