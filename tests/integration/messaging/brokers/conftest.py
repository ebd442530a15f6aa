"""The brokers that all tests of this folder run on: each test once on each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest

from billfold.platform.messaging import topics
from billfold.platform.messaging.brokers import nats
from billfold.platform.messaging.port import Bookmark, BrokerUnavailable, Delivery, Messaging
from tests import servers
from tests.integration.messaging.conftest import without_streams
from tests.integration.messaging.support import DEADLINE_S, PAUSE_S, renew, until

TOPICS = (topics.EVENTS, topics.CONFIRMED, topics.DEAD_LETTERS)


@dataclass(frozen=True)
class Bench:
    """A broker without topics, and its server, which a test may kill if it starts it again."""

    name: str
    messaging: Messaging
    kill: Callable[[], None]
    start: Callable[[], None]
    hang: Callable[[], None]
    go_on: Callable[[], None]
    #: How many messages are given and not settled, where the port can't tell.
    in_hand: Callable[[], int] = lambda: 0


@pytest.fixture(params=["nats", "kafka", "rabbitmq"])
async def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "nats":
        return await _nats(request.getfixturevalue("nats_server"))
    if request.param == "kafka":
        return await _kafka(request.getfixturevalue("kafka_server"))
    return await _rabbitmq(request.getfixturevalue("rabbitmq_server"))


@pytest.fixture
def messaging(bench: Bench) -> Messaging:
    return bench.messaging


async def _nats(own: servers.NatsServer) -> Bench:
    server = nats.Server(url=own.url, user=own.user, password=own.password)
    await without_streams(server)
    return Bench("nats", server, own.kill, own.start, own.hang, own.go_on)


async def _kafka(own: servers.KafkaServer) -> Bench:
    from billfold.platform.messaging.brokers import kafka  # noqa: PLC0415 - who has no Kafka has no client, either.

    cluster = kafka.Cluster(servers=own.url, partitions=3)
    async with cluster.connected(name="test") as broker:
        admin = broker._admin
        names = [topic.address for topic in TOPICS]
        there = set(await admin.list_topics()) & set(names)
        if there:
            await admin.delete_topics(sorted(there))

        async def gone() -> bool:
            return not set(await admin.list_topics()) & set(names)

        await until(gone)
    return Bench("kafka", cluster, own.kill, own.start, own.hang, own.go_on)


async def _rabbitmq(own: servers.RabbitMQServer) -> Bench:
    from billfold.platform.messaging.brokers import rabbitmq  # noqa: PLC0415 - as with Kafka.

    server = rabbitmq.Server(url=own.url)

    async def without_queues() -> None:
        async with server.connected(name="test") as broker, broker.channel() as channel:
            for name in await asyncio.to_thread(own.server.queues):
                if name in {topics.CONFIRMED.address, topics.AUDIT.address}:
                    # RabbitMQ 3.10 does not write a queue down for good whose name was deleted before a kill.
                    await (await channel.get_queue(name)).purge()
                else:
                    await channel.queue_delete(name)

    async def all_written() -> bool:
        return own.server.written()

    async def all_up() -> bool:
        return await _can_all_be_used(server)

    def kill() -> None:
        asyncio.run(until(all_written))
        own.kill()

    def start() -> None:
        own.start()
        asyncio.run(until(all_up))

    await without_queues()
    return Bench("rabbitmq", server, kill, start, own.hang, own.go_on, lambda: sum(own.server.queues().values()))


async def _can_all_be_used(server: Messaging) -> bool:
    """After a start its queues come up one by one, and its streams can be read later than they can be declared.

    Version 3.10 may lose a stream for good when it is killed again before that.
    """
    try:
        async with server.connected(name="test") as broker:
            for topic in TOPICS:
                await broker.ensure(topic)
                if not topic.queue:
                    async with broker.tailing(topic, bookmark=Bookmark(start="beginning")):
                        pass
    except BrokerUnavailable:
        return False
    return True


@contextmanager
def hanging(bench: Bench) -> Iterator[None]:
    """The broker's server takes connections, and says nothing."""
    bench.hang()
    try:
        yield
    finally:
        bench.go_on()


async def killed_and_started(bench: Bench, *, meanwhile_s: float = 0.0) -> None:
    """Kill the broker's server, and start it again after a while."""
    await asyncio.to_thread(bench.kill)
    await asyncio.sleep(meanwhile_s)
    await asyncio.to_thread(bench.start)


async def tailed(messaging: Messaging, topic: topics.Topic, count: int) -> list[Delivery]:
    """A topic from its beginning until `count` different messages have come, as who asks again when the broker can't.

    RabbitMQ takes messages into a stream after a restart, and for a moment says that nobody can read it here.

    Raises:
        TimeoutError: no other one has come for long. How long all of them take says how fast the machine is.
    """
    found: list[Delivery] = []
    bodies: set[bytes] = set()
    bookmark = Bookmark(start="beginning")
    async with asyncio.timeout(DEADLINE_S) as patience:

        def are_all(delivery: Delivery) -> bool:
            found.append(delivery)
            if delivery.body not in bodies:
                bodies.add(delivery.body)
                renew(patience)
            return len(bodies) >= count

        while True:
            with suppress(BrokerUnavailable):
                await _tail_until(are_all, messaging, topic, bookmark)
                return found
            await asyncio.sleep(PAUSE_S)


async def _tail_until(
    are_all: Callable[[Delivery], bool], messaging: Messaging, topic: topics.Topic, bookmark: Bookmark
) -> None:
    async with messaging.connected(name="test") as broker:
        await broker.ensure(topic)
        async with broker.tailing(topic, bookmark=bookmark) as deliveries:
            async for delivery in deliveries:
                if are_all(delivery):
                    break
