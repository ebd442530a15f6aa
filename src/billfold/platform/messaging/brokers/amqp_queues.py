"""Taking what any number of processes share, from a quorum queue of RabbitMQ's.

The queue is the topic's own where the topic is one. Of any other topic it is the subscription's: it gets what is
published from when it was first made.

What is in hand goes back when its channel closes, also when its process is killed. RabbitMQ counts how often a message
has come, and is told never to give it up: a long outage is no reason to, and those who take it set aside what is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aio_pika.abc import AbstractIncomingMessage

from billfold.platform.messaging.brokers.amqp import Connection, Inlet, headers_of, numbers_of, translated
from billfold.platform.messaging.port import Backlog, Delivery, Subscription
from billfold.platform.messaging.topics import Topic

#: What RabbitMQ sends ahead. It counts messages and not bytes: what is in memory is bounded by this together with its
#: `max_message_size`, which docs/how-to/run-with-rabbitmq.md has the operator set.
PREFETCH = 200
#: Since version 4 the server's own default is 20, after which it would drop the message.
DELIVERY_LIMIT = 1_000_000_000
_DELIVERY_COUNT = "x-delivery-count"


class Hand:
    """As port.Consumption, of a queue."""

    def __init__(self, subscription: Subscription, inlet: Inlet) -> None:
        self._subscription = subscription
        self._inlet = inlet

    async def fetch(self, limit: int, *, max_bytes: int, wait_s: float) -> list[Delivery]:
        """As Consumption.fetch."""
        messages = await self._inlet.take(limit, max_bytes=max_bytes, wait_s=wait_s)
        return [delivery_of(self._subscription, message) for message in messages]

    async def settle(self, deliveries: Sequence[Delivery]) -> None:
        """As Consumption.settle."""
        with translated():
            for delivery in deliveries:
                assert isinstance(delivery.receipt, AbstractIncomingMessage), "it was delivered by this adapter"
                await delivery.receipt.ack()


@asynccontextmanager
async def holding(connection: Connection, subscription: Subscription) -> AsyncIterator[Hand]:
    """Messages of the queue until the block ends. Then RabbitMQ gives to others what is left."""
    topic, name = subscription.topic, queue_name(subscription)
    if not topic.queue:
        await connection.declare(name, _shared(topic))
        await connection.bind(name, topic.address, *_patterns(subscription.types))
    async with connection.taking(name, prefetch=PREFETCH) as inlet:
        yield Hand(subscription, inlet)


async def backlog(connection: Connection, subscription: Subscription) -> Backlog | None:
    """As port.Broker.backlog. What is in hand RabbitMQ tells its management alone."""
    waiting = await connection.count(queue_name(subscription))
    return None if waiting is None else Backlog(waiting=waiting)


def arguments_of(topic: Topic) -> dict[str, Any]:
    """How the queue is made: when it is full it refuses more, and it gives up on nothing.

    For some moments after a restart RabbitMQ takes the consumer of before for alive, and gives what is not in its hand
    to whoever else consumes. A single active consumer waits until that one is gone, and gets what it had first.
    """
    return {
        "x-queue-type": "quorum",
        "x-max-length": topic.max_messages,
        "x-overflow": "reject-publish",
        "x-single-active-consumer": topic.in_order,
        "x-delivery-limit": DELIVERY_LIMIT,
    }


def queue_name(subscription: Subscription) -> str:
    """The queue that a subscription takes from."""
    topic = subscription.topic
    return topic.address if topic.queue else f"{topic.address}.{subscription.name}"


def delivery_of(subscription: Subscription, message: AbstractIncomingMessage) -> Delivery:
    """What a message of a queue is for the port. Who sends to a queue need not say its type."""
    return Delivery(
        type="" if subscription.topic.queue else message.routing_key or "",
        headers=headers_of(message),
        body=message.body,
        subject=queue_name(subscription),
        sequence=0,
        deliveries=_deliveries(message),
        receipt=message,
    )


def _deliveries(message: AbstractIncomingMessage) -> int:
    """How often a message has come. Until RabbitMQ has given it for the second time, the header is its sender's."""
    count = max(numbers_of(message, _DELIVERY_COUNT), default=0)
    return 1 + min(max(0, count), DELIVERY_LIMIT)


def _shared(topic: Topic) -> dict[str, Any]:
    """How the queue of a subscription is made. When it is full the oldest go: nobody's lag may stop the relay."""
    return {
        "x-queue-type": "quorum",
        "x-max-length": topic.max_messages,
        "x-overflow": "drop-head",
        "x-delivery-limit": DELIVERY_LIMIT,
    }


def _patterns(types: Sequence[str]) -> list[str]:
    """Types as a topic exchange has them."""
    return [f"{one}#" if one.endswith(".") else one for one in types] or ["#"]
