"""The role `ledger` in processes of its own, and the facade that calls them: for whatever can be tested both ways."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from billfold.ledger import Ledger, rpc
from billfold.ledger.rpc import RemoteLedger
from billfold.platform import host
from billfold.platform.postgres.database import Database
from billfold.platform.rpc import addresses
from billfold.platform.rpc import serving as serving_
from billfold.platform.rpc.serving import Stop
from billfold.platform.tls import Mutual

IN_PROCESS, REMOTE = "in process", "remote"
#: Far more than it takes, for a machine that is busy with other things.
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 120.0
TIMEOUT_S = 30.0


@dataclass
class LedgerServer:
    """A process that serves the ledger of a database. It keeps its address when it is started again."""

    dsn: str
    folder: Path
    #: Settings by their names, such as ledger__token.
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.metrics_port = host.free_port()
        self.settings.setdefault("ledger__listen", f"unix:{self.folder / 'ledger.sock'}")

    @property
    def address(self) -> str:
        return self.settings["ledger__listen"]

    @property
    def output(self) -> Path:
        return self.folder / "ledger.log"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}/metrics"

    def spawn(self) -> subprocess.Popen[bytes]:
        settings = {
            "postgres__dsn": self.dsn,
            "ledger__metrics_port": str(self.metrics_port),
            "log__format": "json",
            "log__level": "debug",
        } | self.settings
        outer = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
        environment = outer | {f"BILLFOLD_{name.upper()}": value for name, value in settings.items()}
        with self.output.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "billfold.app.cli", "serve", "ledger"],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self.process

    def start(self) -> None:
        process = self.spawn()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.metrics():
            assert process.poll() is None, f"it ended instead of serving: {self.output.read_text()}"
            assert time.monotonic() < deadline, "it was not ready in time"
            time.sleep(0.05)

    def metrics(self) -> str:
        """What it tells Prometheus; nothing while it does not answer."""
        try:
            with urlopen(self.metrics_url, timeout=START_TIMEOUT_S) as answer:  # noqa: S310 - an address of our own.
                return str(answer.read().decode())
        except (URLError, ConnectionError):
            return ""

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.wait()
        # Until it is started again somebody else may take its port.
        self.metrics_port = host.free_port()

    def stop(self) -> int:
        """End it as the supervisor does; gives its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.send(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(STOP_TIMEOUT_S)


@contextmanager
def serving(dsn: str, folder: Path, **settings: str) -> Iterator[LedgerServer]:
    """The role on a socket in `folder`, or where the settings say, until the block ends."""
    server = LedgerServer(dsn, folder, settings)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.send(signal.SIGCONT)
            server.send(signal.SIGKILL)
            server.wait()


def both_ways(metafunc: pytest.Metafunc, modules: Collection[str]) -> None:
    """Let the tests of these modules that take `way` run in process and remote.

    Not those that look into this process by `monkeypatch` or are marked `in_process`.
    """
    module = metafunc.module.__name__.rpartition(".")[2]
    looks_inside = "monkeypatch" in metafunc.fixturenames or metafunc.definition.get_closest_marker("in_process")
    if "way" in metafunc.fixturenames and module in modules and not looks_inside:
        metafunc.parametrize("way", [IN_PROCESS, REMOTE], indirect=True)


def way_of(request: pytest.FixtureRequest) -> str:
    """What a fixture `way` gives."""
    return str(getattr(request, "param", IN_PROCESS))


@asynccontextmanager
async def either(database: Database, way: str) -> AsyncIterator[Ledger]:
    """A ledger that posts by itself; or one that calls the service, which then runs in this process, too."""
    own = await Ledger.start(database=database)
    try:
        if way == IN_PROCESS:
            yield own
        else:
            async with (
                _served(own) as address,
                rpc.connected(database, addresses=[address], tls=None, token=None, timeout_s=TIMEOUT_S) as remote,
            ):
                yield remote
    finally:
        await own.close()


@asynccontextmanager
async def _served(ledger: Ledger) -> AsyncIterator[addresses.Address]:
    with tempfile.TemporaryDirectory() as folder:
        address = addresses.parse(f"unix:{folder}/ledger.sock")
        stop = Stop()
        add = functools.partial(rpc.add, ledger=ledger, stop=stop)
        door = serving_.Door(address=address)
        async with serving_.serving(add, door=door, names=rpc.NAMES, stop=stop, check=ledger.check):
            yield address


@asynccontextmanager
async def calling(
    database: Database,
    servers: Sequence[LedgerServer],
    *,
    tls: Mutual | None = None,
    token: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> AsyncIterator[RemoteLedger]:
    """The facade that calls these servers."""
    found = addresses.parse_all(",".join(server.address for server in servers))
    async with rpc.connected(database, addresses=found, tls=tls, token=token, timeout_s=timeout_s) as ledger:
        yield ledger
