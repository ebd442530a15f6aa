"""A real Prometheus, Debian's, that scrapes what a test tells it to and evaluates the rules of `deploy/`."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from billfold.devservers import Missing
from billfold.platform import children, host
from tests.servers.loop import LOG_LINES, loop_thread

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = DEPLOY / "billfold.rules.yml"
_DEADLINE_S = 60.0


class PrometheusServer:
    """A running server, and what it has found out."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of its API."""
        answer = httpx2.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=_DEADLINE_S)
        body = answer.json()
        assert body["status"] == "success", (parameters, body)
        return body["data"]

    def wait_for(self, query: str) -> list[Any]:
        """What a query finds, once it finds something."""
        deadline = time.monotonic() + _DEADLINE_S
        while True:
            found: list[Any] = self.ask("query", query=query)["result"]
            if found:
                return found
            assert time.monotonic() < deadline, f"nothing for {query}"
            time.sleep(0.1)

    def rules(self) -> dict[str, Any]:
        """The rules by name, once each was evaluated."""
        deadline = time.monotonic() + _DEADLINE_S
        while True:
            found = {rule["name"]: rule for group in self.ask("rules")["groups"] for rule in group["rules"]}
            if found and all(rule["health"] != "unknown" for rule in found.values()):
                return found
            assert time.monotonic() < deadline, "not evaluated in time"
            time.sleep(0.1)


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Prometheus's own checker.

    Raises: Missing.
    """
    return subprocess.run([_installed("promtool"), *arguments], capture_output=True, text=True, check=False)


@contextmanager
def running_prometheus(folder: Path, *, targets: Mapping[str, str]) -> Iterator[PrometheusServer]:
    """One that scrapes `targets` (job → address), until the block ends.

    Raises: Missing.
    """
    port = host.free_port()
    shutil.copy(RULES, folder)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [RULES.name],
        "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [at]}]} for job, at in targets.items()],
    }
    # YAML takes JSON.
    (folder / "prometheus.yml").write_bytes(msgspec.json.encode(config))
    options = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{port}",
    }
    program = children.Program(
        name="prometheus",
        command=(_installed("prometheus"), *(f"--{name}={value}" for name, value in options.items())),
        lock=folder / "prometheus.lock",
    )
    log: deque[str] = deque(maxlen=LOG_LINES)
    with loop_thread() as thread:
        child = thread.run(children.start(program, on_line=log.append))
        try:
            yield PrometheusServer(_ready(f"http://127.0.0.1:{port}", child, log))
        finally:
            thread.run(child.stop())


def _ready(url: str, child: children.Child, log: deque[str]) -> str:
    deadline = time.monotonic() + _DEADLINE_S
    while True:
        assert child.running, list(log)
        assert time.monotonic() < deadline, list(log)
        try:
            if httpx2.get(f"{url}/-/ready", timeout=_DEADLINE_S).is_success:
                return url
        except httpx2.TransportError:
            pass
        time.sleep(0.05)


def _installed(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        raise Missing("Prometheus is the Debian package prometheus, which is not installed")
    return program
