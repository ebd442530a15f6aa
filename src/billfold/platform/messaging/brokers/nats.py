"""One connection to NATS JetStream: publishing in atomic batches, requests to its API, and pulling from a consumer.

The client's own reconnecting stays off. It would buffer what is published while the server is away, half a batch
perhaps, and send it later. Here a lost connection ends everything that uses it with BrokerUnavailable; whoever works in
a loop connects anew, and says again what was not acknowledged. Which streams and consumers there are is in `streams`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from billfold.kernel import errors

T = TypeVar("T")
log = structlog.get_logger(__name__)

CONNECT_TIMEOUT_S = 5
#: An acknowledgement is a few milliseconds away, on a slow disk tens. After this the server is not well.
ANSWER_TIMEOUT_S = 5.0
#: A connection that died without a word is noticed after about three of these.
PING_INTERVAL_S = 5
#: JetStream takes no larger atomic batch.
BATCH_MAX = 1_000
#: The server keeps a batch aside until it is whole; its memory is not ours to fill.
BATCH_MAX_BYTES = 4 * 1024 * 1024
#: Fewer than this are stored one by one sooner than as an atomic batch.
ONE_BY_ONE_MAX = 8
#: For an atomic batch the server makes and deletes a store on its disk, as much work as some thirty single messages
#: (measured: 2.7 ms of processor time against 0.1 ms for each single one, and 5 ms until it answers against 0.25 ms).
PIPELINE_MAX = 24
#: What the headers of a message of ours may take.
HEADERS_MAX_BYTES = 4_096
#: JetStream's errors for a batch with a message id that it has stored lately, and for a message that is not
#: right after the one before it.
_NOT_AS_EXPECTED = frozenset({10201, 10070})
#: What a client holds before it waits for the socket: more than a batch, so that a batch goes out in one piece.
_PENDING_BYTES = 2 * BATCH_MAX_BYTES
#: How an open pull request ends in good order: no messages, time over, and the limit of bytes reached. A server that
#: shuts down says 409 too; the lost connection then tells.
_ORDINARY_ENDS = frozenset({"404", "408", "409"})

#: Mistakes of ours, never of the server's state.
_BUGS = (
    nats.errors.BadHeaderError,
    nats.errors.BadSubjectError,
    nats.errors.BadSubscriptionError,
    nats.errors.InvalidCallbackTypeError,
    nats.errors.MaxPayloadError,
    nats.errors.MsgAlreadyAckdError,
    nats.errors.NotJSMessageError,
)


class BrokerUnavailable(errors.Unavailable):
    """The message broker can't be reached now, or does not take messages."""

    code = "broker_unavailable"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where a NATS server or cluster is, and who we are there. `url` may name several, separated by commas."""

    url: str
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Server(user={self.user!r})"


#: What a consumer is given, as the client library has it: `data`, `headers`, `subject` and `metadata`.
Received = Msg


class Message(msgspec.Struct, frozen=True):
    """What is published. A message whose `id` the stream has seen in the last minutes is acknowledged and dropped."""

    subject: str
    id: str
    body: bytes


class ApiError(msgspec.Struct, frozen=True):
    """JetStream's own description of a refusal."""

    code: int
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct, frozen=True):
    error: ApiError | None = None


class JetStreamRefused(BrokerUnavailable):
    """JetStream answered with an error."""

    code = "jetstream_refused"

    def __init__(self, error: ApiError, what: str) -> None:
        super().__init__(f"JetStream refused {what}: {error.description} ({error.err_code}).")
        self.error = error


@contextmanager
def translated() -> Iterator[None]:
    """Turn the client's errors about lost connections and missing answers into BrokerUnavailable."""
    try:
        yield
    except _BUGS:
        raise
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise BrokerUnavailable(f"The message broker can't be used now: {error or type(error).__name__}") from error


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
                    pending_size=_PENDING_BYTES,
                    closed_cb=on_closed,
                    error_cb=on_error,
                )
        replies = _Replies(client.new_inbox())
        with translated():
            await client.subscribe(f"{replies.inbox}.*", cb=replies.arrived)
        yield Broker(client, closed, replies)
    finally:
        # Whatever goes wrong in closing, the connection is of no more use; what ends the block must not be covered up.
        with suppress(nats.errors.Error, OSError, TimeoutError):
            await client.close()


class Broker:
    """A live connection. Made by `connected`."""

    def __init__(self, client: Client, closed: asyncio.Future[None], replies: _Replies) -> None:
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
        for batch in _batches(messages):
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
                reply = subject if place >= unanswered else ""
                await self._client.publish(message.subject, message.body, reply=reply, headers=header)
        for body in await self._asked(answers):
            error = _decoded(body, _Answer).error
            if error is not None:
                raise JetStreamRefused(error, f"a message on {messages[-1].subject}")

    async def api(self, call: str, body: dict[str, Any], form: type[T]) -> T:
        """What JetStream answers to `$JS.API.<call>`.

        Raises:
            JetStreamRefused: it answered with an error.
            BrokerUnavailable: it did not answer.
        """
        answer = await self._asked(
            self._client.request(f"$JS.API.{call}", msgspec.json.encode(body), timeout=ANSWER_TIMEOUT_S)
        )
        error = _decoded(answer.data, _Answer).error
        if error is not None:
            raise JetStreamRefused(error, call)
        return _decoded(answer.data, form)

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
        task = asyncio.ensure_future(answer)
        either: list[asyncio.Future[Any]] = [task, self._closed]
        try:
            await asyncio.wait(either, timeout=ANSWER_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() or task.cancelled():
                raise BrokerUnavailable
            with translated():
                return task.result()
        finally:
            task.cancel()


class _Replies:
    """Collects the answers to what was published, one exchange after the other."""

    def __init__(self, inbox: str) -> None:
        self.inbox = inbox
        self._number = 0
        self._wanted = 0
        self._bodies: list[bytes] = []
        self._complete: asyncio.Future[list[bytes]] | None = None

    def awaited(self, count: int) -> tuple[str, asyncio.Future[list[bytes]]]:
        """Where `count` answers are to go, and what they will be."""
        # A new subject each time: what answers an exchange that was given up must not be taken for an answer to this.
        self._number += 1
        self._wanted = count
        self._bodies = []
        self._complete = asyncio.get_running_loop().create_future()
        return f"{self.inbox}.{self._number}", self._complete

    async def arrived(self, message: Msg) -> None:
        """Take an answer."""
        if not message.subject.endswith(f".{self._number}") or self._complete is None or self._complete.done():
            return
        if message.headers and message.headers.get("Status") == "503":
            self._complete.set_exception(BrokerUnavailable("No stream takes what was published."))
            return
        self._bodies.append(message.data)
        if len(self._bodies) == self._wanted:
            self._complete.set_result(self._bodies)


class Pull:
    """Takes messages from one pull consumer, by one request to the server at a time: what arrives is bounded by it."""

    def __init__(self, client: Client, closed: asyncio.Future[None], subject: str) -> None:
        self.inbox = client.new_inbox()
        self._client = client
        self._closed = closed
        self._subject = subject
        self._arrived: deque[Msg] = deque()
        self._wake = asyncio.Event()
        #: How many messages the server may still send for the open request.
        self._open = 0
        self._ended: BrokerUnavailable | None = None
        closed.add_done_callback(lambda _: self._wake.set())

    async def received(self, message: Msg) -> None:
        """Take what the server sends: a message, or the end of the open request."""
        if message.reply.startswith("$JS.ACK."):
            # Only JetStream gives this reply subject, whatever headers a sender may have made up.
            self._open -= 1
            self._arrived.append(message)
        else:
            self._open = 0
            status = (message.headers or {}).get("Status", "")
            if status not in _ORDINARY_ENDS:
                self._ended = BrokerUnavailable(f"The pull request ended with {status} {message.headers}.")
        self._wake.set()

    async def fetch(self, limit: int, *, max_bytes: int, wait_s: float) -> list[Msg]:
        """Up to `limit` messages as soon as there is one; none after `wait_s`.

        Raises:
            BrokerUnavailable: the connection is lost.
        """
        deadline = asyncio.get_running_loop().time() + wait_s
        while not self._arrived:
            if self._closed.done() or self._ended:
                raise self._ended or BrokerUnavailable
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                return []
            if self._open <= 0:
                await self._ask(limit, max_bytes, wait_s)
            self._wake.clear()
            try:
                async with asyncio.timeout(left_s):
                    await self._wake.wait()
            except TimeoutError:
                return []
        # What the server sends in one go is read in one go; this lets the rest of it come in.
        await asyncio.sleep(0)
        return [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]

    def rest(self) -> list[Msg]:
        """What has arrived and was not fetched; all of it, once pulling has ended."""
        rest = list(self._arrived)
        self._arrived.clear()
        return rest

    async def _ask(self, limit: int, max_bytes: int, wait_s: float) -> None:
        request = {
            "batch": limit,
            # A single message must always fit, or nothing would ever come.
            "max_bytes": max(max_bytes, 2 * self._client.max_payload),
            "expires": int(wait_s * 1_000_000_000),
        }
        self._open = limit
        with translated():
            await self._client.publish(self._subject, msgspec.json.encode(request), reply=self.inbox)


def _batches(messages: Sequence[Message]) -> Iterator[list[Message]]:
    batch: list[Message] = []
    size = 0
    for message in messages:
        if batch and (len(batch) == BATCH_MAX or size + len(message.body) > BATCH_MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += len(message.body)
    if batch:
        yield batch


def _decoded(body: bytes, form: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokerUnavailable(f"The message broker answered something else than was asked: {error}") from error
