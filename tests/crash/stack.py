"""A whole stack, as a user starts it, with clients at it."""

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
import msgspec

from billfold.platform import host
from tests.crash import audit, load
from tests.crash import journal as journals

_ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 90.0
#: From a kill to the next answer; the slowest is PostgreSQL's recovery on a busy machine.
RECOVERY_TIMEOUT_S = 90.0
WALLETS = 12
PARTS = ("api", "worker", "nats", "postgres")


class Stack:
    """A running `billfold up` on a folder of its own."""

    def __init__(self, data: Path) -> None:
        self._data = data
        names = ("API__PORT", "API__METRICS_PORT", "WORKER__METRICS_PORT")
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
            cwd=_ROOT,
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
        return httpx2.Client(base_url=record["api_url"], headers=headers, timeout=load.TIMEOUT_S)

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


class Clients:
    """The load, as a process of its own, and what it was told."""

    def __init__(self, stack: Stack, folder: Path, *, seed: int) -> None:
        record = stack.record
        self.plan = load.Plan(
            url=record["api_url"],
            api_key=record["api_key"],
            nats_url=record["nats_url"],
            nats_user=record["nats_user"],
            nats_password=record["nats_password"],
            wallets=_wallets(stack),
            journal=str(folder / "journal.jsonl"),
            seed=seed,
        )
        plan = folder / "plan.json"
        plan.write_bytes(msgspec.json.encode(self.plan))
        self._reader = journals.Reader(Path(self.plan.journal))
        self._answers = 0
        self._process = subprocess.Popen([sys.executable, "-m", "tests.crash.load", str(plan)], cwd=_ROOT)

    @property
    def answers(self) -> int:
        """How many answers there have been."""
        self._answers += sum(isinstance(line, journals.Answer) for line in self._reader.news())
        return self._answers

    def stop(self) -> audit.Story:
        """End the load and read what it was told."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(RECOVERY_TIMEOUT_S) == 0, "the load has failed"
        return audit.Story.read(Path(self.plan.journal))

    def close(self) -> None:
        """End it whatever it does."""
        self._process.kill()
        self._process.wait()


def at(plan: load.Plan, record: dict[str, Any]) -> load.Plan:
    """The plan for a stack that was started again, and may listen elsewhere."""
    fields = ("api_key", "nats_url", "nats_user", "nats_password")
    return msgspec.structs.replace(plan, url=record["api_url"], **{field: record[field] for field in fields})


def _wallets(stack: Stack) -> list[str]:
    """Few wallets, so that they are contended, and not so rich that nothing is ever refused."""
    made = []
    with stack.client() as http:
        for number in range(WALLETS):
            answer = http.post(
                "/api/v1/wallets", json={"name": f"Wallet {number}"}, headers={"idempotency-key": f"w{number}"}
            )
            assert answer.is_success, answer.text
            wallet = answer.json()["id"]
            money = {"money": {"amount": "1000.00", "asset": "USD"}, "reference": f"opening {number}"}
            answer = http.post(
                f"/api/v1/wallets/{wallet}/deposits", json=money, headers={"idempotency-key": f"d{number}"}
            )
            assert answer.is_success, answer.text
            made.append(wallet)
    return made


@contextlib.contextmanager
def under_load(folder: Path, *, seed: int, journal: Path | None = None) -> Iterator[tuple[Stack, Clients]]:
    """A stack on `folder` with clients at it, who write their journal there or to a folder of its own."""
    stack = Stack(folder / "data")
    try:
        clients = Clients(stack, journal or folder, seed=seed)
        try:
            yield stack, clients
        finally:
            clients.close()
    finally:
        stack.stop()
