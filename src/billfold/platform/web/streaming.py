"""Answers that go on until their reader has enough: Server-Sent Events, for one.

Litestar's own streams run two tasks and a generator for each reader, which may never be begun, and so never be ended.
This is one function, which the server runs from the first byte to the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Response
from litestar.types import Receive, Scope, Send

from billfold.platform.web.problems import Headers

EVENT_STREAM = "text/event-stream"
#: The header of an answer that has no end.
ENDLESS = (b"content-type", EVENT_STREAM.encode())
#: In the scope of a HEAD that is served as a GET.
HEAD = "is_head"

#: Sends some bytes, and waits while the reader is slower than we are.
Write = Callable[[bytes], Awaitable[None]]


class Streamed(Response[bytes]):
    """An answer that `write` writes. What it raises before the first byte is answered as an error.

    It is stopped where it waits when its reader hangs up.
    """

    def __init__(self, write: Callable[[Write], Awaitable[None]], *, media_type: str) -> None:
        super().__init__(b"", media_type=media_type)
        self._write = write
        self._type = media_type

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """What Litestar calls to send it."""
        return self._served

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun, is_head = False, HEAD in scope

        async def write(chunk: bytes) -> None:
            nonlocal begun
            if not begun:
                begun = True
                await send({"type": "http.response.start", "status": 200, "headers": _head(self._type)})
                if is_head:
                    raise _HeadSent
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

        loop = asyncio.get_running_loop()
        left = asyncio.ensure_future(_hung_up(receive))
        staying = asyncio.timeout(None)

        def leave(_: object) -> None:
            staying.reschedule(loop.time())

        try:
            async with staying:
                left.add_done_callback(leave)
                await self._write(write)
        except TimeoutError:
            if not staying.expired():
                raise
            return  # There is nobody any more to whom an end would matter.
        except _HeadSent:
            pass
        finally:
            left.remove_done_callback(leave)
            left.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _HeadSent(Exception):
    """This is all that a HEAD wants."""


def _head(media_type: str) -> Headers:
    # A proxy that collects answers before it passes them on would pass on nothing.
    return [(b"content-type", media_type.encode()), (b"x-accel-buffering", b"no")]


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
