"""/metrics on a port of its own, so that the address of the API never gives them away.

A small HTTP listener in the process's event loop: it answers one GET per connection, for Prometheus and for curl.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from billfold.platform.host import PortTaken

#: A request's head is read up to this size and for this long.
HEAD_BYTES_MAX = 16 * 1024
HEAD_TIMEOUT_S = 5.0
_TEXT = "text/plain; charset=utf-8"


@contextlib.asynccontextmanager
async def listening(registry: CollectorRegistry, *, host: str, port: int, setting: str) -> AsyncIterator[int]:
    """Serve the registry's metrics on `host:port` until the block ends; gives the port (chosen by the system if 0).

    `setting` is where another port is set.

    Raises:
        PortTaken
        OSError: the host is no address of this machine, for instance.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(await _answer(reader, registry))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    try:
        server = await asyncio.start_server(serve, host, port, limit=HEAD_BYTES_MAX)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortTaken(
            f"Port {port} is taken by another program; stop that program or set another port for the metrics with "
            f"{setting}."
        ) from error
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _answer(reader: asyncio.StreamReader, registry: CollectorRegistry) -> bytes:
    try:
        async with asyncio.timeout(HEAD_TIMEOUT_S):
            head = await reader.readuntil(b"\r\n\r\n")
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return _response("400 Bad Request", _TEXT, b"That is no HTTP request.\n")
    method, _, rest = head.partition(b" ")
    path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
    if path != b"/metrics":
        return _response("404 Not Found", _TEXT, b"Only /metrics is here.\n")
    if method != b"GET":
        return _response("405 Method Not Allowed", _TEXT, b"GET it.\n", allow="Allow: GET\r\n")
    return _response("200 OK", CONTENT_TYPE_LATEST, generate_latest(registry))


def _response(status: str, content_type: str, body: bytes, *, allow: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{allow}"
        "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
