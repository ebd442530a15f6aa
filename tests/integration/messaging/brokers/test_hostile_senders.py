"""Messages on RabbitMQ that say of themselves what AMQP forbids: each is taken, and stands in nobody's way."""

import asyncio
import struct
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import pytest
from pamqp import commands, encode

from billfold.platform.messaging import topics
from billfold.platform.messaging.brokers import rabbitmq
from billfold.platform.messaging.port import Bookmark, Delivery, Message, Subscription
from billfold.platform.messaging.topics import Topic
from billfold.wallets import Wallets, workers
from billfold.wallets.workers import ConfirmedTransactions
from tests import servers
from tests.integration.messaging.brokers.conftest import Bench
from tests.integration.messaging.queue import balance, consuming, dead_letters, new_wallet, plain
from tests.integration.messaging.support import DEADLINE_S, until

#: The bits of the properties that are there.
CONTENT_TYPE, HEADERS, MESSAGE_ID, TIMESTAMP, TYPE = (1 << bit for bit in (15, 13, 7, 6, 5))
NO_TEXT = b"M\xfcll\xff"
NO_TIME = (1 << 63) - 1


def short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def long(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def header(name: bytes, kind: bytes, value: bytes) -> bytes:
    return short(name) + kind + value


def number(value: int) -> bytes:
    return struct.pack(">q", value)


def headers(*entries: bytes) -> tuple[int, bytes]:
    return HEADERS, long(b"".join(entries))


def deep(kind: bytes, name: bytes, levels: int) -> bytes:
    value = long(b"")
    for _ in range(levels):
        value = long(name + kind + value)
    return value


COUNT, OFFSET = b"x-delivery-count", b"x-stream-offset"
PROPERTIES = {
    "an id that is no text": (MESSAGE_ID, short(NO_TEXT)),
    "a content type that is no text": (CONTENT_TYPE, short(NO_TEXT)),
    "a type that is no text": (TYPE, short(NO_TEXT)),
    "a time that no calendar has": (TIMESTAMP, number(NO_TIME)),
    "a time before all others": (TIMESTAMP, b"\xff" * 8),
    "a header's name that is no text": headers(header(NO_TEXT, b"S", long(b"x"))),
    "a header that is no text": headers(header(b"who", b"S", long(NO_TEXT))),
    "a header with a time that no calendar has": headers(header(b"when", b"T", number(NO_TIME))),
    "such a time in a table": headers(header(b"a", b"F", long(header(b"when", b"T", number(NO_TIME))))),
    "such a time in an array": headers(header(b"a", b"A", long(b"T" + number(NO_TIME)))),
    "tables in tables": headers(header(b"a", b"F", deep(b"F", short(b"a"), 3_000))),
    "arrays in arrays": headers(header(b"a", b"A", deep(b"A", b"", 3_000))),
    "a null byte": headers(header(b"a\x00b", b"S", long(b"c\x00d"))),
    "a count that is a text": headers(header(COUNT, b"S", long(b"boo"))),
    "two counts": headers(header(COUNT, b"S", long(b"boo")), header(COUNT, b"S", long(b"hoo"))),
    "two counts that are numbers": headers(header(COUNT, b"l", number(-5)), header(COUNT, b"l", number(7))),
    "a count that is large": headers(header(COUNT, b"l", number(1 << 62))),
    "a count below zero": headers(header(COUNT, b"l", number(-5))),
}
PLACES = {
    "a place in the log": headers(header(OFFSET, b"S", long(b"boo"))),
    "two places in the log": headers(header(OFFSET, b"S", long(b"boo")), header(OFFSET, b"S", long(b"hoo"))),
    "two places in the log that are numbers": headers(header(OFFSET, b"l", number(7)), header(OFFSET, b"l", number(9))),
}


@pytest.mark.parametrize("bench", ["rabbitmq"], indirect=True)
@pytest.mark.parametrize("said", PROPERTIES)
async def test_whatever_a_message_says_of_itself_it_is_applied_or_set_aside_and_those_behind_it_are_applied(
    wallets: Wallets,
    bench: Bench,
    rabbitmq_server: servers.RabbitMQServer,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
) -> None:
    wallet = await new_wallet(wallets)
    async with bench.messaging.connected(name="test") as broker:
        await broker.ensure(topics.CONFIRMED)
    async with sending(rabbitmq_server, topics.CONFIRMED) as exchange:
        with monkeypatch.context() as raw:
            flag, content = PROPERTIES[said]
            raw.setattr(commands.Basic.Properties, "marshal", lambda _: struct.pack(">H", flag) + content)
            for body in (b"nonsense", plain(wallet, "5.00", sender_id="hostile")):
                await exchange.publish(aio_pika.Message(body), "")
        for sender_id in ("a", "b", "c"):
            await exchange.publish(aio_pika.Message(plain(wallet, "1.00", sender_id=sender_id)), "")

    async def all_are_taken() -> bool:
        async with bench.messaging.connected(name="test") as broker:
            backlog = await broker.backlog(workers.SUBSCRIPTION)
        return backlog is not None and not backlog.waiting and not await asyncio.to_thread(bench.in_hand)

    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=bench.messaging)):
        await until(all_are_taken)
    assert await balance(wallets, wallet) == "8.00"
    (dead,) = await dead_letters(wallets)
    assert (dead.reason, dead.content) == ("confirmed_transaction_invalid", b"nonsense")
    assert dead.deliveries >= 1


@pytest.mark.parametrize("said", ["an id that is no text", "a time that no calendar has", "tables in tables", *PLACES])
async def test_readers_of_a_log_get_over_it_too(
    rabbitmq_server: servers.RabbitMQServer, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    flag, content = (PROPERTIES | PLACES)[said]
    topic = Topic(name=f"t-{uuid.uuid4().hex}", description="A test's.", max_messages=1_000)
    subscription = Subscription(name="reader", topic=topic)
    async with rabbitmq.Server(url=rabbitmq_server.url).connected(name="test") as broker:
        await broker.ensure(topic)
        async with sending(rabbitmq_server, topic) as exchange:
            with monkeypatch.context() as raw:
                raw.setattr(commands.Basic.Properties, "marshal", lambda _: struct.pack(">H", flag) + content)
                # Nor has a routing key to be a text.
                raw.setitem(encode.METHODS, "shortstr", lambda text: short(text.encode(errors="surrogateescape")))
                await exchange.publish(aio_pika.Message(b"hostile"), "\udcff")
        await broker.publish([Message(topic=topic, type="test.happened.v1", id="/test/1", key="k", body=b"sound")])
        async with asyncio.timeout(DEADLINE_S):
            async with broker.consuming(subscription) as hand:
                found: list[Delivery] = []
                while len(found) < 2:
                    found += await hand.fetch(2, max_bytes=1 << 20, wait_s=DEADLINE_S)
                assert [(one.type, one.body) for one in found] == [
                    ("\N{REPLACEMENT CHARACTER}", b"hostile"),
                    ("test.happened.v1", b"sound"),
                ]
                await hand.settle(found[:1])
            async with broker.consuming(subscription) as hand:
                assert [one.body for one in await hand.fetch(2, max_bytes=1 << 20, wait_s=DEADLINE_S)] == [b"sound"]
            async with broker.tailing(topic, bookmark=Bookmark(start="beginning")) as deliveries:
                assert [(await anext(deliveries)).body for _ in range(2)] == [b"hostile", b"sound"]


@asynccontextmanager
async def sending(server: servers.RabbitMQServer, topic: Topic) -> AsyncIterator[aio_pika.abc.AbstractExchange]:
    """The exchange of a topic, as somebody else uses it."""
    async with await aio_pika.connect(server.url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        yield await channel.get_exchange(topic.address, ensure=False)
