"""The JetStream streams and consumers that Billfold uses: their names, subjects and limits, and making them.

A stream that exists keeps the limits that its operator gave it; only what we can't do without is put right.
"""

from __future__ import annotations

from typing import Any

import msgspec

from billfold.kernel import errors
from billfold.platform.messaging import topics
from billfold.platform.messaging.brokers.jetstream import Connection, filters
from billfold.platform.messaging.brokers.receiving import JetStreamRefused
from billfold.platform.messaging.topics import Topic

_STREAM_NOT_FOUND = 10059
_CONSUMER_NOT_FOUND = 10014
#: Atomic batches, which publishing rests on, came with this version.
VERSION_MIN = (2, 12)


class BrokerTooOld(errors.BillfoldError):
    """The NATS server is older than 2.12, which brought atomic batches."""

    code = "broker_too_old"


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """The stream of a topic as we make it where it is missing."""

    name: str
    subject: str
    description: str
    max_age_s: int
    max_messages: int
    #: `old` drops the oldest message when the stream is full, `new` refuses the newest.
    discard: str
    retention: str


#: Where a stream is not called as its topic.
_NAMES = {topics.CONFIRMED.name: "BILLFOLD_CONFIRMED"}


def of(topic: Topic) -> Stream:
    """The stream of `topic`."""
    (subject,) = filters(topic, ())
    return Stream(
        name=_NAMES.get(topic.name) or topic.address.upper().replace(".", "_").replace("-", "_"),
        subject=subject,
        description=topic.description,
        max_age_s=topic.max_age_s,
        max_messages=topic.max_messages,
        discard="new" if topic.queue else "old",
        retention="workqueue" if topic.queue else "limits",
    )


class _State(msgspec.Struct, frozen=True):
    last_seq: int = 0


class _Info(msgspec.Struct, frozen=True):
    config: dict[str, Any]
    state: _State = _State()


class _Names(msgspec.Struct, frozen=True):
    streams: list[str] | None = None


class _Named(msgspec.Struct, frozen=True):
    name: str


class ConsumerInfo(msgspec.Struct, frozen=True):
    """How far a consumer is: messages not delivered yet, delivered and not acknowledged, and delivered again."""

    name: str
    num_pending: int = 0
    num_ack_pending: int = 0
    num_redelivered: int = 0


async def ensure(broker: Connection, stream: Stream) -> None:
    """Make `stream`, or see that it is there with its subject and takes atomic batches.

    Raises:
        BrokerTooOld: the server is older than 2.12.
        BrokerUnavailable: JetStream does not answer, or refuses.
    """
    if broker.server_version < VERSION_MIN:
        raise BrokerTooOld
    try:
        info = await broker.api(f"STREAM.INFO.{stream.name}", {}, _Info)
    except JetStreamRefused as refused:
        if refused.error.err_code != _STREAM_NOT_FOUND:
            raise
        await broker.api(f"STREAM.CREATE.{stream.name}", _config(stream), _Info)
        return
    subjects = info.config.get("subjects") or []
    if stream.subject in subjects and info.config.get("allow_atomic"):
        return
    wanted = {**info.config, "allow_atomic": True, "subjects": sorted({*subjects, stream.subject})}
    await broker.api(f"STREAM.UPDATE.{stream.name}", wanted, _Info)


async def stream_of(broker: Connection, stream: Stream) -> str:
    """The name of the stream that already takes `stream.subject`, whoever made it; where none does, `stream` is made.

    Raises:
        BrokerTooOld, BrokerUnavailable: as `ensure`.
    """
    found = await broker.api("STREAM.NAMES", {"subject": stream.subject}, _Names)
    if found.streams:
        return found.streams[0]
    await ensure(broker, stream)
    return stream.name


async def last_sequence(broker: Connection, stream: str) -> int:
    """The number of the last message that the stream has taken; 0 before the first."""
    info = await broker.api(f"STREAM.INFO.{stream}", {}, _Info)
    return info.state.last_seq


async def ensure_consumer(broker: Connection, stream: str, consumer: dict[str, Any]) -> str:
    """Make a pull consumer, or give an existing one of that `durable_name` these settings; returns its name."""
    durable = consumer.get("durable_name")
    call = f"CONSUMER.CREATE.{stream}.{durable}" if durable else f"CONSUMER.CREATE.{stream}"
    made = await broker.api(call, {"stream_name": stream, "config": consumer}, _Named)
    return made.name


async def consumer_info(broker: Connection, stream: str, consumer: str) -> ConsumerInfo | None:
    """How far a consumer is, or None when there is none."""
    try:
        return await broker.api(f"CONSUMER.INFO.{stream}.{consumer}", {}, ConsumerInfo)
    except JetStreamRefused as refused:
        if refused.error.err_code in {_CONSUMER_NOT_FOUND, _STREAM_NOT_FOUND}:
            return None
        raise


def _config(stream: Stream) -> dict[str, Any]:
    return {
        "name": stream.name,
        "subjects": [stream.subject],
        "description": stream.description,
        "retention": stream.retention,
        "storage": "file",
        "discard": stream.discard,
        "max_age": stream.max_age_s * 1_000_000_000,
        "max_msgs": stream.max_messages,
        "max_bytes": -1,
        "max_consumers": -1,
        "max_msg_size": -1,
        "max_msgs_per_subject": -1,
        "num_replicas": 1,
        "duplicate_window": 120 * 1_000_000_000,
        "allow_atomic": True,
        "allow_direct": True,
    }
