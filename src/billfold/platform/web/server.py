"""uvicorn as we run it, with limits on how long a client may take, and on what it may do before its head is here."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import socket
import ssl
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import uvicorn
from litestar.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

#: Connections of one process. Beyond, new requests get a 503 at once, which is better than a queue without end.
CONNECTIONS_MAX = 10_000
#: Connections that the kernel keeps for us while the event loop is busy.
BACKLOG = 2_048
#: Longer than the pauses of pooled clients and proxies, which mostly let go after a minute.
KEEP_ALIVE_S = 75
#: The request line and all headers.
HEAD_BYTES_MAX = 32 * 1024
#: From a connection, or the first byte of a further request, to the end of the head.
HEAD_TIMEOUT_S = 15.0
#: From the end of the head to the end of the body, read or not. Whoever reads one has less patience, and says so.
BODY_TIMEOUT_S = 45.0
#: From a full buffer to one that has room again: a client that takes less than a kilobyte a second takes nothing.
ANSWER_TIMEOUT_S = 60.0
#: What is in the buffer when we hang up is sent within this time, or never.
CLOSE_TIMEOUT_S = 10.0
#: Of what a client says over a WebSocket.
MESSAGE_BYTES_MAX = 16 * 1024
#: How often a WebSocket is asked whether it is still there, and how long it may take to answer.
PING_S = 20.0
#: Where WebSockets are. An upgrade of any other path is not heard.
SOCKET_PATHS = frozenset({b"/api/v1/ws"})
_SOCKET_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_HEAD_END = b"\r\n\r\n"
#: Requests that are being served when we are told to stop have this long.
GRACE_S = 10


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 by httptools, which by itself waits for a client for ever and takes a head of any size."""

    _head_bytes = 0
    _head_done = False
    _in_body = False
    _head_timer: asyncio.TimerHandle | None = None
    _body_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        whole: Any = _Whole(transport, self.loop)
        super().connection_made(whole)
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_timer()
        for timer in (self._body_timer, self._answer_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._head_done = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The whole head is here."""
        self._head_done = self._in_body = True
        self._head_bytes = 0
        if self._head_timer is not None:
            self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The whole request is here."""
        self._in_body = False
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client takes less than we send."""
        self._answer_timer = self.loop.call_later(ANSWER_TIMEOUT_S, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client has taken most of it."""
        if self._answer_timer is not None:
            self._answer_timer.cancel()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Some bytes; mostly a whole request."""
        if len(data) > HEAD_BYTES_MAX and not self._in_body and data.find(_HEAD_END, 0, HEAD_BYTES_MAX) < 0:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        super().data_received(data)
        if self._in_body:
            if self._body_timer is None and not self.transport.is_closing():
                self._body_timer = self.loop.call_later(BODY_TIMEOUT_S, self.transport.close)
        elif not self._head_done and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._too_late)

    def _should_upgrade(self) -> bool:
        """Whether this becomes a WebSocket. Whatever is none, or none as it should be, is answered as HTTP."""
        headers: dict[bytes, bytes] = dict(self.headers)
        return (
            super()._should_upgrade()
            and self.url.partition(b"?")[0] in SOCKET_PATHS
            and self.scope["method"] == "GET"
            and headers.get(b"sec-websocket-version") == b"13"
            and _SOCKET_KEY.fullmatch(headers.get(b"sec-websocket-key", b"")) is not None
            and self.parser.get_http_version() == "1.1"
        )

    def handle_websocket_upgrade(self) -> None:
        """The head of a WebSocket is here; another protocol has the connection from now on."""
        self._in_body, self._head_done = False, True
        super().handle_websocket_upgrade()

    def _too_late(self) -> None:
        self._head_timer = None
        self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer as shortly as it goes, and hang up: there is no request yet that the application could answer."""
        head = f"HTTP/1.1 {status:d} {status.phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        self.transport.write(head.encode())
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class SocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket by the library websockets, which lets whoever reads slowly not know why it is closed."""

    async def send(self, message: Any) -> None:
        """Send a frame; a closing one at once, behind all that waits for its reader. It is small, and the last one."""
        if message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)


class _Server(uvicorn.Server):
    """Tells those who serve answers that go on that they should end, when it is told to stop."""

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is being served, and end."""
        self._stopping()
        await super().shutdown(sockets)


class _Whole:
    """A transport that sends the head of an answer together with the body behind it.

    uvicorn writes them apart, and uvloop makes a system call of each, with a packet, which is a tenth of a transfer's
    whole time. What is written first in a turn of the event loop waits here for what is written next, or for its end.
    """

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: bytes | None = None

    def write(self, data: bytes) -> None:
        """Send it, now or at the end of this turn."""
        if self._held is None:
            self._held = data
            self._loop.call_soon(self._send)
        else:
            self._transport.write(self._held + data)
            self._held = None

    def close(self) -> None:
        """Send what is held, and hang up."""
        self._send()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(CLOSE_TIMEOUT_S, self._transport.abort)

    def _send(self) -> None:
        if self._held is not None:
            self._transport.write(self._held)
            self._held = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


async def serve(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    stopping: Callable[[], None] = lambda: None,
) -> None:
    """Serve `app`, by TLS alone if there is some, until SIGTERM or SIGINT, then answer what is being served.

    `stopping` is called at that moment: answers that would go on have to end now.
    """
    # uvicorn raises the signal that has stopped it once more when it is done. It must not end us in the middle of
    # closing the rest.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _done)
    if tls is not None:
        hurry_handshakes(asyncio.get_running_loop())
    await _Server(config(app, host=host, port=port, tls=tls), stopping).serve()


def hurry_handshakes(loop: asyncio.AbstractEventLoop) -> None:
    """Let this loop's servers wait for a handshake as long as for a head; uvicorn leaves it at a minute."""
    create = loop.create_server

    def hurried(*given: Any, **named: Any) -> Any:
        # A server without TLS, such as the one of the metrics, takes no such limit.
        if named.get("ssl") is not None:
            named.setdefault("ssl_handshake_timeout", HEAD_TIMEOUT_S)
        return create(*given, **named)

    loop.create_server = hurried  # type: ignore[method-assign]


def config(app: ASGIApp, *, host: str, port: int, tls: ssl.SSLContext | None = None) -> uvicorn.Config:
    """How uvicorn is to run."""
    # It would write down each connection with its query, where people put what belongs nowhere.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    # Both follow the ASGI specification, each with types of its own.
    application: Any = app
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        http=Protocol,
        ws=SocketProtocol,
        ws_max_size=MESSAGE_BYTES_MAX,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        # A megabyte for each few connections would buy little: an event has half a kilobyte.
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )


def _done(_number: int, _frame: object) -> None:
    """The signal has done its work."""
