"""One connection to RabbitMQ: channels, queues and exchanges on it, publishing with confirms, and taking messages.

What the port wants of a connection is in `rabbitmq`. aio-pika's own reconnecting is not used, for the reason why the
client of NATS does not use its own: a lost connection ends everything that uses it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity, DeliveryError
from pamqp.commands import Basic

from billfold.platform.messaging.brokers import asking
from billfold.platform.messaging.cloudevents import CONTENT_TYPE
from billfold.platform.messaging.port import BrokerUnavailable, Message, TopicFull
from billfold.platform.messaging.topics import Topic

T = TypeVar("T")
CONNECT_TIMEOUT_S = 5.0
#: A confirm is a few milliseconds away, and a quorum queue that has just got a new leader a second or two.
ANSWER_TIMEOUT_S = 10.0
#: What may be under way without a confirm.
BATCH_MAX = 500
BATCH_MAX_BYTES = 4 * 1024 * 1024
#: RabbitMQ's own limit for a message is a hundred times that of the other brokers.
BODY_MAX_BYTES = 1024 * 1024

#: The client's answer to whoever asks it while its connection is lost is a RuntimeError.
_ERRORS = (AMQPError, OSError, RuntimeError, TimeoutError)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the client's errors into BrokerUnavailable."""
    try:
        yield
    except _ERRORS as error:
        raise BrokerUnavailable(f"The message broker can't be used now: {error or type(error).__name__}") from error


class Connection:
    """A live connection, used for one thing after the other."""

    def __init__(self, connection: AbstractConnection, closed: asyncio.Future[None]) -> None:
        self._connection = connection
        self._closed = closed
        self._publishing: AbstractChannel | None = None

    @property
    def body_max_bytes(self) -> int:
        """As port.Broker.body_max_bytes."""
        return BODY_MAX_BYTES

    async def publish(self, messages: Sequence[Message], *, perhaps_repeated: bool = True) -> None:  # noqa: ARG002 - every repeat is stored here.
        """As port.Broker.publish. RabbitMQ remembers no ids, so consumers drop all repeats."""
        for batch in asking.batches(messages, count_max=BATCH_MAX, bytes_max=BATCH_MAX_BYTES):
            try:
                await self._exchange(
                    [(message.topic.address, message.type, _encoded(message)) for message in batch],
                )
            except BrokerUnavailable as error:
                # Of a queue it means that there is no room. Any other topic always has some.
                if batch[0].topic.queue and _is_refusal(error.__cause__):
                    raise TopicFull from error
                raise

    async def put(self, queue: str, body: bytes) -> None:
        """Publish right to a queue.

        Raises:
            BrokerUnavailable: it may have been stored.
        """
        await self._exchange([("", queue, aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT))])

    async def _exchange(self, messages: Sequence[tuple[str, str, aio_pika.Message]]) -> None:
        """Send to exchanges, in this order and without waiting in between; return when all are confirmed."""
        channel = self._publishing = self._publishing or await self._channel(publisher_confirms=True)
        names = {exchange for exchange, _, _ in messages if exchange}
        exchanges = {name: await self.asked(channel.get_exchange(name, ensure=False)) for name in names}
        # Tasks begin in the order in which they were made, and wait for the channel in that order.
        sent = [
            asyncio.create_task(
                exchanges.get(exchange, channel.default_exchange).publish(message, routing_key, mandatory=True)
            )
            for exchange, routing_key, message in messages
        ]
        results = await self.asked(_all(sent))
        for error in results:
            with translated():
                if error is not None:
                    raise error

    async def declare(self, queue: str, arguments: Mapping[str, Any]) -> None:
        """Make a durable queue where there is none of that name; one that exists stays as its operator made it.

        Raises:
            BrokerUnavailable: also when it is refused.
        """
        if await self.count(queue) is None:
            async with self.channel() as channel:
                await self.asked(channel.declare_queue(queue, durable=True, arguments=dict(arguments)))

    async def bind(self, queue: str, exchange: str, *patterns: str) -> None:
        """Let the queue have what fits one of these of a topic exchange, which is made where it is missing.

        Raises:
            BrokerUnavailable: also when it is refused.
        """
        async with self.channel() as channel:
            await self.asked(channel.declare_exchange(exchange, aio_pika.ExchangeType.TOPIC, durable=True))
            found = await self.asked(channel.get_queue(queue, ensure=False))
            for pattern in patterns:
                await self.asked(found.bind(exchange, pattern))

    async def count(self, queue: str) -> int | None:
        """How many messages a queue has that nobody has in hand; None when there is no such queue.

        Of a stream it is the number of some seconds ago.

        Raises:
            BrokerUnavailable: it can't be known.
        """
        async with self.channel() as channel:
            try:
                found = await self.asked(channel.declare_queue(queue, passive=True))
            except BrokerUnavailable as error:
                # The same error tells of a queue that is not up again yet after a restart.
                if isinstance(error.__cause__, ChannelNotFoundEntity) and "no queue" in str(error.__cause__):
                    return None
                raise
            return found.declaration_result.message_count or 0

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """A channel until the block ends. What was delivered on it and not acknowledged is given back then."""
        channel = await self._channel(publisher_confirms=False)
        try:
            yield channel
        finally:
            with suppress(BrokerUnavailable):
                await self.asked(_close(channel))

    @asynccontextmanager
    async def taking(
        self, queue: str, *, prefetch: int, arguments: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Inlet]:
        """The messages of a queue as they come, never more than `prefetch` that are not acknowledged.

        Raises:
            BrokerUnavailable: also when there is no such queue.
        """
        async with self.channel() as channel:
            inlet = Inlet(self, queue, self._closed)
            channel.close_callbacks.add(inlet.ended)
            await self.asked(channel.set_qos(prefetch_count=prefetch))
            found = await self.asked(channel.get_queue(queue, ensure=False))
            await self.asked(found.consume(inlet.arrived, arguments=dict(arguments or {})))
            yield inlet

    async def _channel(self, *, publisher_confirms: bool) -> AbstractChannel:
        # What no queue takes comes back, which is no success.
        channel = self._connection.channel(publisher_confirms=publisher_confirms, on_return_raises=publisher_confirms)
        await self.asked(_open(channel))
        return channel

    async def asked(self, question: Coroutine[Any, Any, T]) -> T:
        """The answer.

        Raises:
            BrokerUnavailable: it is a refusal, does not come, or the connection is lost.
        """
        return await asking.asked(question, closed=self._closed, timeout_s=ANSWER_TIMEOUT_S, translated=translated)


class Inlet:
    """What has come to us from a queue and was not taken yet. Made by `Connection.taking`."""

    def __init__(self, connection: Connection, queue: str, closed: asyncio.Future[None]) -> None:
        self._connection = connection
        self._queue = queue
        self._closed = closed
        self._ended = False
        self._waiting: deque[AbstractIncomingMessage] = deque()
        self._arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def arrived(self, message: AbstractIncomingMessage) -> None:
        """A message has come."""
        self._waiting.append(message)
        self._wake()

    def ended(self, *_: object) -> None:
        """The server has closed the channel, so nothing more comes."""
        self._ended = True
        self._wake()

    async def take(self, limit: int, *, max_bytes: int, wait_s: float) -> list[AbstractIncomingMessage]:
        """Up to `limit` messages as soon as there is one; none after `wait_s`.

        Raises:
            BrokerUnavailable: the connection is lost, or the queue.
        """
        if not self._waiting and not self._ended:
            self._arrival = asyncio.get_running_loop().create_future()
            either = [self._arrival, self._closed]
            if not (await asyncio.wait(either, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED))[0]:
                # A queue that is deleted takes its consumers with it, and the client tells nobody.
                if await self._connection.count(self._queue) is None:
                    raise BrokerUnavailable(f"The queue {self._queue} is no more.")
                return []
        if self._closed.done() or self._ended:
            raise BrokerUnavailable
        taken = [self._waiting.popleft()]
        size = len(taken[0].body)
        while self._waiting and len(taken) < limit and size + len(self._waiting[0].body) <= max_bytes:
            taken.append(self._waiting.popleft())
            size += len(taken[-1].body)
        return taken

    def _wake(self) -> None:
        if not self._arrival.done():
            self._arrival.set_result(None)


async def acknowledge_through(messages: Sequence[AbstractIncomingMessage]) -> None:
    """Acknowledge the last of these, and all that has come before it from the same inlet, by one word to the server.

    It takes that for as many acknowledgements as there are messages, also when it counts what it may send of a stream.

    Raises:
        BrokerUnavailable: the connection is lost, or the queue.
    """
    for last in messages[-1:]:
        with translated():
            await last.ack(multiple=True)


def headers_of(message: AbstractIncomingMessage) -> dict[str, str]:
    """What the sender has said of a message, with its content type by the name that HTTP has for it."""
    said = {name: value for name, value in message.headers.items() if isinstance(value, str)}
    return said if message.content_type is None else {"content-type": message.content_type, **said}


def numbers_of(message: AbstractIncomingMessage, name: str) -> list[int]:
    """All numbers that a message has under this name: where RabbitMQ has set one, its sender may have set others."""
    found = message.headers.get(name)
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, int)]


def log_name(topic: Topic) -> str:
    """The stream that keeps what was published to a topic."""
    return f"{topic.address}.log"


def _encoded(message: Message) -> aio_pika.Message:
    """What goes to a queue says itself in its headers what it is."""
    return aio_pika.Message(
        message.body,
        content_type=None if message.topic.queue else CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=message.id,
        type=message.type,
        headers=dict(message.headers),
    )


async def _open(channel: AbstractChannel) -> None:
    _ = await channel


async def _close(channel: AbstractChannel) -> None:
    await channel.close()


async def _all(tasks: Sequence[asyncio.Task[Any]]) -> list[BaseException | None]:
    """How each of them ended: with an error, or well. Left in between, none of them goes on."""
    try:
        results = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for task in tasks:
            task.cancel()
    return [_failure(result) for result in results]


def _failure(result: object) -> BaseException | None:
    if isinstance(result, asyncio.CancelledError):
        return BrokerUnavailable()
    return result if isinstance(result, BaseException) else None


def _is_refusal(error: BaseException | None) -> bool:
    return isinstance(error, DeliveryError) and isinstance(error.frame, Basic.Nack)
