"""The same over a WebSocket, whose reader says what to hear of while it listens.

The messages are in docs/reference/live.md. One that can't be understood is answered with an error, and the connection
goes on. What ends it has a close code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Annotated, Any

import msgspec
from litestar import get
from msgspec import Meta

from billfold.kernel import forms
from billfold.kernel.errors import BillfoldError, Denied, Invalid, TooOften, Unauthenticated
from billfold.notifications import Notifications, Stream, errors
from billfold.notifications.contracts import Topic
from billfold.notifications.rest import asking
from billfold.platform import web
from billfold.platform.web import Socket
from billfold.platform.web.errors import UpgradeRequired

PATH = "/ws"
#: From the open connection to good credentials.
AUTHENTICATE_TIMEOUT_S = 10.0
#: Who has nothing to tell wakes up this often; the server's own pings keep the connection open.
WAIT_S = 60.0
#: The last words to a connection take no longer.
GOODBYE_TIMEOUT_S = 1.0
#: Messages of one connection within a window. Whoever subscribes needs a few.
MESSAGES_MAX = 60
WINDOW_S = 10.0

#: Close codes: the registered ones (RFC 6455, 7.4.1; 1012 and 1013 by IANA), and ours like the statuses of HTTP.
STOPPING, TRY_LATER = 1012, 1013
INVALID, UNAUTHENTICATED, FORBIDDEN, SLOW, GONE, TOO_OFTEN = 4400, 4401, 4403, 4408, 4410, 4429
CLOSE_CODES: Mapping[type[BillfoldError], int] = {
    errors.ServerStopping: STOPPING,
    errors.SlowReader: SLOW,
    errors.EventsForgotten: GONE,
    TooOften: TOO_OFTEN,
    Unauthenticated: UNAUTHENTICATED,
    Denied: FORBIDDEN,
    Invalid: INVALID,
    BillfoldError: TRY_LATER,
}

_Id = Annotated[str, Meta(max_length=64)] | None
_Names = Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(min_length=1, max_length=20)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: str
    #: Comes back in the answer.
    id: _Id = None


class Authenticate(_Message, frozen=True, kw_only=True):
    """Who it is. Without a token it is whoever the handshake says, by its header or its cookie."""

    token: Annotated[str, Meta(max_length=8_192)] | None = None


class Subscribe(_Message, frozen=True, kw_only=True):
    """Hear of these topics, too. `after` goes back to a position first."""

    topics: _Names
    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


class Unsubscribe(_Message, frozen=True, kw_only=True):
    """Hear of these topics no more."""

    topics: _Names


class Ping(_Message, frozen=True, kw_only=True):
    """Nothing but an answer; browsers can't send pings of the protocol."""


class _Kind(msgspec.Struct, frozen=True):
    type: Any = None
    id: Any = None


_FORMS: Mapping[str, type[_Message]] = {
    "authenticate": Authenticate,
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "ping": Ping,
}
_encode = msgspec.json.Encoder().encode


@get(
    PATH,
    opt=web.operation(
        summary="Follow events by WebSocket",
        tag="Events",
        scope=web.Access.ANYBODY,
        description="Speaks WebSocket (RFC 6455). The first message says who you are: "
        '`{"type": "authenticate", "token": "…"}`; then `{"type": "subscribe", "topics": ["balances"]}`. '
        "Every message and close code is in the documentation of live events.",
        errors=(UpgradeRequired,),
    ),
)
async def tell_to_upgrade() -> None:
    raise UpgradeRequired


def route(notifications: Notifications) -> web.SocketRoute:
    """Where WebSockets are."""

    async def talk(socket: Socket) -> None:
        await _Conversation(socket, notifications).run()

    return web.SocketRoute(path=PATH, admit=notifications.live.admit, handler=talk)


class _Conversation:
    """One connection, from its opening to its end."""

    def __init__(self, socket: Socket, notifications: Notifications) -> None:
        self._socket = socket
        self._live = notifications.live
        self._topics: set[Topic] = set()
        self._window_ends = 0.0
        self._messages = 0

    async def run(self) -> None:
        """Talk until one of both has enough."""
        message: _Message | None = None
        try:
            try:
                async with asyncio.timeout(AUTHENTICATE_TIMEOUT_S):
                    message = await self._received()
                    if not isinstance(message, Authenticate):
                        raise errors.NotAuthenticated
                    principal, again = await self._socket.enter(message.token)
            except TimeoutError:
                raise errors.NotAuthenticated from None
            async with self._live.listening(principal, again) as stream:
                await self._say("ready", message.id, position=stream.position)
                await self._talk(stream)
        except BillfoldError as error:
            # Whoever does not read will not read why, but in the close code.
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_TIMEOUT_S):
                    await self._say_error(error, message.id if message is not None else None)
            await self._socket.close(close_code(type(error)), error.code)

    async def _talk(self, stream: Stream) -> None:
        """Tell and listen at the same time, until one of them ends."""
        # Who tells may wait for a slow reader, and does not learn then that it is over.
        tasks = [asyncio.create_task(work) for work in (self._tell(stream), self._listen(stream), stream.over())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _tell(self, stream: Stream) -> None:
        while True:
            for event in await stream.next(wait_s=WAIT_S):
                await self._socket.send(b'{"type":"event","event":%b}' % _encode(event))

    async def _listen(self, stream: Stream) -> None:
        while True:
            message_id = None
            try:
                message = await self._received()
                message_id = message.id
                await self._answer(message, stream)
            except (errors.TooManyMessages, Unauthenticated):
                raise
            except BillfoldError as error:
                await self._say_error(error, message_id)

    async def _received(self) -> _Message:
        """The next message.

        Raises:
            MessageInvalid, MessageUnknown, TooManyMessages, Closed.
        """
        text = await self._socket.receive()
        now = monotonic()
        if now > self._window_ends:
            self._window_ends, self._messages = now + WINDOW_S, 0
        self._messages += 1
        if self._messages > MESSAGES_MAX:
            raise errors.TooManyMessages
        if isinstance(text, bytes):
            raise errors.MessageInvalid("Send text, not binary messages.")
        return _read(text)

    async def _answer(self, message: _Message, stream: Stream) -> None:
        match message:
            case Authenticate():
                stream.renew(*await self._socket.enter(message.token))
                await self._say("ready", message.id, position=stream.position)
            case Subscribe():
                await self._subscribe(message, stream)
            case Unsubscribe():
                await self._hear(stream, self._topics - _topics(message), message)
            case _:
                await self._say("pong", message.id)

    async def _subscribe(self, message: Subscribe, stream: Stream) -> None:
        if message.after is not None and self._topics:
            raise errors.AfterTooLate(pointer="/after")
        await self._hear(stream, self._topics | _topics(message), message, after=message.after)

    async def _hear(self, stream: Stream, topics: set[Topic], message: _Message, *, after: int | None = None) -> None:
        await stream.hear(topics, after=after)
        self._topics = topics
        await self._say("subscribed", message.id, topics=sorted(topics))

    async def _say(self, kind: str, message_id: str | None, **more: Any) -> None:
        await self._socket.send(_encode({"type": kind, **({"id": message_id} if message_id else {}), **more}))

    async def _say_error(self, error: BillfoldError, message_id: str | None) -> None:
        said = {"code": error.code, "detail": error.detail, "retryable": error.retryable}
        if error.pointer is not None:
            said["pointer"] = error.pointer
        await self._say("error", message_id, **said)


def _read(text: str) -> _Message:
    try:
        kind = msgspec.json.decode(text, type=_Kind).type
        form = _FORMS.get(kind) if isinstance(kind, str) else None
        if form is None:
            raise errors.MessageUnknown
        return msgspec.json.decode(text, type=form)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise errors.MessageInvalid(f"This message can't be read: {forms.said(error)}") from error


def _topics(message: Subscribe | Unsubscribe) -> set[Topic]:
    return set(asking.topics(tuple(message.topics), pointer="/topics"))


def close_code(error: type[BillfoldError]) -> int:
    """The code with which such an error closes the connection, where it does."""
    return next(code for kind, code in CLOSE_CODES.items() if issubclass(error, kind))


handlers = [tell_to_upgrade]
