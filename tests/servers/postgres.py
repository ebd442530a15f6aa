"""A throwaway PostgreSQL that gives out fresh databases."""

from __future__ import annotations

import itertools
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from billfold.platform.postgres import cluster
from billfold.platform.postgres.embedded import EmbeddedPostgres
from billfold.platform.postgres.migrations import Migrations, migrate
from tests.servers.loop import LOG_LINES, LoopThread, ended_at_the_end, loop_thread

_FOR_MANY = {"fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "1h"}
#: Files are copied by the kernel, and of the log little is kept.
_IN_MEMORY = {"file_copy_method": "clone", "min_wal_size": "64MB", "max_wal_size": "512MB"}
#: Within how many fixtures this is that outlast a test.
_outlasting = 0


@contextmanager
def outlasting_a_test() -> Iterator[None]:
    """A database that is made in this block is for more than one test."""
    global _outlasting  # noqa: PLW0603 - pytest sets up fixtures in one thread, but in many contexts.
    _outlasting += 1
    try:
        yield
    finally:
        _outlasting -= 1


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
        self._templates: dict[tuple[Migrations, ...], TestDatabase] = {}
        self._in_memory = False
        self._for_one_test: list[TestDatabase] = []
        self.embedded = embedded
        self.log = log
        self.child = thread.run(embedded.start())

    @property
    def admin_dsn(self) -> str:
        """The superuser's."""
        return self.embedded.dsn(cluster.SUPERUSER, database="postgres")

    def create_database(
        self, sets: Sequence[Migrations] = (), *, entered_by: Sequence[str] = (cluster.APP, cluster.READONLY)
    ) -> TestDatabase:
        """A new database: without a single table, or as these migrations make it."""
        database = self._copy(self._migrated(tuple(sets)).name if sets else "template0", entered_by)
        if self._in_memory and not _outlasting:
            self._for_one_test.append(database)
        return database

    def database(self, name: str) -> TestDatabase:
        """How to connect to the database of that name."""
        owner, app, readonly = (
            self.embedded.dsn(role, database=name) for role in (cluster.OWNER, cluster.APP, cluster.READONLY)
        )
        return TestDatabase(name=name, owner_dsn=owner, app_dsn=app, readonly_dsn=readonly)

    def drop_database(self, database: TestDatabase) -> None:
        """Drop it, and cut off who is still connected."""
        self.execute(f'DROP DATABASE IF EXISTS "{database.name}" WITH (FORCE)')

    def test_ended(self) -> None:
        """Drop what was made since the last one, except what is made to outlast a test."""
        while self._for_one_test:
            self.drop_database(self._for_one_test.pop())

    def migrate(self, dsn: str, sets: Sequence[Migrations]) -> None:
        """Apply these migrations where `dsn` leads."""
        self._thread.run(migrate(dsn, sets))

    def execute(self, sql: str) -> None:
        """Run `sql` as the superuser."""
        self._thread.run(self._execute(sql))

    def made_for_many(self, *, in_memory: bool) -> None:
        """Set it for tests that cut no power, each with a database of its own: it waits for no disk, and does not clean
        up hundreds of them all the time. In memory it copies files instead of logging each of their pages, and each is
        dropped with its test; on a disk both would take longer."""
        for setting, value in (_FOR_MANY | _IN_MEMORY if in_memory else _FOR_MANY).items():
            self.execute(f"ALTER SYSTEM SET {setting} = '{value}'")
        self.execute("SELECT pg_reload_conf()")
        self._in_memory = in_memory

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

    def _migrated(self, sets: tuple[Migrations, ...]) -> TestDatabase:
        """What is copied, since that takes a fraction of the time; nobody may be connected to it meanwhile."""
        if sets not in self._templates:
            template = self._copy("template0", (cluster.APP, cluster.READONLY))
            self._thread.run(migrate(template.owner_dsn, sets))
            self._templates[sets] = template
        return self._templates[sets]

    def _copy(self, template: str, entered_by: Sequence[str]) -> TestDatabase:
        name = f"test_{next(self._numbers)}"
        self._thread.run(self._create(name, template, entered_by))
        return self.database(name)

    async def _create(self, name: str, template: str, entered_by: Sequence[str]) -> None:
        connection = await asyncpg.connect(self.admin_dsn)
        try:
            strategy = "file_copy" if self._in_memory else "wal_log"
            await cluster.create_database(connection, name, template=template, strategy=strategy, entered_by=entered_by)
        finally:
            await connection.close()

    async def _execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.admin_dsn)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


@contextmanager
def running_postgres(folder: Path, *, port: int | None = None) -> Iterator[PostgresServer]:
    """A PostgreSQL with its files in `folder`, until the block ends."""
    with loop_thread() as thread:
        log: deque[str] = deque(maxlen=LOG_LINES)
        server = PostgresServer(thread, EmbeddedPostgres(folder, port=port, on_line=log.append), log)
        # What it shares with its processes it takes away only if it is told to end.
        with ended_at_the_end(thread, lambda: server.child, by=signal.SIGQUIT):
            yield server
