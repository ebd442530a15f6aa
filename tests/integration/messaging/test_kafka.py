"""What Kafka does its own way. What all brokers do alike is tested in one place for all of them."""

from __future__ import annotations

import json
import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from billfold.platform.messaging.brokers import kafka
from billfold.platform.messaging.port import Bookmark, BrokerUnavailable, Message, MessageTooLarge
from billfold.platform.messaging.topics import Topic
from tests import servers

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
