"""A whole stack, as a user starts it, and the ways to take its parts from it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2

from billfold.platform import host
from tests.crash import asking

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 300.0
#: From a kill to the next answer; the slowest is PostgreSQL's recovery on a busy machine.
RECOVERY_TIMEOUT_S = 90.0
PARTS = ("api", "worker", "nats", "postgres")


class Stack:
    """A running `billfold up` on a folder of its own."""

    def __init__(self, data: Path) -> None:
        self._data = data
        names = (
            "API__PORT",
            "API__METRICS_PORT",
            "WORKER__METRICS_PORT",
            "MAIL_SINK__PORT",
            "MAIL_SINK__SMTP_PORT",
        )
        self._ports = {f"BILLFOLD_{name}": str(host.free_port()) for name in names}
        self._log = data.with_suffix(".log").open("ab")
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
        # Ports of its own: two stacks that start in the same second could choose the same free one.
        environment |= self._ports
        process = subprocess.Popen(
            [sys.executable, "-m", "billfold.app.cli", "up", "--data", str(self._data)],
            stdout=self._log,
            stderr=self._log,
            env=environment,
            cwd=ROOT,
        )

        def answers() -> bool:
            assert process.poll() is None, f"billfold up has ended\n{self.log[-3000:]}"
            with contextlib.suppress(FileNotFoundError):
                return int(self.record["pid"]) == process.pid
            return False

        self.wait(answers, "the stack has started", START_TIMEOUT_S)
        return process

    def start(self) -> None:
        """Start it again after it was killed."""
        self._process = self._started()

    def kill_everything(self) -> None:
        """SIGKILL the supervisor and all it has started, at once."""
        kill_family(self._process.pid)
        self._process.wait()

    @property
    def record(self) -> dict[str, Any]:
        """What it tells of itself now."""
        found: dict[str, Any] = json.loads((self._data / "stack.json").read_text(encoding="utf-8"))
        return found

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return Path(self._log.name).read_text(encoding="utf-8", errors="replace")

    def client(self) -> httpx2.Client:
        """An HTTP client with the sandbox's key."""
        record = self.record
        headers = {"authorization": f"Bearer {record['api_key']}"}
        return httpx2.Client(base_url=record["api_url"], headers=headers, timeout=asking.TIMEOUT_S)

    def pid(self, part: str) -> int:
        """The process of a part now."""
        return int(self.record["processes"][part])

    def kill(self, part: str) -> None:
        """SIGKILL a part with all its processes, and wait until the supervisor has put another in its place."""
        before = self.pid(part)
        kill_family(before)
        self.replaced(part, before)

    def replaced(self, part: str, before: int) -> None:
        """Wait until the supervisor has put another process in the place of `before`."""
        self.wait(lambda: self.pid(part) != before, f"{part} has been replaced")

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = RECOVERY_TIMEOUT_S) -> None:
        """Wait until the condition holds, or fail with the end of the log."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}\n{self.log[-3000:]}"
            time.sleep(0.05)

    def stop(self) -> None:
        """As Ctrl-C does. A stack that was killed has nothing to stop."""
        if self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(START_TIMEOUT_S) == 0, self.log[-3000:]
        self._log.close()


@contextlib.contextmanager
def silent(running: Stack, part: str) -> Iterator[None]:
    """A part that takes connections and says nothing."""
    pid = running.pid(part)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def gone(running: Stack, part: str) -> Iterator[None]:
    """A part that was killed, whose address refuses connections: the supervisor stands still and replaces nothing."""
    before, supervisor = running.pid(part), int(running.record["pid"])
    os.kill(supervisor, signal.SIGSTOP)
    try:
        kill_family(before)
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)
    running.replaced(part, before)


def kill_family(pid: int) -> None:
    """SIGKILL a process and all its descendants, the parent first so that it replaces none."""
    family = [pid, *_descendants(pid)]
    for member in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                stat = (entry / "stat").read_text(encoding="utf-8")
                children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found
