"""Reading a topic's log, which is a RabbitMQ stream: from a number on, and for a subscription from its place on.

RabbitMQ keeps no place for readers of a stream that speak AMQP, so we keep it there ourselves: in a quorum queue that
holds one message, the last place. Messages that are not of the wanted types are left out here.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import structlog
from aio_pika.abc import AbstractIncomingMessage

from billfold.platform.messaging.brokers.amqp import (
    ANSWER_TIMEOUT_S,
    BODY_MAX_BYTES,
    Connection,
    Inlet,
    acknowledge_through,
    headers_of,
    log_name,
    numbers_of,
)
from billfold.platform.messaging.port import Backlog, Bookmark, BrokerUnavailable, Delivery, Subscription, selects
from billfold.platform.messaging.topics import Topic

log = structlog.get_logger(__name__)

#: What RabbitMQ sends ahead. It counts messages and not bytes, so this bounds what is in memory.
PREFETCH = 200
#: What a tail hands on before it acknowledges it. Meanwhile the other half of what was sent ahead comes in.
_BATCH = PREFETCH // 2
TAIL_WAIT_S = 5.0
_OFFSET = "x-stream-offset"


class Place(msgspec.Struct, frozen=True):
    """How far a subscription has settled."""

    #: The number of the next message.
    next: int = 0
    #: How often reading has begun with it.
    comings: int = 0
    #: Number and id of a message before it. Where another has that number, the log is not the one that we have read.
    known: tuple[int, str] | None = None


class Hand:
    """As port.Consumption, of a log."""

    def __init__(self, connection: Connection, subscription: Subscription, inlet: Inlet, place: Place) -> None:
        self._connection = connection
        self._subscription = subscription
        self._inlet = inlet
        self._place = place
        #: How often what is delivered now has come.
        self._comings = place.comings + 1
        self._begun = False
        #: The last message that was read, as Place.known, and the number after it.
        self._last = place.known
        self._reached = place.next
        self._unsettled: set[int] = set()

    async def fetch(self, limit: int, *, max_bytes: int, wait_s: float) -> list[Delivery]:
        """As Consumption.fetch."""
        deadline = asyncio.get_running_loop().time() + wait_s
        while (left_s := deadline - asyncio.get_running_loop().time()) > 0:
            messages = await self._inlet.take(limit, max_bytes=max_bytes, wait_s=left_s)
            await acknowledge_through(messages)
            deliveries = [self._taken(message) for message in messages if offset_of(message) >= self._reached]
            wanted = [one for one in deliveries if self._wants(one)]
            if wanted:
                self._unsettled.update(one.sequence for one in wanted)
                await self._begin()
                return wanted
        if not self._unsettled and self._reached > self._place.next:
            # Nothing of what has come meanwhile was wanted.
            await self._note(Place(self._reached, known=self._last))
        return []

    async def settle(self, deliveries: Sequence[Delivery]) -> None:
        """As Consumption.settle."""
        self._unsettled.difference_update(one.sequence for one in deliveries)
        self._comings = 1
        if not self._unsettled:
            await self._note(Place(self._reached, known=self._last))
            return
        following = min(self._unsettled)
        known = max(
            ((one.sequence, str(one.receipt)) for one in deliveries if one.sequence < following),
            default=self._place.known,
        )
        await self._note(Place(following, comings=1, known=known))

    async def _begin(self) -> None:
        """Note that reading has begun here once more, before anything that might end the process."""
        if not self._begun:
            self._begun = True
            await self._note(Place(self._place.next, self._comings, self._place.known))

    async def _note(self, place: Place) -> None:
        await self._connection.put(place_name(self._subscription), msgspec.json.encode(place))
        self._place = place

    def _taken(self, message: AbstractIncomingMessage) -> Delivery:
        delivery = delivery_of(self._subscription.topic, message, comings=self._comings)
        self._last = (delivery.sequence, str(delivery.receipt))
        self._reached = delivery.sequence + 1
        return delivery

    def _wants(self, delivery: Delivery) -> bool:
        return not _is_mark(delivery) and selects(self._subscription.types, delivery.type)


@asynccontextmanager
async def holding(connection: Connection, subscription: Subscription) -> AsyncIterator[Hand]:
    """The messages of a subscription until the block ends. What is in hand then comes again: nothing is given back."""
    await connection.declare(place_name(subscription), _PLACE)
    place = await place_of(connection, subscription)
    if not await _holds(connection, subscription.topic, place):
        log.warning("a log was made anew, and is read from its beginning", log=log_name(subscription.topic))
        place = Place()
    async with connection.taking(
        log_name(subscription.topic), prefetch=PREFETCH, arguments={_OFFSET: place.next or "first"}
    ) as inlet:
        yield Hand(connection, subscription, inlet, place)


@asynccontextmanager
async def tailing(
    connection: Connection, topic: Topic, types: tuple[str, ...], bookmark: Bookmark
) -> AsyncIterator[AsyncIterator[Delivery]]:
    """As port.Broker.tailing."""
    name = log_name(topic)
    if not bookmark.following:
        bookmark.following[name] = 0 if bookmark.start == "beginning" else await _marked(connection, name)
    begin = bookmark.following[name] or "first"
    async with connection.taking(name, prefetch=PREFETCH, arguments={_OFFSET: begin}) as inlet:
        yield _read(inlet, topic, types, bookmark.following)


async def backlog(connection: Connection, subscription: Subscription) -> Backlog | None:
    """As port.Broker.backlog, as it was some seconds ago. What is not of the wanted types is counted too."""
    if await connection.count(place_name(subscription)) is None:
        return None
    place = await place_of(connection, subscription)
    name = log_name(subscription.topic)
    count = await connection.count(name)
    first = await _message_from(connection, name, "first") if count else None
    end = 0 if first is None else offset_of(first) + (count or 0)
    return Backlog(waiting=max(0, end - place.next))


async def _holds(connection: Connection, topic: Topic, place: Place) -> bool:
    """Whether the log is the one to which a place belongs. What came before it may have become too old."""
    if place.known is None:
        return True
    number, _ = place.known
    found = await _message_from(connection, log_name(topic), number)
    return found is not None and (offset_of(found) > number or (number, str(found.message_id)) == place.known)


async def _marked(connection: Connection, name: str) -> int:
    """The number after a message that is put into the log for this: RabbitMQ does not tell where a stream ends."""
    mark = uuid.uuid4().hex.encode()
    await connection.put(name, mark)
    async with connection.taking(name, prefetch=PREFETCH, arguments={_OFFSET: "last"}) as inlet:
        while messages := await inlet.take(PREFETCH, max_bytes=PREFETCH * BODY_MAX_BYTES, wait_s=ANSWER_TIMEOUT_S):
            for message in messages:
                if message.body == mark:
                    return offset_of(message) + 1
            await acknowledge_through(messages)
    raise BrokerUnavailable(f"The stream {name} does not give what it has confirmed.")


async def _message_from(connection: Connection, name: str, offset: int | str) -> AbstractIncomingMessage | None:
    """The first message of a log from there on; None when there is none."""
    async with connection.taking(name, prefetch=1, arguments={_OFFSET: offset}) as inlet:
        found = await inlet.take(1, max_bytes=BODY_MAX_BYTES, wait_s=ANSWER_TIMEOUT_S)
    return found[0] if found else None


def place_name(subscription: Subscription) -> str:
    """The queue that keeps the place of a subscription."""
    return f"{subscription.topic.address}.{subscription.name}.place"


def offset_of(message: AbstractIncomingMessage) -> int:
    """The number of a message in its stream. Too small a one that its sender claims costs us that message alone."""
    found = numbers_of(message, _OFFSET)
    assert found, "RabbitMQ numbers what it reads from a stream, whatever else is said there"
    return min(found)


def delivery_of(topic: Topic, message: AbstractIncomingMessage, *, comings: int = 1) -> Delivery:
    """What a message of a log is for the port."""
    return Delivery(
        type=message.routing_key or "",
        headers=headers_of(message),
        body=message.body,
        subject=log_name(topic),
        sequence=offset_of(message),
        deliveries=comings,
        receipt=message.message_id,
    )


def _is_mark(delivery: Delivery) -> bool:
    """Whether it was put right into the log, past the exchange: see `_marked`."""
    return delivery.type == delivery.subject


#: One message: the newest. What RabbitMQ counts of deliveries is of no interest here, and must never remove it.
_PLACE = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "drop-head", "x-delivery-limit": 1_000_000_000}


async def place_of(connection: Connection, subscription: Subscription) -> Place:
    """The place of a subscription; the beginning when it has none yet."""
    found = [Place()]
    async with connection.channel() as channel:
        queue = await connection.asked(channel.get_queue(place_name(subscription), ensure=False))
        # Closing the channel puts it back. A process that was killed in between may have left the one before it too.
        while (message := await connection.asked(queue.get(fail=False))) is not None:
            found.append(msgspec.json.decode(message.body, type=Place))
    return max(found, key=lambda place: (place.next, place.comings))


async def _read(
    inlet: Inlet, topic: Topic, types: tuple[str, ...], following: dict[str, int]
) -> AsyncIterator[Delivery]:
    name = log_name(topic)
    while True:
        messages = await inlet.take(_BATCH, max_bytes=_BATCH * BODY_MAX_BYTES, wait_s=TAIL_WAIT_S)
        for message in messages:
            delivery = delivery_of(topic, message)
            if delivery.sequence >= following[name]:
                following[name] = delivery.sequence + 1
                if not _is_mark(delivery) and selects(types, delivery.type):
                    yield delivery
        await acknowledge_through(messages)
