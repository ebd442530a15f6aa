"""Chains of this machine's own beside a stack: nobody waits for them, they are kept running, and keep their blocks."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from billfold.app import settings
from billfold.app.supervisor import chains
from billfold.app.supervisor.additions import Added, Addition, Additions
from billfold.app.supervisor.keeper import Keeper
from billfold.platform import children
from tests.integration.stack import support

#: Two are enough, and these start quickly. Nobody listens where the others are said to be.
OTHERS = {
    "BILLFOLD_ETHEREUM__URLS": "http://127.0.0.1:1",
    "BILLFOLD_SOLANA__URLS": "http://user:hunter2@127.0.0.1:1",
    "BILLFOLD_BITCOIN__RELEASE_AFTER": "5",
    # The small roles of these tests make no tables for a signer.
    "BILLFOLD_SIGNER__ADDRESS": "unix:/run/billfold/elsewhere.sock",
}
SOMEBODY = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Up]:
    with support.up(tmp_path_factory.mktemp("sandbox") / "data", sandbox=True, env=OTHERS) as up:
        support.eventually(lambda: {"bitcoin", "stellar"} <= up.record["processes"].keys(), "both chains")
        yield up


def chain(running: support.Up, *arguments: str) -> Any:
    found = support.billfold("chain", *arguments, "--json", "--data", str(running.data))
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def refused(running: support.Up, *arguments: str) -> tuple[int, str]:
    found = support.billfold("chain", *arguments, "--data", str(running.data))
    return found.returncode, found.stderr


def state(running: support.Up, name: str) -> Any:
    return httpx2.get(f"{running.record['addresses'][name]}/devnet").json()


def test_the_stack_is_up_before_its_chains_and_says_so(running: support.Up) -> None:
    assert running.first["starting"] == ["bitcoin", "stellar"]
    assert running.record["starting"] == []
    shown = support.billfold("status", "--data", str(running.data)).stdout
    assert "bitcoin" in shown
    assert "solana is left out: solana.urls is set by $BILLFOLD_SOLANA__URLS, and stays as it is." in shown


def test_the_roles_are_told_where_the_chains_are(running: support.Up) -> None:
    told = running.record["settings"]
    assert told["bitcoin.network"] == told["stellar.network"] == "sandbox"
    assert told["stellar.urls"] == running.record["addresses"]["stellar"]
    assert told["bitcoin.credit_after"] == 1
    assert "bitcoin.release_after" not in told, "what is set stays"
    assert not [key for key in told if key.startswith("ethereum.") and key != "ethereum.urls"]


def test_the_password_of_a_node_is_shown_nowhere(running: support.Up) -> None:
    password = (running.data / "devnet" / "bitcoin" / "password").read_text()
    assert password in running.record["settings"]["bitcoin.urls"]
    for pid in (running.process.pid, *support.descendants(running.process.pid)):
        assert password not in support.command_line(pid)
    shown = support.billfold("status", "--json", "--data", str(running.data)).stdout
    assert password not in shown + running.log
    assert "hunter2" not in shown + running.log


def test_a_chain_is_played_with(running: support.Up) -> None:
    assert chain(running, "stall", "bitcoin")["stalled"] is True
    before = state(running, "bitcoin")["height"]
    assert chain(running, "faucet", "bitcoin", "0.5", SOMEBODY)["chain_tx"]
    assert chain(running, "mine", "bitcoin", "3")["height"] == before + 3
    replaced = state(running, "bitcoin")["hash"]
    after = chain(running, "reorg", "bitcoin", "2")
    assert (after["height"], after["hash"] == replaced) == (before + 4, False)
    assert chain(running, "stall", "bitcoin", "--off")["stalled"] is False


def test_what_a_chain_cannot_do_is_said(running: support.Up) -> None:
    assert refused(running, "reorg", "stellar", "1") == (1, "billfold: this chain is final.\n")
    code, why = refused(running, "faucet", "bitcoin", "1", "nobody")
    assert code == 1
    assert "address" in why
    code, why = refused(running, "mine", "solana")
    assert (code, "solana.urls is set by" in why) == (3, True)
    assert refused(running, "mine", "dogecoin")[0] == 2


def test_a_chain_that_is_killed_is_started_again_with_its_blocks_at_its_address(running: support.Up) -> None:
    chain(running, "stall", "stellar")
    before = chain(running, "status", "stellar")["chains"]["stellar"]
    pid = running.pid("stellar")
    os.kill(pid, signal.SIGKILL)
    support.eventually(lambda: running.pid("stellar") != pid, "another process")
    assert running.record["addresses"]["stellar"] == before["url"]
    assert state(running, "stellar")["height"] >= before["height"]
    assert running.first["processes"]["api"] == running.pid("api")


def test_without_a_sandbox_there_is_no_chain_to_play_with(tmp_path: Path) -> None:
    found = support.billfold("chain", "status", "--data", str(tmp_path))
    assert (found.returncode, "No stack runs" in found.stderr) == (3, True)


def test_what_is_not_installed_is_left_out() -> None:
    loaded = settings.Loaded(settings=settings.Settings(), sources={})
    planned = chains.plan(loaded, say=print, installed=lambda name: name == "solders")
    assert [one.name for one in planned.late] == ["solana"]
    assert planned.left_out["bitcoin"].startswith("Its engine is not installed: pip install 'billfold[sandbox]'")


class Unlucky:
    """A chain that never comes up."""

    name = "unlucky"
    url = address = "nowhere"

    async def start(self) -> children.Child:
        raise children.ChildFailed("unlucky ended with exit code 1")


async def test_a_late_server_that_does_not_start_is_left_out_when_the_stack_is_up(tmp_path: Path) -> None:
    said: list[str] = []
    changes: list[list[str]] = []
    added = Added(
        tmp_path,
        keeper=lambda service: Keeper(service, say=said.append, changed=lambda: None),
        say=said.append,
        changed=lambda: changes.append(added.starting),
    )
    late = Addition(
        name="unlucky",
        title="Unlucky",
        make=lambda *_: Unlucky(),
        settings=lambda url: {"bitcoin.urls": url},
        without="nothing comes",
    )
    await added.start(Additions(late=[late]), log=lambda _: said.append)
    assert (added.starting, added.settings, said) == (["unlucky"], {"bitcoin.urls": "nowhere"}, [])
    await added.kept()
    assert added.left_out == {"unlucky": "it does not start: unlucky ended with exit code 1. Without it nothing comes"}
    assert changes == [[]]
