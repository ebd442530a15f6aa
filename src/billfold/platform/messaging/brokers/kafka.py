"""Apache Kafka as a broker: connections, and what the port asks of one.

Events are published with acks=all by an idempotent producer: what Kafka has acknowledged is on as many replicas as the
topic asks for, and a retry of the client's own stores nothing twice. Kafka remembers no ids across producers, so what a
relay publishes again after a crash is there again; consumers know it by its source and id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ConsumerStoppedError,
    GroupLoadInProgressError,
    IllegalOperation,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.helpers import create_ssl_context
from aiokafka.structs import OffsetAndMetadata

from billfold.platform.messaging.brokers import asking
from billfold.platform.messaging.brokers.kafka_group import (
    ISOLATION,
    Committed,
    GroupHand,
    delivery_of,
    group_of,
    joined,
)
from billfold.platform.messaging.brokers.kafka_records import Unreadable
from billfold.platform.messaging.cloudevents import CONTENT_TYPE
from billfold.platform.messaging.port import (
    Backlog,
    Bookmark,
    BrokerUnavailable,
    Delivery,
    Message,
    MessageTooLarge,
    MessageUnreadable,
    Subscription,
    selects,
)
from billfold.platform.messaging.topics import Topic

#: Any request is answered in milliseconds; after this a server is not well. Nothing is sent any more so long after it
#: was given up.
REQUEST_TIMEOUT_S = 5.0
#: A client that can't say farewell in good order is cut off.
CLOSE_TIMEOUT_S = 8.0
#: A topic that was made is not known to all at once.
CREATED_PAUSE_S = 0.05
#: Kafka's own default for a message, with its headers and the batch around it, is some bytes more than a mebibyte.
BODY_MAX_BYTES = 1_000_000
REQUEST_MAX_BYTES = 1_048_576
#: Records that go out together; a record that is larger goes alone.
BATCH_MAX_BYTES = 900_000
#: What Kafka stores with a record at most, and with each of its headers: their sizes, and what a batch begins with.
_RECORD_BYTES, _HEADER_BYTES = 100, 10
#: What a reader along is sent at a time, and how often it looks.
TAIL_MAX = 500
TAIL_WAIT_S = 0.5

log = structlog.get_logger(__name__)

# It tells each attempt to reach a lost server as an error; what that means for us is told by whoever meets it.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """Where a Kafka cluster is, who we are there, and how topics are made that are missing."""

    #: Some of its servers, host:port, separated by commas.
    servers: str
    user: str | None = None
    password: str | None = None
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    tls: bool = False
    #: The certificates to trust, when the system's are not to be.
    tls_ca: Path | None = None
    partitions: int = 6
    replicas: int = 1

    def __repr__(self) -> str:
        return f"Cluster(servers={self.servers!r}, user={self.user!r})"

    def connected(self, *, name: str) -> AbstractAsyncContextManager[Broker]:
        """As Messaging.connected."""
        return _connected(self, name)

    def options(self, name: str) -> dict[str, Any]:
        """What every client of it is made with."""
        sasl = "" if self.user is None else "SASL_"
        found: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in self.servers.split(",")],
            "client_id": name.replace(" ", "-"),
            "request_timeout_ms": int(REQUEST_TIMEOUT_S * 1000),
            "security_protocol": sasl + ("SSL" if self.tls else ("PLAINTEXT")),
        }
        if self.user is not None:
            found |= {"sasl_mechanism": self.mechanism, "sasl_plain_username": self.user}
            found |= {"sasl_plain_password": self.password or ""}
        if self.tls:
            found["ssl_context"] = create_ssl_context(cafile=None if self.tls_ca is None else str(self.tls_ca))
        return found


@asynccontextmanager
async def _connected(cluster: Cluster, name: str) -> AsyncIterator[Broker]:
    async with AsyncExitStack() as clients:
        admin = AIOKafkaAdminClient(**cluster.options(name))
        clients.push_async_callback(_closed, admin.close)
        with translated():
            await admin.start()
        yield Broker(cluster, name, admin, clients)


class Broker:
    """The port of the clients that are needed, which are made when they are. Made by Cluster.connected."""

    def __init__(self, cluster: Cluster, name: str, admin: AIOKafkaAdminClient, clients: AsyncExitStack) -> None:
        self._cluster = cluster
        self._options = cluster.options(name)
        self._admin = admin
        self._clients = clients
        self._producer: AIOKafkaProducer | None = None
        clients.push_async_callback(self._without_producer)
        self._reader: AIOKafkaConsumer | None = None

    @property
    def body_max_bytes(self) -> int:
        """As port.Broker."""
        return BODY_MAX_BYTES

    async def ensure(self, topic: Topic) -> None:
        """As port.Broker.ensure. Kafka keeps what was settled, and counts no messages: what is kept is kept for a time.

        A queue is kept for ever: dropping what is old would lose money that was away for long.
        """
        with translated():
            if topic.address in await self._admin.list_topics():
                return
            wanted = NewTopic(
                topic.address,
                # Order holds within a partition alone.
                1 if topic.in_order else self._cluster.partitions,
                self._cluster.replicas,
                topic_configs={
                    "retention.ms": str(topic.max_age_s * 1000 or -1),
                    # One server of several may be away and nothing is lost or stopped.
                    "min.insync.replicas": str(max(1, self._cluster.replicas - 1)),
                },
            )
            answer = await self._admin.create_topics([wanted])
            for _, code, *_ in answer.topic_errors:
                error = for_code(code)
                if code and error is not TopicAlreadyExistsError:
                    raise error
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                while topic.address not in await self._admin.list_topics():  # noqa: ASYNC110 - it is a server's.
                    await asyncio.sleep(CREATED_PAUSE_S)

    async def publish(self, messages: Sequence[Message], *, perhaps_repeated: bool = True) -> None:
        """As port.Broker.publish: in order by key. Kafka measures what goes to a partition together.

        So much goes out at a time that no partition gets a second batch before Kafka has taken the first one: when that
        is refused, or its partition has no leader for too long, the client goes on with the second one. Kafka refuses
        it because of the gap only where it has something of this producer already.
        """
        del perhaps_repeated  # There is nothing that it could change.
        try:
            for some in asking.batches(messages, count_max=len(messages), bytes_max=BATCH_MAX_BYTES, size_of=_size):
                await self._stored(some)
        except MessageTooLarge:
            # Its numbers have a gap now, and the partition would refuse whatever it sent behind that.
            await self._without_producer()
            raise

    async def _stored(self, messages: Sequence[Message]) -> None:
        with translated():
            producer = await self._producing()
            sent = [
                await producer.send(
                    message.topic.address,
                    message.body,
                    key=message.key.encode() or None,
                    headers=[(name, value.encode()) for name, value in _headers(message).items()],
                )
                for message in messages
            ]
            # What goes to another partition may be tried for ever, so the first refusal counts.
            await asyncio.gather(*sent)

    @asynccontextmanager
    async def consuming(self, subscription: Subscription) -> AsyncIterator[GroupHand]:
        """As port.Broker.consuming."""
        async with joined(subscription, self._options, self._settled_by(subscription), translated, _stopped) as hand:
            yield hand

    @asynccontextmanager
    async def tailing(
        self, topic: Topic, *, types: tuple[str, ...] = (), bookmark: Bookmark
    ) -> AsyncIterator[AsyncIterator[Delivery]]:
        """As port.Broker.tailing."""
        async with AsyncExitStack() as clients:
            reader = self._reads_along()
            clients.push_async_callback(_stopped, reader)
            with translated():
                await reader.start()
                parts = await self._parts(topic)
                if not bookmark.following:
                    look = reader.beginning_offsets if bookmark.start == "beginning" else reader.end_offsets
                    bookmark.following.update({str(part.partition): at for part, at in (await look(parts)).items()})
                reader.assign(parts)
                for part in parts:
                    reader.seek(part, bookmark.following.setdefault(str(part.partition), 0))
            yield _read(reader, types, bookmark.following)

    async def backlog(self, subscription: Subscription) -> Backlog | None:
        """As port.Broker.backlog. What is in hand counts as waiting, and so do types that were not asked for."""
        with translated():
            parts = await self._parts(subscription.topic)
            settled = await self._settled_by(subscription)(parts)
            if all(settled[part].offset < 0 for part in parts):
                return None
            reader = await self._reading()
            first, end = await reader.beginning_offsets(parts), await reader.end_offsets(parts)
        at = {part: max(first[part], settled[part].offset) for part in parts}
        return Backlog(waiting=sum(max(0, end[part] - at[part]) for part in parts))

    def _settled_by(self, subscription: Subscription) -> Committed:
        async def committed(parts: Sequence[TopicPartition]) -> Mapping[TopicPartition, OffsetAndMetadata]:
            found: Mapping[TopicPartition, OffsetAndMetadata] = await self._admin.list_consumer_group_offsets(
                group_of(subscription), partitions=list(parts)
            )
            if not found.keys() >= {*parts}:
                # Of a server that has just started and still reads how far its groups are the client says nothing.
                raise GroupLoadInProgressError
            return found

        return committed

    async def _parts(self, topic: Topic) -> list[TopicPartition]:
        (found,) = await self._admin.describe_topics([topic.address])
        if error := found["error_code"]:
            raise for_code(error)
        return sorted(TopicPartition(topic.address, part["partition"]) for part in found["partitions"])

    async def _producing(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._options,
                enable_idempotence=True,
                acks="all",
                max_batch_size=BATCH_MAX_BYTES,
                max_request_size=REQUEST_MAX_BYTES,
            )
            self._producer = producer
            await producer.start()
        return self._producer

    async def _without_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _ended(producer)

    def _reads_along(self) -> AIOKafkaConsumer:
        # Where retention has removed what comes next, that is the oldest that is left; the default is the end.
        return AIOKafkaConsumer(
            **self._options, enable_auto_commit=False, auto_offset_reset="earliest", isolation_level=ISOLATION
        )

    async def _reading(self) -> AIOKafkaConsumer:
        if self._reader is None:
            reader = self._reads_along()
            self._clients.push_async_callback(_stopped, reader)
            await reader.start()
            self._reader = reader
        return self._reader


async def _read(reader: AIOKafkaConsumer, types: tuple[str, ...], following: dict[str, int]) -> AsyncIterator[Delivery]:
    while True:
        with translated():
            found = await reader.getmany(timeout_ms=int(TAIL_WAIT_S * 1000), max_records=TAIL_MAX)
        for part, records in found.items():
            if records[0].offset > following[str(part.partition)]:
                await _say_what_is_gone(reader, part, following[str(part.partition)], records[0].offset)
            for record in records:
                delivery = delivery_of(record, deliveries=1)
                following[str(part.partition)] = record.offset + 1
                if not delivery.type or selects(types, delivery.type):
                    yield delivery


async def _say_what_is_gone(reader: AIOKafkaConsumer, part: TopicPartition, following: int, found: int) -> None:
    """Ends of transactions have offsets, too, and so has what was aborted: nobody has missed them."""
    with translated():
        first = await reader.beginning_offsets([part])
    gone = min(first[part], found) - following
    if gone > 0:
        log.warning("a reader has missed what Kafka keeps no more", topic=part.topic, messages=gone)


def _size(message: Message) -> int:
    """What a message takes in a batch at most."""
    headers = sum(_HEADER_BYTES + len(name) + len(value) for name, value in _headers(message).items())
    return _RECORD_BYTES + len(message.key.encode()) + len(message.body) + headers


def _headers(message: Message) -> Mapping[str, str]:
    """The type stands there too, so that who wants few of them need not read them all."""
    if message.topic.queue:
        return message.headers
    return {"content-type": CONTENT_TYPE, "ce_type": message.type, **message.headers}


@contextmanager
def translated() -> Iterator[None]:
    """Turn the client's errors into BrokerUnavailable."""
    try:
        yield
    except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
        raise MessageTooLarge("Kafka refused it: it is larger than the topic's max.message.bytes.") from error
    except Unreadable as error:
        raise MessageUnreadable(f"Kafka has messages that can't be read: {error.args[0]}.") from error
    except (KafkaError, ConsumerStoppedError, IllegalOperation, OSError, TimeoutError) as error:
        raise BrokerUnavailable(f"The message broker can't be used now: {error or type(error).__name__}") from error


class _Close(Protocol):
    async def __call__(self) -> None: ...


async def _closed(close: _Close) -> None:
    """Whatever goes wrong in closing, the connection is of no more use; what ends the block must not be covered up."""
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await asking.closed_for_good(close)


async def _stopped(consumer: AIOKafkaConsumer) -> None:
    """What fails on the way leaves no connection behind."""
    try:
        await _closed(consumer.stop)
    finally:
        await _closed(consumer._client.close)  # noqa: SLF001 - `stop` comes to it last.


async def _ended(producer: AIOKafkaProducer) -> None:
    """What it has not sent by now it must never send: others say it again."""
    sender = producer._sender  # noqa: SLF001 - `stop` would first send what is left, for as long as that takes.
    with suppress(KafkaError, OSError, TimeoutError, asyncio.CancelledError):
        await sender.close()
    await _closed(producer.stop)
