"""`billfold doctor` finds the usual causes of trouble, says what to do, and ends with 1 when something is wrong."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billfold.app import settings
from billfold.app.supervisor import diagnosis
from billfold.app.supervisor.findings import Finding
from billfold.platform import host
from billfold.platform.rpc import addresses, serving
from tests import servers
from tests.integration.stack import support


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    host.claim_folder(folder)
    return folder


@pytest.fixture
def folder_of_letters(tmp_path: Path) -> Path:
    (tmp_path / "letter").touch()
    return tmp_path


@pytest.fixture
def foreign_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def doctor(data: Path, env: dict[str, str] | None = None) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and the worst finding of each check."""
    ended = support.billfold("doctor", "--json", "--data", str(data), env=env)
    worst: dict[str, dict[str, Any]] = {}
    for finding in json.loads(ended.stdout):
        known = worst.setdefault(finding["check"], finding)
        if ["ok", "warn", "fail"].index(finding["state"]) > ["ok", "warn", "fail"].index(known["state"]):
            worst[finding["check"]] = finding
    return ended.returncode, worst


async def examined(data: Path, environ: dict[str, str] | None = None) -> list[Finding]:
    return await diagnosis.examine(settings.load(environ=environ or {}, overrides={"data_dir": str(data)}))


def test_a_healthy_machine_and_its_own_servers_get_no_complaint(
    data: Path, postgres_server: servers.PostgresServer, nats_server: servers.NatsServer
) -> None:
    database = postgres_server.create_database()
    env = {"BILLFOLD_POSTGRES__DSN": database.app_dsn, "BILLFOLD_NATS__URL": nats_server.url}
    code, found = doctor(data, env)
    assert code == 0, found
    assert [found[check]["state"] for check in ("postgres", "nats", "clock", "python", "disk")] == ["ok"] * 5
    assert re.match(r"PostgreSQL 18\.[1-9]\d* at ", found["postgres"]["found"])
    assert "NATS 2." in found["nats"]["found"]


def test_a_running_stack_is_found_with_its_servers(tmp_path: Path) -> None:
    with support.up(tmp_path / "data") as running:
        code, found = doctor(running.data)
        assert code == 0, found
        assert found["stack"]["found"] == f"running as process {running.process.pid}"
        assert found["postgres"]["state"] == found["nats"]["state"] == "ok"
        assert running.record["nats_password"] not in json.dumps(found)


@pytest.mark.parametrize(
    ("env", "check", "words"),
    [
        ({"BILLFOLD_POSTGRES__DSN": "postgresql://a:hush@127.0.0.1:1/core"}, "postgres", "no connection"),
        ({"BILLFOLD_NATS__URL": "nats://127.0.0.1:1"}, "nats", "No NATS server answers at 127.0.0.1:1"),
        ({"BILLFOLD_LEDGER__ADDRESS": "unix:/nowhere/ledger.sock"}, "ledger", "ledger.sock does not answer"),
        ({"BILLFOLD_LEDGER__ADDRESS": "10.0.0.7:8090"}, "ledger", "is spoken to by TLS alone"),
        ({"BILLFOLD_API__PROT": "1"}, "settings", "nearest one is BILLFOLD_API__PORT"),
    ],
)
def test_what_is_wrong_is_named_and_the_exit_code_is_1(data: Path, env: dict[str, str], check: str, words: str) -> None:
    code, found = doctor(data, env)
    assert (code, found[check]["state"]) == (1, "fail")
    assert words in found[check]["found"]
    assert found[check]["advice"]
    assert "hush" not in json.dumps(found)


def test_people_get_the_same_as_text(data: Path) -> None:
    ended = support.billfold("doctor", "--data", str(data), env={"BILLFOLD_NATS__URL": "nats://127.0.0.1:1"})
    assert ended.returncode == 1
    assert "fail  nats               No NATS server answers" in ended.stdout
    assert "Check the address" in ended.stdout


async def test_each_ledger_of_the_settings_is_asked(data: Path, tmp_path: Path) -> None:
    async def well() -> None:
        pass

    served, gone = f"unix:{tmp_path}/one.sock", f"unix:{tmp_path}/two.sock"
    door = serving.Door(address=addresses.parse(served))
    async with serving.serving(lambda _: None, door=door, names=(), stop=serving.Stop(), check=well):
        found = await examined(data, {"BILLFOLD_LEDGER__ADDRESS": f"{served},{gone}"})
    assert [(finding.state, finding.found) for finding in found if finding.check == "ledger"] == [
        ("ok", f"{served} serves"),
        ("warn", f"{gone} does not answer."),
    ]


async def test_a_taken_port_is_a_fault_when_it_was_asked_for(data: Path, foreign_port: int) -> None:
    found = await examined(data, {"BILLFOLD_API__PORT": str(foreign_port)})
    # The default ports may be taken too, and are then warned of.
    assert [finding.found for finding in found if finding.check == "ports" and finding.state == "fail"] == [
        f"api.port {foreign_port} is taken by another program"
    ]


async def test_a_data_folder_that_others_may_enter_is_a_fault(data: Path) -> None:
    data.chmod(0o755)
    found = [finding for finding in await examined(data) if finding.check == "data folder"]
    assert [finding.state for finding in found] == ["fail"]
    assert f"chmod 700 {data}" in found[0].found


async def test_a_server_folder_that_others_may_enter_is_a_fault(data: Path) -> None:
    (data / "postgres").mkdir()
    (data / "postgres").chmod(0o750)
    found = [finding for finding in await examined(data) if finding.state == "fail"]
    assert f"Run `chmod 700 {data / 'postgres'}`." in [finding.advice for finding in found]


async def test_a_folder_of_other_files_is_a_fault(folder_of_letters: Path) -> None:
    found = [finding for finding in await examined(folder_of_letters) if finding.state == "fail"]
    assert ["not Billfold's" in finding.found for finding in found] == [True]


async def test_a_killed_stack_is_a_warning(data: Path) -> None:
    (data / "up.lock").touch()
    (data / "stack.json").touch()
    found = [finding for finding in await examined(data) if finding.check == "stack"]
    assert [(finding.state, finding.found) for finding in found] == [("warn", "not running; it was killed")]


@pytest.mark.parametrize(("free_mb", "state"), [(100, "fail"), (2_000, "warn"), (20_000, "ok")])
async def test_a_disk_that_is_nearly_full_is_found(
    data: Path, monkeypatch: pytest.MonkeyPatch, free_mb: int, state: str
) -> None:
    class Usage:
        free = free_mb * 1024**2

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
    assert [finding.state for finding in await examined(data) if finding.check == "disk"] == [state]


@pytest.mark.parametrize(("skew_s", "state"), [(0.2, "ok"), (-3, "warn"), (60, "fail"), (-60, "fail")])
def test_clocks_that_differ_are_found(skew_s: float, state: str) -> None:
    assert diagnosis._clock(dt.timedelta(seconds=skew_s)).state == state
