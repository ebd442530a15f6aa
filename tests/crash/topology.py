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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.error import URLError
from urllib.request import urlopen

import msgspec

from billfold.platform import host
from tests import master_keys, servers
from tests.crash.stack import RECOVERY_TIMEOUT_S, ROOT, START_TIMEOUT_S, Stack
from tests.integration.api.support import bootstrapped
from tests.integration.gateway.support import ENVOY

ROLES = ("api-1", "api-2", "ledger-1", "ledger-2", "worker-1", "worker-2")


class Part(Protocol):
    """Something that can be taken away, and comes back."""

    def kill(self) -> None: ...

    def start(self) -> None: ...


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

    def __init__(self, folder: Path, parts: Mapping[str, Part], record: Mapping[str, Any]) -> None:
        self._folder = folder
        self._parts = parts
        self._told = dict(record)

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

    def kill(self, part: str) -> None:
        """SIGKILL it, and start it again at its address."""
        self._parts[part].kill()
        self._parts[part].start()


@contextlib.contextmanager
def running(folder: Path, *, cassandra: servers.CassandraServer, redis: servers.RedisServer) -> Iterator[Topology]:
    """The topology with its files in `folder`, until the block ends.

    Raises: Missing: there is no load balancer on this machine.
    """
    if ENVOY is None:
        raise servers.Missing("Envoy is not installed: `make envoy`")
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(servers.running_postgres(folder / "pg"))
        nats = stack.enter_context(servers.running_nats(folder / "nats"))
        database, records = postgres.create_database(), postgres.create_database()
        settings = _settings(folder, database, nats, cassandra=cassandra, redis=redis)
        settings["BILLFOLD_AUDIT__DSN"] = records.app_dsn
        owners = {"POSTGRES__OWNER_DSN": database.owner_dsn, "AUDIT__OWNER_DSN": records.owner_dsn}
        _migrate(settings | {f"BILLFOLD_{name}": dsn for name, dsn in owners.items()})
        key = asyncio.run(bootstrapped(database))
        programs, replicas = _roles(folder, settings)
        for program in programs.values():
            program.spawn()
            stack.callback(program.stop)
        for program in programs.values():
            program.wait_ready()
        balancer, url = _balancer(folder, replicas)
        balancer.start()
        stack.callback(balancer.stop)
        record = {
            "api_url": url,
            "api_key": key,
            "nats_url": nats.url,
            "nats_user": nats.user,
            "nats_password": nats.password,
            "postgres_owner_dsn": database.owner_dsn,
            "postgres_dsn": database.app_dsn,
            "audit_dsn": records.app_dsn,
        }
        yield Topology(
            folder, {**programs, "postgres": postgres, "nats": nats, "redis": redis, "cassandra": cassandra}, record
        )


def _settings(
    folder: Path,
    database: servers.TestDatabase,
    nats: servers.NatsServer,
    *,
    cassandra: servers.CassandraServer,
    redis: servers.RedisServer,
) -> dict[str, str]:
    """What all roles are told."""
    ours = {
        "postgres__dsn": database.app_dsn,
        "nats__url": nats.url,
        "nats__user": nats.user,
        "nats__password": nats.password,
        "keys__file": str(master_keys.file_in(folder)),
        "ledger__address": ",".join(f"unix:{folder}/ledger-{number}.sock" for number in (1, 2)),
        "balances__redis_url": redis.url,
        "history__kind": "cql",
        "history__contact_points": cassandra.url,
        "history__keyspace": "topology",
        "history__copies": "1",
        "log__format": "json",
    }
    outer = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
    return outer | {f"BILLFOLD_{name.upper()}": value for name, value in ours.items()}


def _migrate(settings: Mapping[str, str]) -> None:
    """As an operator does before the roles start."""
    command = [sys.executable, "-m", "billfold.app.cli", "migrate"]
    done = subprocess.run(command, env=dict(settings), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def _roles(folder: Path, settings: Mapping[str, str]) -> tuple[dict[str, Program], list[int]]:
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
        ready = f"http://127.0.0.1:{metrics_port}/metrics"
        if role == "api":
            replicas.append(port)
            ready = f"http://127.0.0.1:{port}/readyz"
        command = [sys.executable, "-m", "billfold.app.cli", "serve", role]
        programs[name] = Program(command, {**settings, **own}, ready=ready, log=folder / f"{name}.log")
    return programs, replicas


def _balancer(folder: Path, replicas: list[int]) -> tuple[Program, str]:
    """Envoy, which asks the replicas whether they are well, and in turns takes the next that is."""
    assert ENVOY is not None
    port, admin = host.free_port(), host.free_port()
    manager = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    # What has not reached a replica goes to the other one, as with the gateway for production.
    again = {
        "retry_on": "connect-failure,refused-stream",
        "num_retries": 2,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "api", "timeout": "30s", "retry_policy": again}}
    http = {
        "@type": manager,
        "stat_prefix": "topology",
        "route_config": {"virtual_hosts": [{"name": "api", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": router}}],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": http}]
    endpoints = [{"endpoint": {"address": _address(replica)}} for replica in replicas]
    cluster = {
        "name": "api",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "api", "endpoints": [{"lb_endpoints": endpoints}]},
        "health_checks": [
            {
                "timeout": "2s",
                "interval": "0.5s",
                "unhealthy_threshold": 1,
                "healthy_threshold": 1,
                "http_health_check": {"path": "/readyz"},
            }
        ],
    }
    config = {
        "admin": {"address": _address(admin)},
        "static_resources": {
            "listeners": [{"name": "http", "address": _address(port), "filter_chains": [{"filters": filters}]}],
            "clusters": [cluster],
        },
    }
    file = folder / "envoy.json"
    file.write_bytes(msgspec.json.encode(config))
    command = [ENVOY, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warn", "-c", str(file)]
    url = f"http://127.0.0.1:{port}"
    return Program(command, os.environ, ready=f"{url}/readyz", log=folder / "envoy.log"), url


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
