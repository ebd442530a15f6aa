"""uvicorn as we run it, with limits on what a client may do before it has sent a request's head."""

from __future__ import annotations

import asyncio
import signal
from http import HTTPStatus
from typing import Any

import uvicorn
from litestar.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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
#: Requests that are being served when we are told to stop have this long.
GRACE_S = 10


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 by httptools, which by itself waits for a head for ever and takes one of any size."""

    _head_bytes = 0
    _head_done = False
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        whole: Any = _Whole(transport, self.loop)
        super().connection_made(whole)
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._head_done = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The whole head is here."""
        self._head_done = True
        self._head_bytes = 0
        if self._head_timer is not None:
            self._stop_timer()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Some bytes; mostly a whole request."""
        super().data_received(data)
        if not self._head_done and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._too_late)

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

    def _send(self) -> None:
        if self._held is not None:
            self._transport.write(self._held)
            self._held = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


async def serve(app: ASGIApp, *, host: str, port: int) -> None:
    """Serve `app` until SIGTERM or SIGINT, then answer what is being served, and return."""
    # uvicorn raises the signal that has stopped it once more when it is done. It must not end us in the middle of
    # closing the rest.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _done)
    await uvicorn.Server(config(app, host=host, port=port)).serve()


def config(app: ASGIApp, *, host: str, port: int) -> uvicorn.Config:
    """How uvicorn is to run."""
    # Both follow the ASGI specification, each with types of its own.
    application: Any = app
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )


def _done(_number: int, _frame: object) -> None:
    """The signal has done its work."""
