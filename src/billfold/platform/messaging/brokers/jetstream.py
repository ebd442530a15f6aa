"""One connection to NATS JetStream: publishing in atomic batches, requests to its API, and pulling from a consumer.

How connections are made, and what the port wants of them, is in `nats`; which streams there are is in `streams`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import msgspec
import nats.errors
from nats.aio.client import Client

from billfold.platform.messaging.brokers import asking
from billfold.platform.messaging.brokers.receiving import (
    Answer,
    JetStreamRefused,
    Pull,
    Replies,
    decoded,
    refusal,
    translated,
)
from billfold.platform.messaging.port import Message
from billfold.platform.messaging.topics import Topic

T = TypeVar("T")
CONNECT_TIMEOUT_S = 5
#: An acknowledgement is a few milliseconds away, on a slow disk tens. After this the server is not well.
ANSWER_TIMEOUT_S = 5.0
#: JetStream takes no larger atomic batch.
BATCH_MAX = 1_000
#: The server keeps a batch aside until it is whole; its memory is not ours to fill.
BATCH_MAX_BYTES = 4 * 1024 * 1024
#: Fewer than this are stored one by one sooner than as an atomic batch.
ONE_BY_ONE_MAX = 8
#: For an atomic batch the server makes and deletes a store on its disk, as much work as some fifteen single messages,
#: each of which it writes to the disk by itself (measured with sync_interval always: 1.4 ms of processor time and
#: 3.5 ms until it answers, and 0.013 and 0.02 ms a message, against 0.1 and 0.28 ms for each single one).
PIPELINE_MAX = 12
#: What the headers of a message of ours may take.
HEADERS_MAX_BYTES = 4_096
#: JetStream's errors for a batch with a message id that it has stored lately, for a message that is not right after the
#: one before it, and for a batch of which it has refused a message, whose own error it does not tell.
_NOT_AS_EXPECTED = frozenset({10201, 10070, 10176})
#: What a client holds before it waits for the socket: more than a batch, so that a batch goes out in one piece.
PENDING_BYTES = 2 * BATCH_MAX_BYTES


class Connection:
    """A live connection, used for one thing after the other."""

    def __init__(self, client: Client, closed: asyncio.Future[None], replies: Replies) -> None:
        self._client = client
        self._closed = closed
        self._replies = replies

    @property
    def body_max_bytes(self) -> int:
        """The largest body that the server takes."""
        return self._client.max_payload - HEADERS_MAX_BYTES

    @property
    def server_version(self) -> tuple[int, int]:
        """Major and minor version of the server."""
        version = self._client.connected_server_version
        return version.major, version.minor

    async def publish(self, messages: Sequence[Message], *, perhaps_repeated: bool = True) -> None:
        """Publish to one stream, in order. When this returns, all of them are stored durably and in that order.

        `perhaps_repeated` is False only when none of them can have been published before, and nobody else publishes
        them now: small numbers then go out without waiting for one another.

        Raises:
            BrokerUnavailable: some of them may have been stored: publish the same again, with the same ids.
        """
        for batch in asking.batches(messages, count_max=BATCH_MAX, bytes_max=BATCH_MAX_BYTES):
            try:
                if len(batch) <= ONE_BY_ONE_MAX and perhaps_repeated:
                    await self._one_by_one(batch)
                elif len(batch) <= PIPELINE_MAX and not perhaps_repeated:
                    await self._pipelined(batch)
                else:
                    await self._at_once(batch)
            except JetStreamRefused as refused:
                if refused.error.err_code not in _NOT_AS_EXPECTED:
                    raise
                await self._one_by_one(batch)

    async def _one_by_one(self, messages: Sequence[Message]) -> None:
        """Each after the one before it has been stored, or dropped as a repeat."""
        for message in messages:
            await self._exchange([message], [{}], answered=1)

    async def _pipelined(self, messages: Sequence[Message]) -> None:
        """Each right after the one before it, without waiting: if one fails, so do the rest."""
        headers = [{}, *({"Nats-Expected-Last-Msg-Id": before.id} for before in messages[:-1])]
        await self._exchange(messages, headers, answered=len(messages))

    async def _at_once(self, messages: Sequence[Message]) -> None:
        batch = uuid.uuid4().hex
        numbers = range(1, len(messages) + 1)
        headers = [{"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)} for number in numbers]
        headers[-1]["Nats-Batch-Commit"] = "1"
        await self._exchange(messages, headers, answered=1)

    async def _exchange(self, messages: Sequence[Message], headers: list[dict[str, str]], *, answered: int) -> None:
        """Send messages, the last `answered` of which JetStream answers, and take its answers."""
        subject, answers = self._replies.awaited(answered)
        unanswered = len(messages) - answered
        with translated():
            for place, (message, header) in enumerate(zip(messages, headers, strict=True)):
                header["Nats-Msg-Id"] = message.id
                header.update(message.headers)
                reply = subject if place >= unanswered else ""
                await self._client.publish(subject_of(message), message.body, reply=reply, headers=header)
        for body in await self._asked(answers):
            error = decoded(body, Answer).error
            if error is not None:
                raise refusal(error, f"a message on {subject_of(messages[-1])}")

    async def api(self, call: str, body: dict[str, Any], form: type[T]) -> T:
        """What JetStream answers to `$JS.API.<call>`.

        Raises:
            JetStreamRefused: it answered with an error.
            BrokerUnavailable: it did not answer.
        """
        answer = await self._asked(
            self._client.request(f"$JS.API.{call}", msgspec.json.encode(body), timeout=ANSWER_TIMEOUT_S)
        )
        error = decoded(answer.data, Answer).error
        if error is not None:
            raise JetStreamRefused(error, call)
        return decoded(answer.data, form)

    async def send(self, subject: str, body: bytes) -> None:
        """Send without waiting for anything, as acknowledgements of deliveries are.

        Raises:
            BrokerUnavailable: the connection is lost.
        """
        with translated():
            await self._client.publish(subject, body)

    async def flush(self) -> None:
        """Return when the server has got all that was sent.

        Raises:
            BrokerUnavailable: the connection is lost.
        """
        await self._asked(self._client.flush(timeout=CONNECT_TIMEOUT_S))

    @asynccontextmanager
    async def pulling(self, stream: str, consumer: str) -> AsyncIterator[Pull]:
        """Messages of a pull consumer, until the block ends."""
        pull = Pull(self._client, self._closed, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}")
        with translated():
            subscription = await self._client.subscribe(pull.inbox, cb=pull.received)
        try:
            yield pull
        finally:
            # Only now does the server know that we take no more. What it had sent by then still arrives.
            with suppress(nats.errors.Error, OSError):
                await subscription.drain()  # type: ignore[no-untyped-call]

    async def _asked(self, answer: Awaitable[T]) -> T:
        """The answer, or BrokerUnavailable when it does not come, or as soon as the connection is lost."""
        return await asking.asked(answer, closed=self._closed, timeout_s=ANSWER_TIMEOUT_S, translated=translated)


def subject_of(message: Message) -> str:
    """The subject ends with the type, so that NATS can filter by it. What a queue holds is all of one kind."""
    return message.topic.address if message.topic.queue else f"{message.topic.address}.{message.type}"


def filters(topic: Topic, types: Sequence[str]) -> list[str]:
    """The subjects of these types. None covers another, which JetStream would refuse."""
    if topic.queue:
        return [topic.address]
    if not types:
        return [topic.address + ".>"]
    widest = [
        wanted
        for wanted in dict.fromkeys(types)
        if not any(other.endswith(".") and wanted.startswith(other) and wanted != other for other in types)
    ]
    return [f"{topic.address}.{wanted}>" if wanted.endswith(".") else f"{topic.address}.{wanted}" for wanted in widest]
