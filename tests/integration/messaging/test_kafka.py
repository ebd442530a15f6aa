"""What Kafka does its own way. What all brokers do alike is tested in one place for all of them."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Collection, Sequence

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy, _DefaultRecordBatchPy
from structlog.testing import capture_logs

from billfold.platform.messaging.brokers import kafka
from billfold.platform.messaging.brokers.kafka_group import group_of
from billfold.platform.messaging.port import (
    Bookmark,
    BrokerUnavailable,
    Consumption,
    Delivery,
    Message,
    MessageTooLarge,
    MessageUnreadable,
    Subscription,
)
from billfold.platform.messaging.topics import Topic
from tests import servers
from tests.integration.messaging.support import DEADLINE_S, until

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


async def test_what_is_published_waits_for_all_replicas_and_a_retry_of_the_clients_stores_nothing_twice(
    kafka_server: servers.KafkaServer, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, sent = AIOKafkaClient.send, []

    async def noted(self: AIOKafkaClient, node: int, request: object, **how: object) -> object:
        if isinstance(request, ProduceRequest):
            sent.append(request)
        return await send(self, node, request, **how)

    monkeypatch.setattr(AIOKafkaClient, "send", noted)
    async with kafka.Cluster(servers=kafka_server.url).connected(name="test") as broker:
        for number in range(2):
            await broker.publish([_numbered(topic, number, 1)])
    assert {request.required_acks for request in sent} == {-1}
    batches = [
        _DefaultRecordBatchPy(bytes(data)) for request in sent for _, parts in request._topics for _, data in parts
    ]
    # Kafka knows a repeat by who sends and the number there.
    (producer,) = {batch.producer_id for batch in batches}
    assert producer >= 0
    assert sorted({batch.base_sequence for batch in batches}) == [0, 1]


@pytest.mark.parametrize("aborted", [["0"], ["0", "2", "3"], ["1"], ["0", "1", "2", "3"]])
async def test_what_its_sender_has_aborted_comes_to_nobody_and_nothing_of_it_waits(
    kafka_server: servers.KafkaServer, topic: Topic, aborted: list[str]
) -> None:
    said = ["0", "1", "2", "3"]
    committed = [body for body in said if body not in aborted]
    subscription = Subscription(name=f"reader-{uuid.uuid4().hex}", topic=topic)
    async with kafka.Cluster(servers=kafka_server.url).connected(name="test") as broker:
        bookmark = Bookmark(start="beginning")
        async with broker.consuming(subscription) as hand, broker.tailing(topic, bookmark=bookmark) as along:
            await _in_transactions(kafka_server, topic, said, aborted)
            assert await _bodies(hand, len(committed)) == committed
            await until(lambda: _nothing_waits(broker, subscription, hand))
            with capture_logs() as logged:
                assert [(await anext(along)).body.decode() for _ in committed] == committed
            assert logged == []
        async with broker.consuming(subscription) as hand:
            await broker.publish([_numbered(topic, 4, 1)])
            (delivery,) = await hand.fetch(10, max_bytes=1 << 20, wait_s=DEADLINE_S)
    assert (json.loads(delivery.body)["number"], delivery.deliveries) == (4, 1)


async def test_what_is_left_unsettled_before_an_aborted_transaction_comes_again(
    kafka_server: servers.KafkaServer, topic: Topic
) -> None:
    subscription = Subscription(name=f"reader-{uuid.uuid4().hex}", topic=topic)
    async with kafka.Cluster(servers=kafka_server.url).connected(name="test") as broker:
        await _in_transactions(kafka_server, topic, ["0", "1"], ["1"])
        for count in (1, 2):
            async with broker.consuming(subscription) as hand:
                (delivery,) = await hand.fetch(10, max_bytes=1 << 20, wait_s=DEADLINE_S)
                assert (delivery.body, delivery.deliveries) == (b"0", count)
                assert await hand.fetch(10, max_bytes=1 << 20, wait_s=0.5) == []
        backlog = await broker.backlog(subscription)
    assert backlog is not None
    assert backlog.waiting > 0


class NoUTF8(str):
    """The name of a header as a client may write it that looks at nothing."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe" + bytes(super().encode())


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
async def test_whatever_headers_a_stranger_sends_and_by_whatever_codec_each_message_comes_once(
    kafka_server: servers.KafkaServer, topic: Topic, monkeypatch: pytest.MonkeyPatch, codec: str | None
) -> None:
    for module in ("producer", "message_accumulator"):
        # The client's own in C takes no such name.
        builder = f"aiokafka.producer.{module}.DefaultRecordBatchBuilder"
        monkeypatch.setattr(builder, _DefaultRecordBatchBuilderPy)
    headers = {
        "0": [("plain", b"value"), ("null", None), ("bytes", b"\xff")],
        "1": [(NoUTF8("name"), b"1"), ("ce_id", b"\x00"), ("ce_id", None)],
        "2": [("", b"")],
    }
    async with AIOKafkaProducer(bootstrap_servers=kafka_server.url, compression_type=codec, linger_ms=50) as producer:
        sent = [await producer.send(topic.address, body.encode(), headers=headers[body]) for body in headers]
        await asyncio.gather(*sent)
    subscription = Subscription(name=f"reader-{uuid.uuid4().hex}", topic=topic)
    async with kafka.Cluster(servers=kafka_server.url).connected(name="test") as broker:
        async with broker.consuming(subscription) as hand:
            assert await _bodies(hand, len(headers)) == [*headers]
            await until(lambda: _nothing_waits(broker, subscription, hand))
        async with broker.tailing(topic, bookmark=Bookmark(start="beginning")) as along:
            found = [await anext(along) for _ in headers]
    assert [delivery.headers for delivery in found] == [
        {"plain": "value", "null": "", "bytes": "\ufffd"},
        {"\ufffd\ufffdname": "1", "ce_id": ""},
        {"": ""},
    ]


async def test_a_codec_that_is_not_known_is_said_and_what_it_compressed_waits(
    kafka_server: servers.KafkaServer, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka_server.url, compression_type="zstd") as producer:
        await producer.send_and_wait(topic.address, b"0")
    subscription = Subscription(name=f"reader-{uuid.uuid4().hex}", topic=topic)
    async with kafka.Cluster(servers=kafka_server.url).connected(name="test") as broker:
        with monkeypatch.context() as patch, pytest.raises(MessageUnreadable, match=r"offset 0: .*zstd"):
            patch.setattr("aiokafka.codec.has_zstd", lambda: False)
            async with broker.consuming(subscription) as hand:
                await hand.fetch(1, max_bytes=1 << 20, wait_s=DEADLINE_S)
        async with broker.consuming(subscription) as hand:
            assert await _bodies(hand, 1) == ["0"]


async def test_how_often_a_message_came_is_not_read_from_what_others_have_noted(
    kafka_server: servers.KafkaServer, topic: Topic
) -> None:
    subscription = Subscription(name=f"reader-{uuid.uuid4().hex}", topic=topic)
    part = TopicPartition(topic.address, 0)
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka_server.url, group_id=group_of(subscription), enable_auto_commit=False
    ) as operator:
        operator.assign([part])
        await operator.commit({part: (1, "moved by hand")})
    async with kafka.Cluster(servers=kafka_server.url).connected(name="test") as broker:
        await broker.publish([_numbered(topic, number, 1) for number in range(2)])
        async with broker.consuming(subscription) as hand:
            (delivery,) = await hand.fetch(10, max_bytes=1 << 20, wait_s=DEADLINE_S)
    assert (json.loads(delivery.body)["number"], delivery.deliveries) == (1, 1)


async def _in_transactions(
    server: servers.KafkaServer, topic: Topic, said: Sequence[str], aborted: Collection[str]
) -> None:
    """Each in a transaction of its own, as a bank's sender does it who may change its mind."""
    async with AIOKafkaProducer(bootstrap_servers=server.url, transactional_id=f"bank-{uuid.uuid4()}") as producer:
        for body in said:
            await producer.begin_transaction()
            await producer.send_and_wait(topic.address, body.encode())
            await (producer.abort_transaction() if body in aborted else producer.commit_transaction())


async def _bodies(hand: Consumption, count: int) -> list[str]:
    """What comes, which is settled."""
    found: list[Delivery] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < count:
            some = await hand.fetch(10, max_bytes=1 << 20, wait_s=1)
            await hand.settle(some)
            found += some
    return [delivery.body.decode() for delivery in found]


async def _nothing_waits(broker: kafka.Broker, subscription: Subscription, hand: Consumption) -> bool:
    assert await hand.fetch(10, max_bytes=1 << 20, wait_s=0.1) == []
    backlog = await broker.backlog(subscription)
    return backlog is not None and backlog.waiting == 0


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
