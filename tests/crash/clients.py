"""Clients at a stack, as a process of their own."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.crash import journal, load
from tests.crash.stack import RECOVERY_TIMEOUT_S, ROOT, Stack
from tests.crash.story import Story

WALLETS = 12


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
            opening=_opening(stack),
            journal=str(folder / "journal.jsonl"),
            seed=seed,
        )
        plan = folder / "plan.json"
        plan.write_bytes(msgspec.json.encode(self.plan))
        self._reader = journal.Reader(Path(self.plan.journal))
        self._answers = 0
        self._process = subprocess.Popen([sys.executable, "-m", "tests.crash.load", str(plan)], cwd=ROOT)

    @property
    def answers(self) -> int:
        """How many answers there have been."""
        self._answers += sum(isinstance(line, journal.Answer) for line in self._reader.news())
        return self._answers

    def stop(self) -> Story:
        """End the load and read what it was told."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(RECOVERY_TIMEOUT_S) == 0, "the load has failed"
        return Story.read(Path(self.plan.journal))

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


def _opening(stack: Stack) -> list[str]:
    """The transfers that there are before the load begins."""
    with stack.client() as http:
        answer = http.get("/api/v1/transactions", params={"limit": 100})
        assert answer.is_success, answer.text
        return [transaction["id"] for transaction in answer.json()["items"]]


@contextlib.contextmanager
def under_load(folder: Path, *, seed: int, notes: Path | None = None) -> Iterator[tuple[Stack, Clients]]:
    """A stack on `folder` with clients at it, who write their journal there or to a folder of its own.

    When all has gone well nothing of it stays, or a long run would fill the disk.
    """
    stack = Stack(folder / "data")
    try:
        clients = Clients(stack, notes or folder, seed=seed)
        try:
            yield stack, clients
        finally:
            clients.close()
    finally:
        stack.stop()
    shutil.rmtree(folder / "data")
    Path(clients.plan.journal).unlink()
