"""What RabbitMQ does its own way. What all brokers do alike is tested in one place for all of them."""

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import msgspec
import pytest

from billfold.platform.messaging.brokers import amqp, amqp_logs, rabbitmq
from billfold.platform.messaging.port import (
    Backlog,
    Bookmark,
    BrokerUnavailable,
    Consumption,
    Delivery,
    Message,
    Subscription,
)
from billfold.platform.messaging.topics import Topic
from tests import servers
from tests.integration.messaging.support import until

ALL = {"limit": 500, "max_bytes": 1 << 24}
WAIT_S = 30.0
MOMENT_S = 0.3


@pytest.fixture
def server(rabbitmq_server: servers.RabbitMQServer) -> rabbitmq.Server:
    return rabbitmq.Server(url=rabbitmq_server.url)


@pytest.fixture
async def broker(server: rabbitmq.Server) -> AsyncIterator[rabbitmq.Broker]:
    async with server.connected(name="test") as broker:
        yield broker


@pytest.fixture
def topic() -> Topic:
    return Topic(name=f"t-{uuid.uuid4().hex}", description="A test's.", max_messages=1_000)


@pytest.fixture
def queue() -> Topic:
    return Topic(name=f"q-{uuid.uuid4().hex}", description="A test's.", max_messages=3, queue=True)


def reader(topic: Topic) -> Subscription:
    return Subscription(name="reader", topic=topic, ordered=not topic.queue)


def numbered(topic: Topic, numbers: range, kind: str = "test.happened.v1") -> list[Message]:
    return [
        Message(topic=topic, type=kind, id=f"/test/{uuid.uuid4()}", key="k", body=str(number).encode())
        for number in numbers
    ]


def numbers_of(deliveries: Sequence[Delivery]) -> list[int]:
    return [int(one.body) for one in deliveries]


async def taken(hand: Consumption, number: int) -> list[Delivery]:
    found: list[Delivery] = []
    async with asyncio.timeout(WAIT_S):
        while len(found) < number:
            found += await hand.fetch(**ALL, wait_s=WAIT_S)
    return found


async def when_up(server: rabbitmq.Server, ask: Callable[[rabbitmq.Broker], Awaitable[None]]) -> None:
    """Do it as soon as the server can: after a restart its queues come up one by one."""

    async def done() -> bool:
        try:
            async with server.connected(name="test") as broker:
                await ask(broker)
        except BrokerUnavailable:
            return False
        return True

    await until(done)


async def test_thousands_come_in_the_order_in_which_they_were_published(broker: rabbitmq.Broker, topic: Topic) -> None:
    await broker.ensure(topic)
    await broker.publish(numbered(topic, range(2_000)))
    async with broker.consuming(reader(topic)) as hand:
        assert numbers_of(await taken(hand, 2_000)) == list(range(2_000))


async def test_a_place_is_kept_where_settling_left_a_gap(broker: rabbitmq.Broker, topic: Topic) -> None:
    await broker.ensure(topic)
    await broker.publish(numbered(topic, range(5)))
    async with broker.consuming(reader(topic)) as hand:
        first, second, third, *_ = await taken(hand, 5)
        await hand.settle([first, third])
    async with broker.consuming(reader(topic)) as hand:
        again = await taken(hand, 4)
        assert numbers_of(again) == [1, 2, 3, 4]
        assert second.sequence == again[0].sequence


async def test_what_nobody_settles_is_counted_until_something_is_settled(broker: rabbitmq.Broker, topic: Topic) -> None:
    await broker.ensure(topic)
    await broker.publish(numbered(topic, range(2)))
    for coming in (1, 2, 3):
        async with broker.consuming(reader(topic)) as hand:
            assert [one.deliveries for one in await taken(hand, 2)] == [coming] * 2
    async with broker.consuming(reader(topic)) as hand:
        first, _ = await taken(hand, 2)
        await hand.settle([first])
    async with broker.consuming(reader(topic)) as hand:
        assert [(one.body, one.deliveries) for one in await taken(hand, 1)] == [(b"1", 2)]


async def test_what_is_of_no_interest_is_not_read_again(broker: rabbitmq.Broker, topic: Topic) -> None:
    await broker.ensure(topic)
    await broker.publish(numbered(topic, range(20), "other.happened.v1"))
    subscription = Subscription(name="reader", topic=topic, types=("test.",))
    async with broker.consuming(subscription) as hand:

        async def all_is_read() -> bool:
            assert await hand.fetch(**ALL, wait_s=MOMENT_S) == []
            return (await amqp_logs.place_of(broker, subscription)).next == 20

        await until(all_is_read)


async def test_a_log_that_was_made_anew_is_read_from_its_beginning(broker: rabbitmq.Broker, topic: Topic) -> None:
    await broker.ensure(topic)
    await broker.publish(numbered(topic, range(3)))
    async with broker.consuming(reader(topic)) as hand:
        await hand.settle(await taken(hand, 3))
    async with broker.channel() as channel:
        await channel.queue_delete(amqp.log_name(topic))

    await broker.ensure(topic)
    # As many as there were: the numbers alone tell nothing.
    await broker.publish(numbered(topic, range(10, 14)))

    async with broker.consuming(reader(topic)) as hand:
        assert numbers_of(await taken(hand, 4)) == [10, 11, 12, 13]


async def test_a_reader_of_what_is_new_goes_on_where_it_was_cut_off(server: rabbitmq.Server, topic: Topic) -> None:
    bookmark = Bookmark(start="new")
    async with server.connected(name="writer") as writer:
        await writer.ensure(topic)
        await writer.publish(numbered(topic, range(3)))
        async with server.connected(name="test") as broker, broker.tailing(topic, bookmark=bookmark):
            pass
        await writer.publish(numbered(topic, range(3, 5)))
        async with (
            server.connected(name="test") as broker,
            broker.tailing(topic, bookmark=bookmark) as deliveries,
            asyncio.timeout(WAIT_S),
        ):
            assert [(await anext(deliveries)).body for _ in range(2)] == [b"3", b"4"]


async def test_a_full_queue_refuses_its_sender(broker: rabbitmq.Broker, queue: Topic) -> None:
    await broker.ensure(queue)

    async def refused() -> bool:
        # RabbitMQ looks at the limit when it has stored a message, so a few more get in.
        try:
            await broker.publish(numbered(queue, range(1)))
        except BrokerUnavailable:
            return True
        return False

    await until(refused)


async def test_a_message_to_nowhere_is_not_taken_for_published(broker: rabbitmq.Broker, topic: Topic) -> None:
    await broker.ensure(topic)
    async with broker.channel() as channel:
        await channel.queue_delete(amqp.log_name(topic))
    with pytest.raises(BrokerUnavailable):
        await broker.publish(numbered(topic, range(1)))


async def test_a_queue_that_exists_stays_as_its_operator_made_it(broker: rabbitmq.Broker, queue: Topic) -> None:
    async with broker.channel() as channel:
        await channel.declare_queue(queue.address, durable=True, arguments={"x-max-length": 7})
    await broker.ensure(queue)
    await broker.publish(numbered(queue, range(1)))
    async with broker.consuming(reader(queue)) as hand:
        assert numbers_of(await taken(hand, 1)) == [0]


async def test_a_queue_that_is_deleted_is_not_waited_for_for_ever(broker: rabbitmq.Broker, queue: Topic) -> None:
    await broker.ensure(queue)
    async with broker.consuming(reader(queue)) as hand:
        async with broker.channel() as channel:
            await channel.queue_delete(queue.address)
        with pytest.raises(BrokerUnavailable, match="is no more"):
            await hand.fetch(**ALL, wait_s=MOMENT_S)


async def test_what_one_leaves_in_hand_comes_to_another_and_is_counted(server: rabbitmq.Server, queue: Topic) -> None:
    async with server.connected(name="one") as one, server.connected(name="another") as another:
        await one.ensure(queue)
        await one.publish(numbered(queue, range(3)))
        async with AsyncExitStack() as while_ours:
            ours = await while_ours.enter_async_context(one.consuming(reader(queue)))
            first, *_ = await taken(ours, 3)
            async with another.consuming(reader(queue)) as others:
                await ours.settle([first])
                await while_ours.aclose()
                again = await taken(others, 2)
        assert [(delivery.body, delivery.deliveries) for delivery in again] == [(b"1", 2), (b"2", 2)]


async def test_where_order_counts_the_next_one_gets_everything_that_the_one_before_has_left(
    server: rabbitmq.Server, queue: Topic
) -> None:
    ordered = msgspec.structs.replace(queue, max_messages=100, in_order=True)
    async with (
        server.connected(name="one") as one,
        server.connected(name="another") as another,
        AsyncExitStack() as while_ours,
    ):
        await one.ensure(ordered)
        ours = await while_ours.enter_async_context(one.consuming(reader(ordered)))
        async with another.consuming(reader(ordered)) as others:
            await another.publish(numbered(ordered, range(20)))
            first, *_ = await taken(ours, 1)
            await ours.settle([first])
            await while_ours.aclose()
            assert numbers_of(await taken(others, 19)) == list(range(1, 20))


async def test_workers_share_the_events_of_the_types_that_they_want(server: rabbitmq.Server, topic: Topic) -> None:
    shared = Subscription(name="shared", topic=topic, types=("test.", "other.happened.v1"), ordered=False)
    async with server.connected(name="one") as one, server.connected(name="another") as another:
        await one.ensure(topic)
        assert await one.backlog(shared) is None
        async with one.consuming(shared) as ours, another.consuming(shared) as others:
            for kind in ("test.happened.v1", "other.happened.v2", "tested.happened.v1", "other.happened.v1"):
                await one.publish(numbered(topic, range(10), kind))
            found: list[Delivery] = []
            async with asyncio.timeout(WAIT_S):
                while len(found) < 20:
                    found += await ours.fetch(**ALL, wait_s=MOMENT_S)
                    found += await others.fetch(**ALL, wait_s=MOMENT_S)
            assert {one.type for one in found} == {"test.happened.v1", "other.happened.v1"}
            assert await one.backlog(shared) == Backlog(waiting=0)


async def test_what_comes_often_is_never_given_up_by_the_server(broker: rabbitmq.Broker, queue: Topic) -> None:
    await broker.ensure(queue)
    (message,) = numbered(queue, range(1))
    await broker.publish([message])
    async with broker.taking(queue.address, prefetch=1) as inlet, asyncio.timeout(WAIT_S):
        for _ in range(150):
            (found,) = await inlet.take(1, max_bytes=1, wait_s=WAIT_S)
            assert found.body == message.body
            await found.reject(requeue=True)


async def test_a_wrong_password_is_an_unavailable_broker(rabbitmq_server: servers.RabbitMQServer) -> None:
    stranger = rabbitmq.Server(url=rabbitmq_server.url, user="stranger", password="guess")
    with pytest.raises(BrokerUnavailable, match="ACCESS_REFUSED"):
        async with stranger.connected(name="test"):
            pass


@pytest.mark.parametrize("url", ["amqp://127.0.0.1:1/", "its own"])
async def test_a_connection_that_was_refused_leaves_nothing_behind(
    rabbitmq_server: servers.RabbitMQServer, url: str
) -> None:
    stranger = rabbitmq.Server(url=url.replace("its own", rabbitmq_server.url), user="stranger", password="guess")
    before = asyncio.all_tasks()
    with pytest.raises(BrokerUnavailable):
        async with stranger.connected(name="test"):
            pass
    gc.collect()
    assert asyncio.all_tasks() <= before


async def test_a_server_that_says_nothing_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbitmq, "CONNECT_TIMEOUT_S", 2.0)
    met: list[asyncio.StreamWriter] = []

    async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(writer)

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(BrokerUnavailable):
            async with rabbitmq.Server(url=f"amqp://127.0.0.1:{port}/").connected(name="test"):
                pass
        for writer in met:
            writer.close()
    assert met
    # What is still open would be told of by a warning, which is an error here.
    gc.collect()


async def test_the_server_can_show_who_is_connected(
    rabbitmq_server: servers.RabbitMQServer, server: rabbitmq.Server
) -> None:
    async with server.connected(name="billfold history"):
        clients = await asyncio.to_thread(rabbitmq_server.server.clients)
    assert any('"billfold history"' in client for client in clients), clients


async def test_the_first_node_that_answers_is_taken(rabbitmq_server: servers.RabbitMQServer, topic: Topic) -> None:
    urls = f"amqp://127.0.0.1:1/, {rabbitmq_server.url}"
    async with rabbitmq.Server(url=urls).connected(name="test") as broker:
        await broker.ensure(topic)


async def test_a_server_that_hangs_is_an_unavailable_one(
    rabbitmq_server: servers.RabbitMQServer, broker: rabbitmq.Broker, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    await broker.ensure(topic)
    monkeypatch.setattr(amqp, "ANSWER_TIMEOUT_S", 0.5)
    rabbitmq_server.hang()
    try:
        with pytest.raises(BrokerUnavailable):
            await broker.publish(numbered(topic, range(10)))
    finally:
        rabbitmq_server.go_on()


async def test_a_kill_loses_nothing_that_was_confirmed_and_no_place(
    rabbitmq_server: servers.RabbitMQServer, server: rabbitmq.Server, topic: Topic, queue: Topic
) -> None:
    async with server.connected(name="test") as broker:
        await broker.ensure(topic)
        await broker.ensure(queue)
        await broker.publish(numbered(topic, range(100)))
        await broker.publish(numbered(queue, range(3)))
        async with broker.consuming(reader(topic)) as hand:
            await hand.settle((await hand.fetch(**{**ALL, "limit": 40}, wait_s=WAIT_S))[:1])
        await until(_written(rabbitmq_server))
        async with broker.consuming(reader(queue)) as hand, broker.consuming(reader(topic)) as log:
            await taken(hand, 3)
            await taken(log, 99)

            rabbitmq_server.kill()

            for waiting in (hand, log):
                with pytest.raises(BrokerUnavailable):
                    await waiting.fetch(**ALL, wait_s=WAIT_S)
            with pytest.raises(BrokerUnavailable):
                await broker.publish(numbered(topic, range(1)))
    rabbitmq_server.start()

    async def everything_again(broker: rabbitmq.Broker) -> None:
        async with broker.consuming(reader(topic)) as log:
            assert numbers_of(await taken(log, 99)) == list(range(1, 100))
        async with broker.consuming(reader(queue)) as hand:
            assert sorted(numbers_of(await taken(hand, 3))) == [0, 1, 2]

    await when_up(server, everything_again)


def _written(server: servers.RabbitMQServer) -> Callable[[], Awaitable[bool]]:
    async def written() -> bool:
        return server.server.written()

    return written
