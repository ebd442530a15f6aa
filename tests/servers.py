"""Throwaway real servers for tests: a PostgreSQL that gives out fresh databases, a NATS with JetStream, and a Redis.

The servers live on an event loop in a thread of their own, so that sync and async tests use them alike. Fixtures over
these are in `tests/conftest.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from billfold.platform import children, host
from billfold.platform.messaging.embedded import EmbeddedNats
from billfold.platform.postgres import cluster
from billfold.platform.postgres.embedded import EmbeddedPostgres

T = TypeVar("T")

#: Any step of a test server takes well under a second; a slow machine is forgiven, a hanging one is not.
STEP_TIMEOUT_S = 120.0
_LOG_LINES = 200


class LoopThread:
    """An event loop in a thread, for what must outlive any single test's loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-servers", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the loop and give back its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(STEP_TIMEOUT_S)

    def close(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STEP_TIMEOUT_S)
        self._loop.close()


@dataclass(frozen=True)
class TestDatabase:
    """A database of its own for a test, and how each role connects to it."""

    __test__ = False

    name: str
    owner_dsn: str
    app_dsn: str
    readonly_dsn: str


class PostgresServer:
    """A running server, the databases made in it, and the means to kill it."""

    def __init__(self, thread: LoopThread, embedded: EmbeddedPostgres, log: deque[str]) -> None:
        self._thread = thread
        self._numbers = itertools.count(1)
        self.embedded = embedded
        self.log = log
        self.child = thread.run(embedded.start())

    @property
    def admin_dsn(self) -> str:
        """The superuser's."""
        return self.embedded.dsn(cluster.SUPERUSER, database="postgres")

    def create_database(self, *, template: TestDatabase | None = None) -> TestDatabase:
        """An empty database, or a copy of `template`, to which nobody may be connected meanwhile."""
        name = f"test_{next(self._numbers)}"
        self._thread.run(self._create(name, "template0" if template is None else template.name))
        return self.database(name)

    def database(self, name: str) -> TestDatabase:
        """How to connect to the database of that name."""
        owner, app, readonly = (
            self.embedded.dsn(role, database=name) for role in (cluster.OWNER, cluster.APP, cluster.READONLY)
        )
        return TestDatabase(name=name, owner_dsn=owner, app_dsn=app, readonly_dsn=readonly)

    def drop_database(self, database: TestDatabase) -> None:
        """Drop it, and cut off who is still connected."""
        self.execute(f'DROP DATABASE "{database.name}" WITH (FORCE)')

    def execute(self, sql: str) -> None:
        """Run `sql` as the superuser."""
        self._thread.run(self._execute(sql))

    def kill(self) -> None:
        """SIGKILL the server, as a power cut of this process would."""
        self.child.process.kill()
        self._thread.run(self.child.wait())

    def start(self) -> None:
        """Start it again after `kill` or `stop`; the DSNs stay as they are."""
        self.child = self._thread.run(self.embedded.start())

    def stop(self) -> None:
        """Stop it cleanly."""
        self._thread.run(self.child.stop())

    async def _create(self, name: str, template: str) -> None:
        connection = await asyncpg.connect(self.admin_dsn)
        try:
            await cluster.create_database(connection, name, template=template)
        finally:
            await connection.close()

    async def _execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.admin_dsn)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


class NatsServer:
    """A running server with JetStream, and the means to kill it."""

    def __init__(self, thread: LoopThread, embedded: EmbeddedNats, log: deque[str]) -> None:
        self._thread = thread
        self.embedded = embedded
        self.log = log
        self.child = thread.run(embedded.start())

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return self.embedded.url

    @property
    def user(self) -> str:
        """The user name that the server asks for."""
        return self.embedded.user

    @property
    def password(self) -> str:
        """The password that the server asks for."""
        return self.embedded.password

    def kill(self) -> None:
        """SIGKILL the server."""
        self.child.process.kill()
        self._thread.run(self.child.wait())

    def start(self) -> None:
        """Start it again after `kill` or `stop`; the address and password stay as they are."""
        self.child = self._thread.run(self.embedded.start())

    def stop(self) -> None:
        """Stop it cleanly."""
        self._thread.run(self.child.stop())


class RedisServer:
    """A running server that keeps nothing on its disk, and the means to kill it and to make it hang."""

    #: Debian's, which `make test` installs where it may.
    program = shutil.which("redis-server")

    def __init__(self, thread: LoopThread, folder: Path, log: deque[str]) -> None:
        self._thread = thread
        self._folder = folder
        self.port = host.free_port()
        self.log = log
        self.child = thread.run(self._started())

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"redis://127.0.0.1:{self.port}/0"

    def kill(self) -> None:
        """SIGKILL the server."""
        self.child.process.kill()
        self._thread.run(self.child.wait())

    def hang(self) -> None:
        """Let it accept connections and answer none."""
        self.child.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of `hang`."""
        self.child.process.send_signal(signal.SIGCONT)

    def start(self) -> None:
        """Start it again after `kill`, at the same address and empty."""
        self.child = self._thread.run(self._started())

    async def _started(self) -> children.Child:
        assert self.program is not None, "it is not installed"
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self._folder),
            "save": "",
            "appendonly": "no",
        }
        program = children.Program(
            name="redis",
            command=(self.program, *(word for name, value in options.items() for word in (f"--{name}", value))),
            lock=self._folder / "redis.lock",
        )
        child = await children.start(program, on_line=self.log.append)
        async with asyncio.timeout(STEP_TIMEOUT_S):
            while not await self._answers():
                assert child.running, self.log
                await asyncio.sleep(0.01)
        return child

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.write(b"PING\r\n")
        answer = await reader.readline()
        writer.close()
        return answer == b"+PONG\r\n"


@contextmanager
def running_postgres(folder: Path, *, port: int | None = None) -> Iterator[PostgresServer]:
    """A PostgreSQL with its files in `folder`, until the block ends."""
    with _loop_thread() as thread:
        log: deque[str] = deque(maxlen=_LOG_LINES)
        server = PostgresServer(thread, EmbeddedPostgres(folder, port=port, on_line=log.append), log)
        with _stopped_at_the_end(thread, lambda: server.child):
            yield server


@contextmanager
def running_nats(folder: Path, *, port: int | None = None) -> Iterator[NatsServer]:
    """A NATS with its files in `folder`, until the block ends."""
    with _loop_thread() as thread:
        log: deque[str] = deque(maxlen=_LOG_LINES)
        server = NatsServer(thread, EmbeddedNats(folder, port=port, on_line=log.append), log)
        with _stopped_at_the_end(thread, lambda: server.child):
            yield server


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """A Redis, until the block ends."""
    with _loop_thread() as thread:
        server = RedisServer(thread, folder, deque(maxlen=_LOG_LINES))
        with _stopped_at_the_end(thread, lambda: server.child):
            yield server


@contextmanager
def _loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    try:
        yield thread
    finally:
        thread.close()


@contextmanager
def _stopped_at_the_end(thread: LoopThread, child: Callable[[], children.Child]) -> Iterator[None]:
    try:
        yield
    finally:
        thread.run(child().stop())
