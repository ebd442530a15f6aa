"""docs/how-to/run-on-your-own-servers.md: what stands there makes two empty servers into a running Billfold."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from billfold.platform import host
from tests import servers
from tests.docs import blocks, stack

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-on-your-own-servers.md"
DEADLINE_S = 300.0


def fence(containing: str) -> str:
    """The code of the page that contains this text."""
    found = [fence.code for fence in blocks.fences(PAGE.read_text(encoding="utf-8")) if containing in fence.code]
    assert len(found) == 1, f"{len(found)} blocks contain {containing!r}"
    return found[0]


@pytest.fixture
def bare_postgres_server(tmp_path: Path) -> Iterator[servers.PostgresServer]:
    """A server without anything of ours."""
    with servers.running_postgres(tmp_path / "pg") as server:
        for database in ("core", "audit", "signer"):
            server.execute(f"DROP DATABASE {database}")
        for role in ("billfold_owner", "billfold_app", "billfold_readonly", "billfold_signer"):
            server.execute(f"DROP ROLE {role}")
        yield server


@pytest.fixture
def bare_nats_server(tmp_path: Path) -> Iterator[servers.NatsServer]:
    with servers.running_nats(tmp_path / "nats") as server:
        yield server


@pytest.fixture
def etc(tmp_path: Path, bare_postgres_server: servers.PostgresServer, bare_nats_server: servers.NatsServer) -> Path:
    """The page's folder /etc/billfold, with the files that the page describes."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "billfold.toml").write_text(fence("[nats]"), encoding="utf-8")
    port = str(bare_postgres_server.embedded.port)
    rows = re.findall(r"^\| `/etc/billfold/(\S+)` \| `(\S+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    for name, content in rows:
        (folder / name).write_text(content.replace("5432", port), encoding="utf-8")
    (folder / "nats-password").write_text(bare_nats_server.password, encoding="utf-8")
    return folder


@pytest.fixture
def environment(etc: Path, bare_nats_server: servers.NatsServer) -> dict[str, str]:
    """The page's variables, and the ports that are free here."""
    exported = dict(re.findall(r"export (\w+)=/etc/billfold/(\S+)", fence("billfold migrate --plan")))
    return (
        stack.clean_environment()
        | {name: str(etc / file) for name, file in exported.items()}
        | {
            "BILLFOLD_DATA": str(etc / "none"),
            "BILLFOLD_NATS__URL": bare_nats_server.url,
            "BILLFOLD_API__PORT": str(host.free_port()),
            "BILLFOLD_API__METRICS_PORT": str(host.free_port()),
            "BILLFOLD_WORKER__METRICS_PORT": str(host.free_port()),
        }
    )


def prepared(server: servers.PostgresServer, etc: Path, environment: Mapping[str, str]) -> str:
    """Run the page's SQL and commands, and give back what the commands said."""
    # One by one: several at once are a transaction, in which no database can be made.
    for statement in filter(str.strip, fence("CREATE ROLE").split(";\n")):
        server.execute(statement)
    commands = [line for line in fence("billfold migrate --plan").splitlines() if line.startswith("billfold")]
    script = "\n".join(["set -e", *commands]).replace("/etc/billfold", str(etc))
    run = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@contextmanager
def serving(role: str, environment: Mapping[str, str]) -> Iterator[None]:
    """A role in a process, which ends well when it is asked to."""
    process = subprocess.Popen([sys.executable, "-m", "billfold.app.cli", "serve", role], env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
    assert process.returncode == 0


def wait_for(url: str, text: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            with urlopen(url, timeout=DEADLINE_S) as answer:  # noqa: S310 - an address of our own process.
                said = answer.read().decode()
        except (URLError, ConnectionError) as error:
            said = str(error)
        if text in said:
            return
        assert time.monotonic() < deadline, f"{url} does not say {text!r}:\n{said}"
        time.sleep(0.1)


def test_what_the_page_says_makes_empty_servers_into_a_running_billfold(
    bare_postgres_server: servers.PostgresServer, etc: Path, environment: dict[str, str]
) -> None:
    said = prepared(bare_postgres_server, etc, environment)
    assert "Would be applied:" in said
    assert "bf_live_" in said
    with serving("api", environment), serving("worker", environment):
        wait_for(f"http://127.0.0.1:{environment['BILLFOLD_API__PORT']}/readyz", '"ready"')
        # The event of the key that was made, and the fact for the audit.
        metrics = f"http://127.0.0.1:{environment['BILLFOLD_WORKER__METRICS_PORT']}/metrics"
        wait_for(metrics, "billfold_outbox_published_total 2.0")
        wait_for(metrics, "billfold_audit_recorded_total 1.0")


def test_the_service_starts_a_role_and_names_every_secret_that_the_roles_need() -> None:
    unit = fence("[Service]")
    assert "ExecStart=/opt/billfold/bin/billfold serve %i --config /etc/billfold/billfold.toml" in unit
    named = set(re.findall(r"^Environment=(\w+)=%d/", unit, re.MULTILINE))
    described = set(re.findall(r"`(BILLFOLD_\w+_FILE)`", PAGE.read_text(encoding="utf-8")))
    assert described - named == {"BILLFOLD_POSTGRES__OWNER_DSN_FILE", "BILLFOLD_AUDIT__OWNER_DSN_FILE"}
    assert "BILLFOLD_KEYS__FILE" in named
