"""Messages of a JetStream consumer in hand: delivered to us and not settled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from nats.aio.msg import Msg

from billfold.kernel.errors import Unavailable
from billfold.platform.messaging.brokers.jetstream import Connection
from billfold.platform.messaging.brokers.receiving import Pull
from billfold.platform.messaging.port import BrokerUnavailable, Delivery, Subscription
from billfold.platform.messaging.topics import Topic

#: A third of how long the server waits before it delivers to somebody else (nats.ACK_WAIT_S).
EXTEND_PAUSE_S = 3.0
#: What was in other hands comes at most so much at a time.
GATHER_MAX_BYTES = 8 * 1024 * 1024
#: Of the subject that a delivery is answered on, where it names no domain.
_PARTS = 9


class Hand:
    """As port.Consumption. What is in it stays ours as long as the server hears of it."""

    def __init__(self, connection: Connection, subscription: Subscription, pull: Pull) -> None:
        self._connection = connection
        self._topic = subscription.topic
        self._ordered = subscription.ordered
        self._pull = pull
        self._replies: dict[str, None] = {}
        #: What was gathered and not fetched yet, by its sequence.
        self._gathered: dict[int, Delivery] = {}
        #: Of an ordered subscription, the last that was handed out.
        self._reached = 0

    @property
    def size(self) -> int:
        """How many messages of the server's are in it."""
        return len(self._replies)

    async def gather(self, limit: int, *, wait_s: float) -> None:
        """Take messages in, for the next fetches, which hand them out in the order of the stream."""
        for message in await self._pull.fetch(limit, max_bytes=GATHER_MAX_BYTES, wait_s=wait_s):
            delivery = delivery_of(self._topic, message)
            known = self._gathered.get(delivery.sequence)
            if known is not None:
                self._replies.pop(str(known.receipt), None)
            self._gathered[delivery.sequence] = delivery
            self._replies[message.reply] = None

    async def fetch(self, limit: int, *, max_bytes: int, wait_s: float) -> list[Delivery]:
        """As Consumption.fetch."""
        if self._gathered:
            first = sorted(self._gathered)[:limit]
            self._reached = first[-1]
            return [self._gathered.pop(sequence) for sequence in first]
        messages = await self._pull.fetch(limit, max_bytes=max_bytes, wait_s=wait_s)
        deliveries = [delivery_of(self._topic, message) for message in messages]
        if self._ordered:
            deliveries = await self._new(deliveries)
        self._replies.update((str(delivery.receipt), None) for delivery in deliveries)
        return deliveries

    async def _new(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Those that were not handed out before. The server repeats what it has not heard of for too long."""
        new = []
        for delivery in deliveries:
            if delivery.sequence > self._reached:
                self._reached = delivery.sequence
                new.append(delivery)
            elif not self._replies:
                await self._connection.send(str(delivery.receipt), b"+ACK")
        return new

    async def settle(self, deliveries: Sequence[Delivery]) -> None:
        """As Consumption.settle."""
        for delivery in deliveries:
            reply = str(delivery.receipt)
            await self._connection.send(reply, b"+ACK")
            self._replies.pop(reply, None)
        await self._connection.flush()

    async def speak_of_them(self) -> None:
        """Let the server hear of what is in hand, until cancelled."""
        # Where the broker is lost, settling will say so.
        with suppress(BrokerUnavailable):
            while True:
                await asyncio.sleep(EXTEND_PAUSE_S)
                for reply in list(self._replies):
                    await self._connection.send(reply, b"+WPI")

    async def give_back(self) -> None:
        """Let the server deliver it at once to whoever is there. Pulling has ended before, or that would be us."""
        for reply in (*self._replies, *(message.reply for message in self._pull.rest())):
            await self._connection.send(reply, b"-NAK")
        await self._connection.flush()


@asynccontextmanager
async def holding(connection: Connection, stream: str, subscription: Subscription) -> AsyncIterator[Hand]:
    """Messages of this consumer until the block ends.

    When it ends because we stop, what is left is given back. A bug keeps it: that gives the next process time.
    """
    hand: Hand | None = None
    try:
        async with connection.pulling(stream, subscription.name) as pull:
            hand = Hand(connection, subscription, pull)
            speaking = asyncio.create_task(hand.speak_of_them())
            try:
                yield hand
            finally:
                speaking.cancel()
                await asyncio.wait([speaking])
    except (asyncio.CancelledError, Unavailable):
        if hand is not None:
            with suppress(BrokerUnavailable):
                await hand.give_back()
        raise


def delivery_of(topic: Topic, message: Msg) -> Delivery:
    """What a message of this topic is for the port."""
    sequence, deliveries = _numbers(message.reply)
    return Delivery(
        type=message.subject.removeprefix(topic.address).removeprefix("."),
        headers=message.headers or {},
        body=message.data,
        subject=message.subject,
        sequence=sequence,
        deliveries=deliveries,
        receipt=message.reply,
    )


def _numbers(reply: str) -> tuple[int, int]:
    """The number of a message in its stream, and how often it was delivered, as the subject of its answer has them.

    That is `$JS.ACK.<stream>.<consumer>.<deliveries>.<number>.…` (ADR 15 of NATS), or, with two parts more behind
    ACK, of a server that names domain and account.
    """
    parts = reply.split(".")
    first = 4 if len(parts) == _PARTS else 6
    return int(parts[first + 1]), int(parts[first])
