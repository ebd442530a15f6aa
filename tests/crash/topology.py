"""The topology of `deploy/compose.yaml` from processes: two of each role behind a load balancer, on real servers.

What a supervisor or Kubernetes does there is done here: a part that was killed is started again at its address.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import httpx2
import msgspec

from billfold.app import settings
from billfold.platform import host
from tests import master_keys, servers
from tests.crash import balancer, brokers
from tests.crash.brokers import Part
from tests.crash.stack import RECOVERY_TIMEOUT_S, ROOT, START_TIMEOUT_S, Stack
from tests.integration.api.support import bootstrapped
from tests.integration.gateway.support import ENVOY
from tests.keycloak import KeycloakServer

ROLES = ("api-1", "api-2", "ledger-1", "ledger-2", "worker-1", "worker-2")


class Program:
    """A process of ours with an address that answers when it is ready."""

    def __init__(self, command: list[str], environment: Mapping[str, str], *, ready: str, log: Path) -> None:
        self._command = command
        self._environment = environment
        self._ready = ready
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=dict(self._environment), stdout=log, stderr=log, cwd=ROOT
            )

    def start(self) -> None:
        self.spawn()
        self.wait_ready()

    def wait_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert self._process.poll() is None, f"it has ended\n{self._log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"it does not answer\n{self._log.read_text()[-3000:]}"
            time.sleep(0.05)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """As Kubernetes does."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(RECOVERY_TIMEOUT_S)

    def _answers(self) -> bool:
        try:
            with urlopen(self._ready, timeout=5) as answer:  # noqa: S310 - an address of our own
                return bool(answer.status == 200)
        except (URLError, ConnectionError, TimeoutError):
            return False


class Topology(Stack):
    """All of it, running; for the clients and the audit it is a stack as any other."""

    def __init__(
        self,
        folder: Path,
        parts: Mapping[str, Part],
        record: Mapping[str, Any],
        environ: Mapping[str, str],
        *,
        replicas: Sequence[int],
    ) -> None:
        self._folder = folder
        #: The addresses of the APIs, past the load balancer.
        self.replicas = [_url(port) for port in replicas]
        self._parts = parts
        self._told = dict(record)
        #: What each role is told, for those who look at what the roles use.
        self.settings = settings.load(environ=environ).settings

    @property
    def record(self) -> dict[str, Any]:
        return self._told

    @property
    def log(self) -> str:
        return "".join(f"{path.name}:\n{path.read_text()[-1500:]}" for path in sorted(self._folder.glob("*.log")))

    @property
    def parts(self) -> list[str]:
        """What can be killed."""
        return list(self._parts)

    def client(self, token: str | None = None, *, replica: str | None = None) -> httpx2.Client:
        """An HTTP client of the load balancer or of a replica, with this token or with the operator's key."""
        http = super().client()
        if replica is not None:
            http.base_url = replica
        if token is not None:
            http.headers["authorization"] = f"Bearer {token}"
        return http

    def kill(self, part: str) -> None:
        """SIGKILL it, and start it again at its address."""
        self._parts[part].kill()
        self._parts[part].start()


@contextlib.contextmanager
def running(
    folder: Path,
    *,
    broker: str,
    cassandra: servers.CassandraServer,
    redis: servers.RedisServer,
    keycloak: KeycloakServer | None = None,
) -> Iterator[Topology]:
    """The topology with its files in `folder`, on a broker of this kind, until the block ends.

    Raises: Missing: there is no such broker or no load balancer on this machine.
    """
    if ENVOY is None:
        raise servers.Missing("Envoy is not installed: `make envoy`")
    with contextlib.ExitStack() as stack:
        carrier, carried_by = stack.enter_context(brokers.running(broker, folder / broker))
        postgres = stack.enter_context(servers.running_postgres(folder / "pg"))
        database, records = postgres.create_database(), postgres.create_database()
        ours = {
            "postgres__dsn": database.app_dsn,
            "audit__dsn": records.app_dsn,
            "balances__redis_url": redis.url,
            "history__contact_points": cassandra.server.address,
            "history__user": cassandra.server.user,
            "history__password": cassandra.server.password,
            "history__keyspace": f"topology_{broker}",
        }
        if keycloak is not None:
            ours |= {"oidc__file": str(keycloak.provider_file(folder)), "oidc__allow_loopback": "true"}
        environ = _environ(folder, ours | carried_by)
        owners = {"POSTGRES__OWNER_DSN": database.owner_dsn, "AUDIT__OWNER_DSN": records.owner_dsn}
        _migrate(environ | {f"BILLFOLD_{name}": dsn for name, dsn in owners.items()})
        key = asyncio.run(bootstrapped(database))
        programs, replicas, url = _started(stack, folder, environ)
        record = {
            "api_url": url,
            "api_key": key,
            "postgres_owner_dsn": database.owner_dsn,
            "postgres_dsn": database.app_dsn,
            "audit_dsn": records.app_dsn,
            **{name.replace("__", "_"): value for name, value in carried_by.items()},
        }
        parts: dict[str, Part] = {
            **programs,
            "postgres": postgres,
            broker: carrier,
            "redis": redis,
            "cassandra": cassandra,
        }
        yield Topology(folder, parts, record, environ, replicas=replicas)


def _started(
    stack: contextlib.ExitStack, folder: Path, environ: Mapping[str, str]
) -> tuple[dict[str, Program], Sequence[int], str]:
    """The roles, the ports of the APIs among them, and the address of the load balancer. `stack` stops them all."""
    programs, replicas = _roles(folder, environ)
    for program in programs.values():
        program.spawn()
        stack.callback(program.stop)
    for program in programs.values():
        program.wait_ready()
    gateway, url = _balancer(folder, replicas)
    gateway.start()
    stack.callback(gateway.stop)
    return programs, replicas, url


def _environ(folder: Path, ours: Mapping[str, str]) -> dict[str, str]:
    """What all roles are told."""
    same = {
        "keys__file": str(master_keys.file_in(folder)),
        "ledger__address": ",".join(f"unix:{folder}/ledger-{number}.sock" for number in (1, 2)),
        "history__kind": "cql",
        "history__copies": "1",
        "log__format": "json",
    }
    outer = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
    return outer | {f"BILLFOLD_{name.upper()}": value for name, value in {**same, **ours}.items()}


def _migrate(environ: Mapping[str, str]) -> None:
    """As an operator does before the roles start."""
    command = [sys.executable, "-m", "billfold.app.cli", "migrate"]
    done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def _roles(folder: Path, environ: Mapping[str, str]) -> tuple[dict[str, Program], list[int]]:
    """Two of each, and the ports of the APIs."""
    programs: dict[str, Program] = {}
    replicas: list[int] = []
    for name in ROLES:
        role = name.partition("-")[0]
        port, metrics_port = host.free_port(), host.free_port()
        own = {
            f"BILLFOLD_{role.upper()}__METRICS_PORT": str(metrics_port),
            "BILLFOLD_API__PORT": str(port),
            "BILLFOLD_LEDGER__LISTEN": f"unix:{folder}/{name}.sock",
        }
        ready = f"{_url(metrics_port)}/metrics"
        if role == "api":
            replicas.append(port)
            ready = f"{_url(port)}/readyz"
        command = [sys.executable, "-m", "billfold.app.cli", "serve", role]
        programs[name] = Program(command, {**environ, **own}, ready=ready, log=folder / f"{name}.log")
    return programs, replicas


def _balancer(folder: Path, replicas: list[int]) -> tuple[Program, str]:
    assert ENVOY is not None
    port, admin = host.free_port(), host.free_port()
    file = folder / "envoy.json"
    file.write_bytes(msgspec.json.encode(balancer.configured(port, admin=admin, replicas=replicas)))
    command = [ENVOY, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warn", "-c", str(file)]
    url = _url(port)
    return Program(command, os.environ, ready=f"{url}/readyz", log=folder / "envoy.log"), url


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"
