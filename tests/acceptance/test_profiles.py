"""One folder under both profiles of `billfold up`: money moves on all that there is, and none is lost between them."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx2
import pytest
from cassandra.cluster import Cluster, NoHostAvailable

from tests.commands import Billfold
from tests.docs import stack
from tests.integration.stack.support import command_line, descendants

#: Far more than any of it takes on an idle machine.
DEADLINE_S = 120.0


class Running:
    """A running stack, as somebody with its sandbox key sees it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.billfold = Billfold(dict(environment))
        self._data = Path(environment["BILLFOLD_DATA"])
        self._api = f"{environment['BILLFOLD_URL']}/api/v1"
        self._headers = {"authorization": f"Bearer {environment['BILLFOLD_API_KEY']}"}

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self._data / "stack.json").read_text(encoding="utf-8"))
        return found

    def history(self, wallet: str) -> tuple[str | None, list[str]]:
        """Where the wallet's transactions were read, and their amounts, the newest first."""
        answer = httpx2.get(f"{self._api}/transactions", params={"wallet": wallet}, headers=self._headers)
        assert answer.status_code == 200, answer.text
        amounts = [one["money"]["amount"] for one in answer.json()["items"]]
        return answer.headers.get("history-source"), amounts

    def balance(self, wallet: str) -> tuple[str | None, str]:
        """How old the wallet's balance is, if it is not the ledger's; and the balance."""
        url, headers = f"{self._api}/wallets/{wallet}/balance", {**self._headers, "cache-control": "max-age=3600"}
        answer = httpx2.get(url, params={"asset": "USD"}, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.headers.get("age"), answer.json()["balances"][0]["posted"]

    def shows(self, wallet: str, *, amounts: list[str], balance: str) -> None:
        """Wait until Cassandra and Redis have caught up; whoever asks meanwhile is told the same by the ledger."""

        def caught_up() -> bool:
            source, listed = self.history(wallet)
            assert listed == amounts
            return source == "cql"

        def is_kept() -> bool:
            age, _ = self.balance(wallet)
            return age is not None

        eventually(caught_up, "a history from Cassandra")
        eventually(is_kept, "a balance from Redis")
        eventually(lambda: self.balance(wallet)[1] == balance, f"a balance of {balance}")

    def kill(self, *names: str) -> None:
        """SIGKILL these parts, and wait until others are in their places."""
        before = self.record["processes"]
        for name in names:
            os.kill(before[name], signal.SIGKILL)
        for name in names:
            eventually(lambda name=name: self.record["processes"][name] != before[name], f"another {name}")  # type: ignore[misc]

    def posted_by(self, ledger: str) -> float:
        """How many calls that post this ledger has answered."""
        with urlopen(self.record["metrics_urls"][ledger]) as answer:  # noqa: S310 - an address of our own stack.
            text = answer.read().decode()
        counts = re.findall(r'^billfold_rpc_server_seconds_count{[^}]*method="Post\w*"[^}]*} (\S+)', text, re.MULTILINE)
        return sum(map(float, counts))


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {what}"
        time.sleep(0.1)


@pytest.mark.usefixtures("full_stack")
def test_money_moves_on_all_parts_and_a_folder_keeps_it_from_profile_to_profile(tmp_path: Path) -> None:
    with stack.running(tmp_path, profile="full") as environment:
        full = Running(environment)
        status = full.billfold.json("status")
        assert (status["profile"], status["left_out"], status["ready"]) == ("full", {}, True)
        assert {"redis", "cassandra", "ledger-1", "ledger-2"} <= set(status["processes"])
        wallet = full.billfold.json("wallets", "create", "Purse")["id"]
        full.billfold.json("wallets", "deposit", wallet, "10", "USD")
        full.shows(wallet, amounts=["10.00"], balance="10.00")
        _its_ledgers_post(full, environment)
        _its_cassandra_answers_nobody_else(full)

        full.kill("redis", "ledger-1")
        full.billfold.json("wallets", "withdraw", wallet, "1", "USD")
        full.shows(wallet, amounts=["1.00", "10.00"], balance="9.00")
        assert full.billfold.json("projections", "compare", "balances")["drift"] == []

    # What asks the ledgers has ended before them.
    ended = [line.split()[0] for line in (tmp_path / "up.log").read_text().splitlines() if " stopped " in line]
    assert sorted(ended[-4:-2]) == ["api", "worker"]
    assert sorted(ended[-2:]) == ["ledger-1", "ledger-2"]

    with stack.running(tmp_path) as environment:
        minimal = Running(environment)
        assert minimal.billfold.json("status")["profile"] == "minimal"
        assert minimal.balance(wallet) == (None, "9.00")
        minimal.billfold.json("wallets", "deposit", wallet, "3", "USD")
        assert minimal.history(wallet) == ("postgresql", ["3.00", "1.00", "10.00"])

    with stack.running(tmp_path, profile="full") as environment:
        again = Running(environment)
        again.shows(wallet, amounts=["3.00", "1.00", "10.00"], balance="12.00")
        assert again.billfold.json("ledger", "verify")["faults"] == []


def _its_cassandra_answers_nobody_else(full: Running) -> None:
    """Its password is for the roles alone, and nobody is shown it."""
    password = full.record["settings"]["history.password"]
    address, port = full.record["addresses"]["cassandra"].split(":")
    with (
        Cluster(
            [address],
            port=int(port),
            protocol_version=4,
            connect_timeout=DEADLINE_S,
            control_connection_timeout=DEADLINE_S,
        ) as stranger,
        pytest.raises(NoHostAvailable, match="requires authentication"),
    ):
        stranger.connect()
    for pid in (full.record["pid"], *descendants(full.record["pid"])):
        assert password not in command_line(pid)
    for command in ("status", "doctor"):
        assert password not in json.dumps(full.billfold.json(command))


def _its_ledgers_post(full: Running, environment: Mapping[str, str]) -> None:
    with urlopen(f"{environment['BILLFOLD_URL']}/readyz") as answer:  # noqa: S310 - an address of our own stack.
        assert json.load(answer)["dependencies"]["ledger"] == {"state": "up"}
    assert full.posted_by("ledger-1") + full.posted_by("ledger-2") >= 1
