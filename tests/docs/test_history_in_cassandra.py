"""docs/how-to/keep-history-in-cassandra.md: its commands, in its order, bring lists from a real Cassandra."""

import json
import re
import subprocess
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path

from billfold.app.settings import load
from billfold.kernel import ids
from tests import servers
from tests.docs import blocks, stack

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "keep-history-in-cassandra.md"
DEADLINE_S = 120.0


def fence(containing: str) -> str:
    """The code of the page that contains this text."""
    found = [fence.code for fence in blocks.fences(PAGE.read_text(encoding="utf-8")) if containing in fence.code]
    assert len(found) == 1, f"{len(found)} blocks contain {containing!r}"
    return found[0]


def run(code: str, environment: Mapping[str, str]) -> str:
    done = subprocess.run(["bash", "-ec", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def metrics_of(worker: str) -> str:
    return run(f"curl -sS {worker}", stack.clean_environment())


def test_the_settings_of_the_page_are_settings(tmp_path: Path) -> None:
    file = tmp_path / "billfold.toml"
    file.write_text(fence("[history]"), encoding="utf-8")
    assert load(file=file, environ={}).settings.history.copies == 3
    assert set(tomllib.loads(fence("[history]"))) == {"history"}


def test_what_the_page_says_brings_lists_from_cassandra(
    cassandra_server: servers.CassandraServer, tmp_path: Path
) -> None:
    settings = {
        "history__kind": "cql",
        "history__contact_points": cassandra_server.server.address,
        "history__user": cassandra_server.server.user,
        "history__password": cassandra_server.server.password,
        "history__copies": "1",
        "history__keyspace": f"page_{ids.new().hex}",
    }
    with stack.running(tmp_path, **settings) as running:
        run(fence("billfold migrate"), running)
        wallet = json.loads(run("billfold wallets create Purse --json", running))["id"]
        environment = running | {"WALLET": wallet}
        run(f"billfold wallets deposit {wallet} 10 USD", environment)
        assert "Transactions" in run(fence("billfold projections rebuild history"), environment)
        assert run(fence("transactions?wallet"), environment).strip() == fence("history-source: cql").strip()
        # From here on the worker copies what happens.
        run(f"billfold wallets withdraw {wallet} 1 USD", environment)
        deadline = time.monotonic() + DEADLINE_S
        while run(fence("transactions?wallet"), environment).strip() != "history-source: cql":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "history-source: cql" in run(fence("billfold requests wait"), environment)
        worker = json.loads(run("billfold status --json", environment))["metrics_urls"]["worker"]
        said = metrics_of(worker)
        for name in re.findall(r"^\| `(billfold_\w+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
            assert name in said, name
