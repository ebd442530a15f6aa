"""What Kafka does its own way. What all brokers do alike is tested in one place for all of them."""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.consumer.fetcher import Fetcher

from billfold.platform.messaging.brokers import kafka
from billfold.platform.messaging.port import Bookmark, BrokerUnavailable, Message, MessageTooLarge, Subscription
from billfold.platform.messaging.topics import Topic
from tests import servers
from tests.integration.messaging.support import DEADLINE_S

#: What an operator lets the topic have at a time: a little less than we send to a partition at a time.
LIMIT = 880_000
#: The first nine fill what goes to a partition, and are more than the topic takes; the next eight fill it, too, and are
#: less than that.
SIZES = [99_000] * 9 + [108_000] * 8 + [50_000]


@pytest.fixture
async def topic(kafka_server: servers.KafkaServer) -> Topic:
    made = Topic(name=f"t-{uuid.uuid4().hex}", description="A test's.", max_messages=1_000)
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_server.url)
    await client.start()
    await client.create_topics([NewTopic(made.address, 1, 1, topic_configs={"max.message.bytes": str(LIMIT)})])
    await client.close()
    return made


async def test_what_comes_behind_what_was_refused_is_not_stored_before_it(
    kafka_server: servers.KafkaServer, topic: Topic
) -> None:
    messages = [_numbered(topic, number, size) for number, size in enumerate(SIZES)]
    async with kafka.Cluster(servers=kafka_server.url).connected(name="test") as broker:
        for _ in range(3):
            with pytest.raises(MessageTooLarge):
                await broker.publish(messages)
        for message in messages:
            await broker.publish([message])
        assert await _numbers(broker, topic, last=len(SIZES) - 1) == [*range(len(SIZES))]


async def test_a_group_whose_server_still_reads_how_far_it_is_is_not_taken_for_a_new_one(
    kafka_server: servers.KafkaServer, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = Subscription(name=f"reader-{uuid.uuid4().hex}", topic=topic)

    async def nothing(*_: object, **__: object) -> dict[object, object]:
        """What the client makes of a coordinator's refusal for as long as it is loading."""
        return {}

    async with kafka.Cluster(servers=kafka_server.url).connected(name="test") as broker:
        await broker.publish([_numbered(topic, 0, 1)])
        with monkeypatch.context() as patch:
            patch.setattr(AIOKafkaAdminClient, "list_consumer_group_offsets", nothing)
            with pytest.raises(BrokerUnavailable):
                await broker.backlog(subscription)
            async with broker.consuming(subscription) as hand:
                with pytest.raises(BrokerUnavailable):
                    await hand.fetch(1, max_bytes=1 << 20, wait_s=DEADLINE_S)
        async with broker.consuming(subscription) as hand:
            (delivery,) = await hand.fetch(1, max_bytes=1 << 20, wait_s=DEADLINE_S)
    assert delivery.deliveries == 1


async def test_a_client_that_is_closed_after_its_server_was_killed_does_not_cancel_who_closes_it(
    kafka_server: servers.KafkaServer, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = Fetcher.close

    async def as_a_fetch_that_was_cancelled(self: Fetcher) -> None:
        await close(self)
        raise asyncio.CancelledError

    def of_the_client() -> set[asyncio.Task[object]]:
        return {task for task in asyncio.all_tasks() if "AIOKafka" in repr(task.get_coro())}

    before = of_the_client()
    monkeypatch.setattr(Fetcher, "close", as_a_fetch_that_was_cancelled)
    subscription = Subscription(name=f"reader-{uuid.uuid4().hex}", topic=topic)
    with pytest.raises(BrokerUnavailable):
        async with (
            kafka.Cluster(servers=kafka_server.url).connected(name="test") as broker,
            broker.consuming(subscription),
        ):
            raise BrokerUnavailable
    assert of_the_client() <= before


def _numbered(topic: Topic, number: int, size: int) -> Message:
    body = json.dumps({"number": number, "padding": "x" * size}).encode()
    return Message(topic=topic, type="test.happened.v1", id=f"/test/{uuid.uuid4()}", key="k", body=body)


async def _numbers(broker: kafka.Broker, topic: Topic, *, last: int) -> list[int]:
    """What is in the topic, in its order, each at its first appearance."""
    found: list[int] = []
    async with broker.tailing(topic, bookmark=Bookmark(start="beginning")) as deliveries:
        async for delivery in deliveries:
            found.append(json.loads(delivery.body)["number"])
            if found[-1] == last:
                return list(dict.fromkeys(found))
    raise BrokerUnavailable
