"""A network that fails at the worst moment: a TCP proxy before PostgreSQL that cuts a connection at its COMMIT."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from enum import Enum
from urllib.parse import urlsplit, urlunsplit

_BLOCK = 65_536
#: The message Query with the text COMMIT, and the server's CommandComplete to it.
_ASKED = b"Q\x00\x00\x00\x0bCOMMIT\x00"
_ANSWERED = b"C\x00\x00\x00\x0bCOMMIT\x00"


#: Whether to pass a block on, and whether to cut the connection then.
Judge = Callable[[bytes], tuple[bool, bool]]


class Cut(Enum):
    """When a connection is cut."""

    #: COMMIT never reaches the server: nothing takes place.
    BEFORE = "before"
    #: The server has committed, and its answer never arrives.
    AFTER = "after"
    #: COMMIT is sent and nobody waits for what becomes of it.
    AT_ONCE = "at once"


class Proxy:
    """Passes everything on; the next `cuts` COMMITs end their connections as `how` says."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self.how = Cut.BEFORE
        self.cuts = 0
        self.seen = 0
        #: Set, nothing is passed on any more and nobody is told.
        self.silent = False
        #: Set, a cut is the last that is heard of the server until `refusing` is taken back.
        self.refuse_after_cut = False
        self.refusing = False
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self, how: Cut, times: int) -> None:
        self.how, self.cuts, self.seen = how, times, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.refusing:
                writer.transport.abort()
                return
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            line = _Line(self)
            ways = [
                asyncio.create_task(line.pump(reader, server_writer, line.from_client)),
                asyncio.create_task(line.pump(server_reader, writer, line.from_server)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, server_writer):
                end.transport.abort()
        finally:
            self._tasks.discard(task)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Line:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._doomed = False

    async def pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, judge: Judge) -> None:
        while block := await source.read(_BLOCK):
            if self._proxy.silent:
                continue
            passed_on, over = judge(block)
            if passed_on:
                target.write(block)
                await target.drain()
            if over:
                return

    def from_client(self, block: bytes) -> tuple[bool, bool]:
        if _ASKED not in block or not self._proxy.cuts:
            return True, False
        self._proxy.cuts -= 1
        self._proxy.seen += 1
        self._proxy.refusing = self._proxy.refuse_after_cut
        self._doomed = True
        return self._proxy.how is not Cut.BEFORE, self._proxy.how is not Cut.AFTER

    def from_server(self, block: bytes) -> tuple[bool, bool]:
        over = self._doomed and _ANSWERED in block
        return not over, over


@contextlib.asynccontextmanager
async def before(dsn: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the server of `dsn` (over TCP), and the DSN that goes through it."""
    parts = urlsplit(dsn)
    assert parts.port is not None
    proxy = Proxy(parts.port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield proxy, urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}"))
    finally:
        server.close()
        await proxy.close()
