"""What comes from NATS: its refusals, its answers to what was published, and the messages that were asked for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from billfold.platform.messaging.port import BrokerUnavailable, MessageTooLarge, TopicFull

T = TypeVar("T")

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


#: How JetStream tells that a message was not stored, for whatever reason.
_NOT_STORED = 10077
#: Messages, or bytes, exceeded.
_FULL = "maximum "
#: The message is larger than the stream's max_msg_size.
_TOO_LARGE = 10054


class ApiError(msgspec.Struct, frozen=True):
    """JetStream's own description of a refusal."""

    code: int
    err_code: int = 0
    description: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What JetStream says of a message or a request; all is well without an error."""

    error: ApiError | None = None


class JetStreamRefused(BrokerUnavailable):
    """JetStream answered with an error."""

    code = "jetstream_refused"

    def __init__(self, error: ApiError, what: str) -> None:
        super().__init__(f"JetStream refused {what}: {error.description} ({error.err_code}).")
        self.error = error


def refusal(error: ApiError, what: str) -> BrokerUnavailable:
    """JetStream's error as one of ours. It has one number for whatever keeps it from storing a message."""
    if error.err_code == _NOT_STORED and error.description.startswith(_FULL):
        return TopicFull(f"JetStream refused {what}: {error.description}.")
    if error.err_code == _TOO_LARGE:
        return MessageTooLarge(f"JetStream refused {what}: {error.description}, the stream's max_msg_size.")
    return JetStreamRefused(error, what)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the client's errors about lost connections and missing answers into BrokerUnavailable."""
    try:
        yield
    except _BUGS:
        raise
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise BrokerUnavailable(f"The message broker can't be used now: {error or type(error).__name__}") from error


class Replies:
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


def decoded(body: bytes, form: type[T]) -> T:
    """An answer of the server's.

    Raises:
        BrokerUnavailable: it is something else.
    """
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokerUnavailable(f"The message broker answered something else than was asked: {error}") from error
