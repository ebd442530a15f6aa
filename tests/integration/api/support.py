"""A process that serves the API, and callers of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from billfold.kernel import ids
from billfold.platform import host, tls
from billfold.platform.postgres.database import Database
from tests import facades, master_keys, servers

#: Far more than it takes, for a machine that is busy with other things.
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 120.0
REQUEST_TIMEOUT_S = 30.0
#: In place of the command: whoever is tested there waits for longer.
PATIENT = ("tests.integration.api.patient",)


@dataclass
class ApiServer:
    """A running process."""

    process: subprocess.Popen[bytes]
    url: str
    metrics_url: str
    #: A pipe that nobody reads would stop a process that writes a lot.
    output: Path
    client: httpx2.Client

    @property
    def log(self) -> str:
        return self.output.read_text()

    def caller(self, key: str | None) -> "Caller":
        return Caller(self.client, key)

    def stop(self) -> int:
        """End it as the supervisor does; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)


@dataclass
class Caller:
    """Somebody with a key, or without one."""

    client: httpx2.Client
    key: str | None

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        if self.key is not None:
            headers.setdefault("authorization", f"Bearer {self.key}")
        if method == "POST":
            headers.setdefault("idempotency_key", str(ids.new()))
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, path, json=body, headers=sent)

    def get(self, path: str) -> httpx2.Response:
        return self.request("GET", path)

    def post(self, path: str, body: Any, **headers: str) -> httpx2.Response:
        return self.request("POST", path, body, **headers)


async def bootstrapped(database: servers.TestDatabase) -> str:
    """The text of a key that may do everything."""
    connected = await Database.connect(database.app_dsn, name="test")
    try:
        return await facades.identity(connected).keys.bootstrap(owner_name="Operator")
    finally:
        await connected.close()


@contextmanager
def running_api(
    database: servers.TestDatabase,
    folder: Path,
    *,
    program: Sequence[str] = ("billfold.app.cli",),
    **more: str,
) -> Iterator[ApiServer]:
    """The API on free ports, until the block ends; it logs into a file in `folder`. `more` are settings."""
    port, metrics_port = int(more.get("api__port", host.free_port())), host.free_port()
    settings = {
        "BILLFOLD_POSTGRES__DSN": database.app_dsn,
        "BILLFOLD_NATS__URL": "nats://127.0.0.1:9",
        "BILLFOLD_KEYS__FILE": str(master_keys.shared()),
        "BILLFOLD_API__PORT": str(port),
        "BILLFOLD_API__METRICS_PORT": str(metrics_port),
        "BILLFOLD_LOG__FORMAT": "json",
        "BILLFOLD_LOG__LEVEL": "debug",
        # As cheap as the settings let it be: what a hash costs is the matter of other tests.
        "BILLFOLD_PASSWORDS__PASSES": "2",
        "BILLFOLD_PASSWORDS__MEMORY_MIB": "19",
    } | {f"BILLFOLD_{name.upper()}": value for name, value in more.items()}
    outer = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
    output = folder / "api.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *program, "serve", "api"],
            env=outer | settings,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    certificate = more.get("api__tls_certificate")
    url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{port}"
    # A plain address needs no context. One certificate is known by itself.
    verify = tls.known_context(Path(certificate)) if certificate is not None else False
    with httpx2.Client(base_url=f"{url}/api/v1", timeout=REQUEST_TIMEOUT_S, verify=verify) as client:
        server = ApiServer(process, url, f"http://127.0.0.1:{metrics_port}", output, client)
        try:
            _wait_ready(server)
            yield server
        finally:
            server.stop()


def _wait_ready(server: ApiServer) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert server.process.poll() is None, f"it ended instead of serving: {server.log}"
        try:
            if server.client.get(f"{server.url}/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass  # It does not listen yet.
        time.sleep(0.05)
    raise AssertionError("it was not ready in time")
