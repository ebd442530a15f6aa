"""WebSockets behind the same edge as everything else: who may open one, and whose it is.

What is said over one is its handler's business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from litestar.types import Receive, Send, WebSocketScope

from billfold.kernel.errors import BillfoldError
from billfold.kernel.principal import Principal
from billfold.platform.web import errors
from billfold.platform.web.cors import Cors
from billfold.platform.web.gate import Again, Gate
from billfold.platform.web.problems import Headers

#: A close frame has so much room for its reason (RFC 6455, 5.5).
_REASON_MAX = 120
#: The close code of what nobody expects (RFC 6455, 7.4.1).
FAILED = 1011


class Closed(Exception):
    """The other side has closed the connection, or is gone."""


class Socket:
    """A connection that has been accepted."""

    def __init__(
        self, scope: WebSocketScope, headers: Mapping[bytes, bytes], receive: Receive, send: Send, *, gate: Gate
    ) -> None:
        self._scope = scope
        self._headers = headers
        self._receive = receive
        self._send = send
        self._gate = gate

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            Closed.
        """
        message: Any = await self._receive()
        if message["type"] != "websocket.receive":
            raise Closed
        text: str | None = message.get("text")
        return text if text is not None else message["bytes"]

    async def send(self, body: bytes) -> None:
        """Send a text message. Waits while the reader is slower than we are.

        Raises:
            Closed.
        """
        await self._pass({"type": "websocket.send", "text": body.decode(), "bytes": None})

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye and why. It waits for nobody."""
        with suppress(Closed):
            await self._pass({"type": "websocket.close", "code": code, "reason": reason[:_REASON_MAX]})

    async def enter(self, token: str | None) -> tuple[Principal, Again]:
        """Whose credentials these are; without a token those of the handshake, in its header or its cookie.

        Raises:
            Unauthorized, CrossSite, TooManyRequests, Unavailable.
        """
        headers = self._headers
        if token is not None:
            headers = {b"authorization": b"Bearer " + token.encode()}
        elif b"authorization" not in headers and b"cookie" in headers and not _is_own(headers):
            # A browser sends the cookie along, whichever page has opened the connection.
            raise errors.CrossSite
        try:
            principal = await self._gate.caller(headers, "GET")
        except BillfoldError as error:
            raise await self._gate.answered(error, self._scope, headers) from error
        return principal, partial(self._gate.again, headers)

    async def _pass(self, message: Any) -> None:
        try:
            await self._send(message)
        except (OSError, RuntimeError) as error:
            # uvicorn says both of a connection that has ended.
            raise Closed from error


async def accept(send: Send, headers: Headers) -> None:
    """Open the connection."""
    accepted: Any = {"type": "websocket.accept", "subprotocol": None, "headers": headers}
    await send(accepted)


async def refuse(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Answer the handshake as a request of HTTP's is refused."""
    begin: Any = {"type": "websocket.http.response.start", "status": status, "headers": headers}
    await send(begin)
    end: Any = {"type": "websocket.http.response.body", "body": body, "more_body": False}
    await send(end)


class SocketRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A path that speaks WebSocket, and who does the talking."""

    path: str
    #: Raises BillfoldError when there is no room for another connection.
    admit: Callable[[], None]
    handler: Callable[[Socket], Awaitable[None]]


def check_origin(headers: Mapping[bytes, bytes], cors: Cors | None) -> None:
    """Go on unless a page has opened this that may not call the API. Only browsers have pages, and say which.

    Raises:
        CrossSite.
    """
    if b"origin" not in headers or _is_own(headers) or (cors is not None and cors.names(headers)):
        return
    raise errors.CrossSite


def _is_own(headers: Mapping[bytes, bytes]) -> bool:
    origin = headers.get(b"origin")
    return origin is not None and origin.partition(b"://")[2] == headers.get(b"host")
