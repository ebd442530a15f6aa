"""RabbitMQ as a broker, from 3.10: connections, and what the port asks of one.

A topic is a topic exchange, whose routing keys are the types, with a queue that has all of it: a *stream*, which keeps
messages for as long as the topic wants and lets every reader begin where it likes; or, where the topic is a queue
itself, a *quorum queue*. Both confirm a message when most of their replicas have it, and a quorum queue when it is on
their disks. Whoever needs a part of the events may bind queues of their own to the exchange.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import aio_pika
import aiormq
import msgspec
from aiormq.connection import TCPTransportFactory, TLSTransportFactory
from yarl import URL

from billfold.platform.messaging import topics
from billfold.platform.messaging.brokers import amqp_decoding, amqp_logs, amqp_queues
from billfold.platform.messaging.brokers.amqp import (
    CONNECT_TIMEOUT_S,
    Connection,
    log_name,
    translated,
)
from billfold.platform.messaging.port import Backlog, Bookmark, BrokerUnavailable, Consumption, Delivery, Subscription
from billfold.platform.messaging.topics import Topic

# What goes wrong is told as BrokerUnavailable, by whoever it concerns and as often as that.
for _name in ("aio_pika", "aiormq"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

amqp_decoding.use()

#: A connection that died without a word is noticed after about three of these.
HEARTBEAT_S = 5
#: How large a message is taken to be where a stream has a limit in bytes and its topic one in messages.
MESSAGE_BYTES = 1_024


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where a RabbitMQ is, and who we are there. `url` may name several nodes, separated by commas."""

    url: str
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Server(user={self.user!r})"

    def connected(self, *, name: str) -> AbstractAsyncContextManager[Broker]:
        """As Messaging.connected."""
        return connected(self, name=name)


@asynccontextmanager
async def connected(server: Server, *, name: str) -> AsyncIterator[Broker]:
    """A connection until the block ends; `name` is what the server's monitoring shows.

    Raises:
        BrokerUnavailable: nothing answers there, or not to these credentials.
    """
    closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_closed(*_: object) -> None:
        if not closed.done():
            closed.set_result(None)

    connection = await _connection(server, name)
    connection.close_callbacks.add(on_closed)
    try:
        yield Broker(connection, closed)
    finally:
        # Whatever goes wrong in closing, the connection is of no more use; what ends the block must not be covered up.
        with suppress(BrokerUnavailable), translated():
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connection.close()
        connection.carrier.close()


class Broker(Connection):
    """The port of a live connection. Made by `connected`."""

    async def ensure(self, topic: Topic) -> None:
        """As port.Broker.ensure; a queue needs its place for dead letters."""
        if topic.queue:
            await self.ensure(topics.DEAD_LETTERS)
        queue = topic.address if topic.queue else log_name(topic)
        await self.declare(queue, amqp_queues.arguments_of(topic) if topic.queue else _log_arguments(topic))
        await self.bind(queue, topic.address, "#")

    @asynccontextmanager
    async def consuming(self, subscription: Subscription) -> AsyncIterator[Consumption]:
        """As port.Broker.consuming. A message that a bug leaves in hand comes to the next process at once."""
        await self.ensure(subscription.topic)
        if _is_shared(subscription):
            async with amqp_queues.holding(self, subscription) as hand:
                yield hand
        else:
            async with amqp_logs.holding(self, subscription) as reading:
                yield reading

    @asynccontextmanager
    async def tailing(
        self, topic: Topic, *, types: tuple[str, ...] = (), bookmark: Bookmark
    ) -> AsyncIterator[AsyncIterator[Delivery]]:
        """As port.Broker.tailing."""
        await self.ensure(topic)
        async with amqp_logs.tailing(self, topic, types, bookmark) as deliveries:
            yield deliveries

    async def backlog(self, subscription: Subscription) -> Backlog | None:
        """As port.Broker.backlog."""
        if _is_shared(subscription):
            return await amqp_queues.backlog(self, subscription)
        return await amqp_logs.backlog(self, subscription)


class _Carrier(aiormq.TransportFactory):
    """What carries the connection. The client leaves it open when the server ends a connection or dies in a login."""

    def __init__(self) -> None:
        self._opened: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open it."""
        opening = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, self._opened = await opening.create(url, **kwargs)
        return reader, self._opened

    def close(self) -> None:
        """Close it, if that has not been done."""
        if self._opened is not None:
            self._opened.close()


class _Client(aio_pika.Connection):
    """The client's connection, which `connected` closes."""

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        self.carrier = self.kwargs["transport_factory"] = _Carrier()

    async def log_in(self) -> None:
        """Connect, or leave nothing open."""
        try:
            await self.connect(timeout=CONNECT_TIMEOUT_S)
        except BaseException:
            self.carrier.close()
            raise

    def __del__(self) -> None:
        """Do nothing. The client's own would begin to close what was never open, whenever it is collected."""


async def _connection(server: Server, name: str) -> _Client:
    """To the first node that answers."""
    error: BrokerUnavailable | None = None
    for text in server.url.split(","):
        url = URL(text.strip())
        if server.user is not None:
            url = url.with_user(server.user).with_password(server.password)
        client = _Client(url.update_query(heartbeat=HEARTBEAT_S, name=name))
        try:
            with translated():
                async with asyncio.timeout(CONNECT_TIMEOUT_S * 2):
                    await client.log_in()
                    return client
        except BrokerUnavailable as refused:
            error = refused
    raise error or BrokerUnavailable


def _is_shared(subscription: Subscription) -> bool:
    """Whether it is taken from a queue. Where order counts the log is read, by one process at a time."""
    return subscription.topic.queue or not subscription.ordered


def _log_arguments(topic: Topic) -> dict[str, Any]:
    limits: dict[str, Any] = {"x-queue-type": "stream", "x-max-length-bytes": topic.max_messages * MESSAGE_BYTES}
    return limits | ({"x-max-age": f"{topic.max_age_s}s"} if topic.max_age_s else {})
