"""The life of a stack: one start, one at a time, kept alive, stopped cleanly, and no orphan whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from billfold.app import settings
from billfold.app.cli import up
from billfold.app.supervisor import roles
from billfold.platform import host
from billfold.platform.postgres import cluster
from tests.integration.stack import support
from tests.integration.stack.program import BROKEN_ROLE

PROGRAMS = ("api", "nats", "postgres", "worker")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def everybody(running: support.Up) -> set[int]:
    return {running.process.pid, *support.descendants(running.process.pid)}


def assert_all_end(pids: set[int]) -> None:
    support.eventually(
        lambda: not any(map(support.alive, pids)),
        f"the end of {[(pid, support.command_line(pid)) for pid in pids if support.alive(pid)]}",
    )


def state_of_the_database(data: Path) -> str:
    """What PostgreSQL's own tool reads from the control file of a stopped server."""
    tool = cluster.binaries(None) / "pg_controldata"
    text = subprocess.run([tool, data / "postgres"], capture_output=True, text=True, check=True).stdout
    return next(line for line in text.splitlines() if line.startswith("Database cluster state")).split(":")[1].strip()


def test_a_new_stack_tells_where_it_is_and_lets_nobody_else_in(data: Path) -> None:
    with support.up(data) as running:
        assert running.first == running.record
        assert sorted(running.first["processes"]) == list(PROGRAMS)
        assert asyncio.run(roles.answers(f"{running.first['api_url']}/readyz"))
        for folder in (data, data / "postgres", data / "nats"):
            assert mode(folder) == 0o700, folder
        for file in data.iterdir():
            assert file.is_dir() or mode(file) == 0o600, file


def test_a_second_up_on_the_same_folder_says_so_and_ends(data: Path) -> None:
    with support.up(data) as running:
        second = support.billfold("up", "--data", str(data))
        assert second.returncode == 1
        assert f"already runs in {data} as process {running.process.pid}" in second.stderr
        assert support.billfold("status", "--data", str(data)).returncode == 0


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_is_killed_is_started_again(data: Path, name: str) -> None:
    with support.up(data) as running:
        old = running.pid(name)
        os.kill(old, signal.SIGKILL)
        support.eventually(lambda: running.pid(name) != old, f"a new {name}")
        assert support.alive(running.pid(name))
        assert {**running.record, "processes": {}} == {**running.first, "processes": {}}
        assert f"{name} was ended by SIGKILL" in running.log


def test_sigterm_stops_everything_cleanly(data: Path) -> None:
    with support.up(data) as running:
        pids = everybody(running)
        running.process.send_signal(signal.SIGTERM)
        assert running.end() == 0
        assert_all_end(pids)
        assert not (data / "stack.json").exists()
        assert state_of_the_database(data) == "shut down"


def test_ctrl_c_stops_everything_cleanly(data: Path) -> None:
    with support.up(data) as running:
        pids = everybody(running)
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0
        assert_all_end(pids)


def test_a_killed_supervisor_leaves_no_orphan_and_the_next_up_works(data: Path) -> None:
    with support.up(data) as running:
        pids = everybody(running)
        assert len(pids) > len(PROGRAMS)
        running.process.kill()
        assert running.end() == -signal.SIGKILL
        assert_all_end(pids)
        assert state_of_the_database(data) == "shut down"
    with support.up(data) as running:
        assert support.alive(running.pid("postgres"))


def orphans_of(data: Path) -> set[int]:
    """The programs of a stack that was killed together with whatever would have ended them."""
    with support.up(data) as running:
        pids = everybody(running)
        leashes = {pid for pid in pids if "billfold-leash" in support.command_line(pid)}
        assert len(leashes) == len(PROGRAMS)
        for pid in (*leashes, running.process.pid):
            os.kill(pid, signal.SIGKILL)
        running.end()
    orphans = {int(pid) for pid in running.first["processes"].values()}
    assert all(map(support.alive, orphans))
    return orphans


def test_orphans_that_nothing_could_stop_are_ended_by_down(data: Path) -> None:
    orphans = orphans_of(data)
    ended = support.billfold("down", "--data", str(data))
    assert ended.returncode == 0
    assert all(f"{name} " in ended.stdout for name in PROGRAMS), ended.stdout
    assert_all_end(orphans)
    assert support.billfold("down", "--data", str(data)).returncode == 3


def test_orphans_that_nothing_could_stop_are_ended_by_the_next_up(data: Path) -> None:
    orphans = orphans_of(data)
    found = json.loads(support.billfold("doctor", "--json", "--data", str(data)).stdout)
    assert ["left processes behind" in finding["found"] for finding in found if finding["check"] == "stack"] == [True]
    with support.up(data) as running:
        assert_all_end(orphans)
        assert support.alive(running.pid("postgres"))


def test_everything_killed_at_once_is_recovered(data: Path) -> None:
    with support.up(data) as running:
        pids = everybody(running)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # It has followed one that was killed before it.
                os.kill(pid, signal.SIGKILL)
        running.end()
        assert_all_end(pids)
        assert state_of_the_database(data) == "in production"
    with support.up(data) as running:
        assert support.alive(running.pid("postgres"))


def test_a_role_that_never_comes_up_ends_the_start_with_its_last_words(data: Path) -> None:
    failed = support.billfold("up", "--data", str(data), env={BROKEN_ROLE: "1"})
    assert failed.returncode == 1
    assert "worker ended with exit code 1. Its last words: no such worker" in failed.stderr
    assert state_of_the_database(data) == "shut down"
    assert support.billfold("status", "--data", str(data)).returncode == 3


def test_down_stops_the_stack_and_says_when_there_is_none(data: Path) -> None:
    with support.up(data) as running:
        pids = everybody(running)
        assert support.billfold("down", "--data", str(data)).returncode == 0
        assert running.end() == 0
        assert_all_end(pids)
    again = support.billfold("down", "--data", str(data))
    assert again.returncode == 3
    assert "there is nothing to stop" in again.stderr


def test_status_shows_the_stack_without_its_passwords(data: Path) -> None:
    with support.up(data) as running:
        shown = support.billfold("status", "--json", "--data", str(data))
        found = json.loads(shown.stdout)
        assert (found["pid"], found["ready"]) == (running.process.pid, True)
        assert found["processes"] == running.record["processes"]
        assert running.record["nats_password"] not in shown.stdout
        assert "postgresql://" not in shown.stdout
    assert support.billfold("status", "--data", str(data)).returncode == 3


def test_reset_asks_first_and_refuses_while_the_stack_runs(data: Path) -> None:
    with support.up(data):
        refused = support.billfold("reset", "--yes", "--data", str(data))
        assert refused.returncode == 1
        assert "already runs" in refused.stderr
    unanswered = support.billfold("reset", "--data", str(data))
    assert unanswered.returncode == 1
    assert (data / "postgres").exists()
    assert support.billfold("reset", "--yes", "--data", str(data)).returncode == 0
    assert list(data.iterdir()) == []


def test_a_folder_with_other_files_is_neither_taken_nor_closed_nor_emptied(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    (home / "letter").write_text("Dear Ada", encoding="utf-8")
    for command in (("up",), ("reset", "--yes")):
        refused = support.billfold(*command, "--data", str(home))
        assert refused.returncode == 1
        assert "not Billfold's" in refused.stderr
    assert mode(home) == 0o755
    assert [file.name for file in home.iterdir()] == ["letter"]


def test_a_port_that_was_set_and_is_taken_is_refused_and_a_default_gives_way(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        for name in ("BILLFOLD_API__PORT", "BILLFOLD_POSTGRES__PORT", "BILLFOLD_NATS__PORT"):
            refused = support.billfold("up", "--data", str(data), env={name: port})
            assert refused.returncode == 1
            assert f"Port {port} is taken" in refused.stderr
    with (
        support.up(data, default_ports=True) as first,
        support.up(data.with_name("second"), default_ports=True) as second,
    ):
        assert first.record["api_url"] != second.record["api_url"]
        port = urlsplit(second.record["api_url"]).port
        assert f"port 8080 is taken: api.port is {port} this time" in second.log


def test_stacks_that_start_at_the_same_moment_come_up_on_ports_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool, contextlib.ExitStack() as stacks:
        starting = [
            pool.submit(support.Up, tmp_path / str(number), env={"XDG_STATE_HOME": str(tmp_path / "state")})
            for number in range(3)
        ]
        running = [one.result() for one in starting]
        for one in running:
            stacks.callback(one.close)
        assert len({one.first["api_url"] for one in running}) == 3
        for one in running:
            assert one.record["processes"] == one.first["processes"], one.log


def test_a_role_gets_no_rights_of_the_databases_owner(data: Path) -> None:
    with support.up(data) as running:
        environ = Path(f"/proc/{running.pid('api')}/environ").read_bytes()
        assert b"BILLFOLD_POSTGRES__DSN=" in environ
        assert b"OWNER_DSN" not in environ


def test_an_address_that_has_changed_since_the_last_time_is_told(data: Path) -> None:
    with support.up(data) as first:
        assert "last time" not in first.log
    with support.up(data) as second:
        before, now = first.first["api_url"], second.first["api_url"]
        support.eventually(lambda: f"the API is at {now} now; last time it was at {before}" in second.log, "the remark")
        asked = support.billfold("wallets", "list", env={"BILLFOLD_URL": before, "BILLFOLD_DATA": str(data)})
        assert f"That address was set by $BILLFOLD_URL; your stack is at {now}." in asked.stderr


def test_servers_of_ones_own_are_for_serve_and_not_for_up(data: Path) -> None:
    refused = support.billfold("up", "--data", str(data), env={"BILLFOLD_POSTGRES__DSN": "postgresql://db/core"})
    assert refused.returncode == 2
    assert "$BILLFOLD_POSTGRES__DSN" in refused.stderr
    assert "billfold serve" in refused.stderr


def test_logs_are_headed_by_the_name_of_the_program_and_the_end_is_a_table(data: Path) -> None:
    process = subprocess.Popen(
        [*support.PROGRAM, "up", "--data", str(data)],
        stdout=subprocess.PIPE,
        text=True,
        env=support.environment(),
        cwd=Path(support.__file__).parents[3],
    )
    assert process.stdout is not None
    seen = ""
    while "Move some money" not in seen:
        line = process.stdout.readline()
        assert line, seen
        seen += line
    process.terminate()
    rest, _ = process.communicate(timeout=support.DEADLINE_S)
    assert "api      │ listening" in seen
    assert "bf_test_key" in seen
    assert "stopping" in rest
    assert process.returncode == 0


def execute(running: support.Up, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(running.first["postgres_owner_dsn"])
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def test_a_data_folder_of_a_version_without_secrets_gets_its_master_keys(data: Path) -> None:
    with support.up(data) as running:
        execute(running, "CREATE TABLE secrets (sealed bytea NOT NULL)")
    (data / "master.key").unlink()
    with support.up(data) as running:
        assert running.first["keys_file"] == str(data / "master.key")
        assert (data / "master.key").is_file()


def test_master_keys_are_made_once_and_never_again_for_secrets_that_are_there(data: Path) -> None:
    with support.up(data) as running:
        assert running.first["keys_file"] == str(data / "master.key")
        execute(running, "CREATE TABLE secrets (sealed bytea NOT NULL)")
        execute(running, "INSERT INTO secrets VALUES ('x')")
    kept = (data / "master.key").read_bytes()
    (data / "master.key").rename(data / "lost")
    refused = support.billfold("up", "--data", str(data))
    assert refused.returncode == 2
    assert "put it back from your backup" in refused.stderr
    assert f"billfold keys create-master {data}/master.key" in refused.stderr
    assert not (data / "master.key").exists()
    (data / "lost").rename(data / "master.key")
    with support.up(data):
        assert (data / "master.key").read_bytes() == kept


@pytest.mark.parametrize(
    ("kind", "where"), [("kafka", {"kafka.servers": "AT"}), ("rabbitmq", {"rabbitmq.url": "amqp://ada:hush@AT"})]
)
async def test_a_broker_of_ones_own_that_is_away_is_told_in_a_sentence(kind: str, where: dict[str, str]) -> None:
    at = f"127.0.0.1:{host.free_port()}"
    placed = {key: value.replace("AT", at) for key, value in where.items()}
    said: list[str] = []
    await up._tell_of_broker(settings.replaced(settings.Settings(), {"broker.kind": kind, **placed}), said.append)
    assert len(said) == 1
    assert re.match(rf"{kind} at .*{at} is away: money moves without it, and events wait for it\. ", said[0])
    assert "hush" not in said[0]
