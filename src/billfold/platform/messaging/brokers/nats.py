"""NATS JetStream as a broker: connections, and what the port asks of one.

The client's own reconnecting stays off. It would buffer what is published while the server is away, half a batch
perhaps, and send it later. Here a lost connection ends everything that uses it with BrokerUnavailable; whoever works in
a loop connects anew, and says again what was not acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client

from billfold.platform.messaging.brokers import asking, streams
from billfold.platform.messaging.brokers.holding import Hand, delivery_of, holding
from billfold.platform.messaging.brokers.jetstream import CONNECT_TIMEOUT_S, PENDING_BYTES, Connection, filters
from billfold.platform.messaging.brokers.receiving import JetStreamRefused, Pull, Replies, translated
from billfold.platform.messaging.port import Backlog, Bookmark, BrokerUnavailable, Delivery, Subscription
from billfold.platform.messaging.topics import Topic

__all__ = ["Broker", "BrokerUnavailable", "JetStreamRefused", "Pull", "Server", "connected"]

log = structlog.get_logger(__name__)

#: A connection that died without a word is noticed after about three of these.
PING_INTERVAL_S = 5
#: A message that nobody speaks of for so long is delivered again: its process was killed. Those in hand are spoken of.
ACK_WAIT_S = 10
#: What all consumers of one subscription together may have in hand.
IN_HAND_MAX = 2_000
#: How often it is looked whether all that was in other hands has come.
GATHER_WAIT_S = 0.25
#: What a reader along is sent at a time.
TAIL_MAX = 500
TAIL_MAX_BYTES = 8 * 1024 * 1024
TAIL_WAIT_S = 5.0


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where a NATS server or cluster is, and who we are there. `url` may name several, separated by commas."""

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

    async def on_closed() -> None:
        if not closed.done():
            closed.set_result(None)

    async def on_error(error: Exception) -> None:
        log.debug("the NATS client says", error=repr(error))

    client = Client()
    try:
        with translated():
            async with asyncio.timeout(CONNECT_TIMEOUT_S * 2):
                await client.connect(
                    servers=[url.strip() for url in server.url.split(",")],
                    name=name,
                    user=server.user,
                    password=server.password,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=CONNECT_TIMEOUT_S,
                    ping_interval=PING_INTERVAL_S,
                    max_outstanding_pings=2,
                    pending_size=PENDING_BYTES,
                    closed_cb=on_closed,
                    error_cb=on_error,
                )
        replies = Replies(client.new_inbox())
        with translated():
            await client.subscribe(f"{replies.inbox}.*", cb=replies.arrived)
        yield Broker(client, closed, replies)
    finally:
        # Whatever goes wrong in closing, the connection is of no more use; what ends the block must not be covered up.
        with suppress(nats.errors.Error, OSError, TimeoutError):
            await closed_for_good(client)


async def closed_for_good(client: Client) -> None:
    """As asking.closed_for_good."""
    await asking.closed_for_good(client.close)


class Broker(Connection):
    """The port of a live connection. Made by `connected`."""

    async def ensure(self, topic: Topic) -> None:
        """As port.Broker.ensure; the stream of a queue may be one that somebody else has made.

        Raises:
            BrokerTooOld: the server is older than 2.12.
        """
        await self._stream(topic)

    @asynccontextmanager
    async def consuming(self, subscription: Subscription) -> AsyncIterator[Hand]:
        """As port.Broker.consuming."""
        stream = await self._stream(subscription.topic)
        await streams.ensure_consumer(self, stream, consumer_of(subscription))
        async with holding(self, stream, subscription) as hand:
            if subscription.ordered:
                await self._put_in_order(stream, subscription.name, hand)
            yield hand

    @asynccontextmanager
    async def tailing(
        self, topic: Topic, *, types: tuple[str, ...] = (), bookmark: Bookmark
    ) -> AsyncIterator[AsyncIterator[Delivery]]:
        """As port.Broker.tailing."""
        stream = await self._stream(topic)
        if not bookmark.following:
            last = 0 if bookmark.start == "beginning" else await streams.last_sequence(self, stream)
            bookmark.following[stream] = last + 1
        consumer = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": bookmark.following[stream],
            "filter_subjects": filters(topic, types),
            "ack_policy": "none",
            "mem_storage": True,
        }
        name = await streams.ensure_consumer(self, stream, consumer)
        async with self.pulling(stream, name) as pull:
            yield _read(pull, topic, bookmark.following, stream)

    async def backlog(self, subscription: Subscription) -> Backlog | None:
        """As port.Broker.backlog."""
        info = await streams.consumer_info(self, await self._stream(subscription.topic), subscription.name)
        return None if info is None else Backlog(waiting=info.num_pending, in_hand=info.num_ack_pending)

    async def _stream(self, topic: Topic) -> str:
        stream = streams.of(topic)
        if topic.queue:
            return await streams.stream_of(self, stream)
        await streams.ensure(self, stream)
        return stream.name

    async def _put_in_order(self, stream: str, consumer: str, hand: Hand) -> None:
        """Take all that the process before us had in hand, before anything that comes after it.

        What a killed process had comes again after ACK_WAIT_S, what was given back at once, and what JetStream has sent
        to a request that nobody listens to any more, too: in whatever order, and new messages in between.
        """
        while True:
            info = await streams.consumer_info(self, stream, consumer)
            if info is None or info.num_ack_pending <= hand.size:
                return
            await hand.gather(info.num_ack_pending - hand.size, wait_s=GATHER_WAIT_S)


def consumer_of(subscription: Subscription) -> dict[str, Any]:
    """The durable consumer of a subscription, as JetStream's API has it."""
    subjects = filters(subscription.topic, subscription.types)
    return {
        "durable_name": subscription.name,
        **({"filter_subject": subjects[0]} if len(subjects) == 1 else {"filter_subjects": subjects}),
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": ACK_WAIT_S * 1_000_000_000,
        "max_ack_pending": IN_HAND_MAX,
        # The server's own limit would leave a message lying in the stream, and tell nobody.
        "max_deliver": -1,
    }


async def _read(pull: Pull, topic: Topic, following: dict[str, int], stream: str) -> AsyncIterator[Delivery]:
    while True:
        for message in await pull.fetch(TAIL_MAX, max_bytes=TAIL_MAX_BYTES, wait_s=TAIL_WAIT_S):
            delivery = delivery_of(topic, message)
            following[stream] = delivery.sequence + 1
            yield delivery
