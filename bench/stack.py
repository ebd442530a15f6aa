"""`billfold up` on a data folder of its own, as its user would start it: started, asked, stopped."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec

from bench import processes, programs
from billfold.app import settings
from billfold.app.supervisor.record import StackRecord
from billfold.platform import host
from billfold.platform.messaging.brokers import nats
from billfold.platform.messaging.port import Messaging
from billfold.platform.postgres.embedded import SOCKET_PATH_MAX_BYTES, EmbeddedPostgres

#: Far beyond the target; what takes longer hangs.
START_TIMEOUT_S = 120.0
_PORTS = ("api.port", "api.metrics_port", "worker.metrics_port")
#: What the log said last, to explain a failure.
_LOG_LINES = 30


class Running(msgspec.Struct, frozen=True):
    """A stack that answers: what it says of itself, and how long it took to start."""

    record: StackRecord
    folder: Path
    started_s: float
    messaging: Messaging

    @property
    def roots(self) -> dict[str, int]:
        """The process of each part; `billfold` is the supervisor without the others."""
        return self.record.processes

    @property
    def postgres_port(self) -> int:
        """Where its PostgreSQL listens."""
        port = urlsplit(self.record.postgres_dsn).port
        assert port is not None, "a DSN by TCP names its port"
        return port

    @property
    def postgres_host(self) -> str:
        """The folder of its unix socket, or the address where that is too long: as the stack itself connects."""
        folder = self.folder / EmbeddedPostgres.name
        too_long = len(os.fsencode(folder / f".s.PGSQL.{self.postgres_port}")) > SOCKET_PATH_MAX_BYTES
        return "127.0.0.1" if too_long else str(folder)

    def dsn(self, by_tcp: str) -> str:
        """The same by `postgres_host`."""
        login = urlsplit(by_tcp)
        address = f"?host={quote(self.postgres_host, safe='')}&port={self.postgres_port}"
        return login._replace(netloc=f"{login.username}:{login.password}@", query="").geturl() + address

    async def idle_memory(self, *, after_s: float) -> int:
        """Bytes of all processes together, when they have had nothing to do for a while."""
        await asyncio.sleep(after_s)
        return processes.memory_bytes(self.record.pid)


@asynccontextmanager
async def data_folder(parent: Path) -> AsyncIterator[Path]:
    """A folder for one run, removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="billfold-bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def up(
    folder: Path, given: Mapping[str, str] | None = None, *, messaging: Messaging | None = None
) -> AsyncIterator[Running]:
    """The stack until the block ends, with the settings that are `given` by their names in the environment.

    `messaging` is the broker of these settings, where it isn't the stack's own NATS.

    Raises: ProgramFailed.
    """
    env = _environment() | dict(given or {})
    began = time.perf_counter()
    command = (sys.executable, "-m", "billfold.app.cli", "up", "--json", "--data", str(folder / "data"))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    log: deque[str] = deque(maxlen=_LOG_LINES)
    reading = asyncio.create_task(_keep_last(process.stderr, log))
    try:
        record = await _ready(process.stdout, log)
        yield Running(record, folder / "data", time.perf_counter() - began, messaging or own_nats(record))
    finally:
        await programs.stop(process)
        await reading


def own_nats(record: StackRecord) -> Messaging:
    """The NATS that came with the stack."""
    assert record.nats_url is not None, "a stack with another broker is told of it"
    return nats.Server(url=record.nats_url, user=record.nats_user, password=record.nats_password)


def _environment() -> dict[str, str]:
    """Ours, without settings of the developer's, and with ports that no other stack on this machine will ask for.

    This machine is a proxy to the stack, so that a storm can seem to come from many addresses.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(settings.PREFIX)}
    ports = {settings.variable(name): str(host.free_port()) for name in _PORTS}
    return kept | ports | {settings.variable("api.trusted_proxies"): "127.0.0.1/32"}


async def _ready(output: asyncio.StreamReader, log: deque[str]) -> StackRecord:
    """The record that the stack prints when everything answers."""
    text = b""
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while chunk := await output.read(65536):
                text += chunk
                try:
                    return msgspec.json.decode(text, type=StackRecord)
                except msgspec.DecodeError:
                    continue  # There is more to come.
    except TimeoutError:
        raise programs.ProgramFailed(f"the stack was not ready within {START_TIMEOUT_S:.0f} seconds") from None
    raise programs.ProgramFailed("the stack did not start:\n" + "\n".join(log))


async def _keep_last(stream: asyncio.StreamReader, lines: deque[str]) -> None:
    async for line in stream:
        lines.append(line.decode(errors="replace").rstrip())
