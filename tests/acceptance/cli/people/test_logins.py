"""Logging in and out, here and elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from tests.acceptance.cli.people.machines import PASSWORD, Person
from tests.acceptance.cli.test_terminal import at_a_terminal

PROCESSES = 6


def test_logging_out_ends_the_session_and_forgets_the_tokens(person: Person) -> None:
    (file,) = person.files
    login = json.loads(file.read_text())["login"]
    assert "Logged out at" in person.billfold("logout").out
    assert person.files == []
    answer = httpx2.post(
        person.environment["BILLFOLD_URL"] + "/api/v1/auth/refresh", json={"refresh_token": login["refresh_token"]}
    )
    assert answer.status_code == 401
    assert "Nobody is logged in at" in person.billfold("wallets", "list", code=1).err


def test_a_wrong_password_logs_nobody_in(person: Person, tmp_path: Path) -> None:
    other = person.elsewhere(tmp_path / "other")
    said = other("login", person.email, "--password-stdin", stdin="a wrong password", code=1).err
    assert "the name or the password is wrong" in said
    assert not list((tmp_path / "other").rglob("*.json"))


def test_sessions_are_listed_with_their_devices_and_ended_one_by_one(person: Person, tmp_path: Path) -> None:
    other = person.elsewhere(tmp_path / "other")
    made = other.json("login", person.email, "--password-stdin", "--device", "Work laptop", stdin=PASSWORD)
    found = {session["id"]: session for session in person.billfold.json("sessions", "list")}
    assert found[made["session_id"]]["device"] == "Work laptop"
    assert [session["current"] for session in found.values()].count(True) == 1
    assert "Work laptop" in person.billfold("sessions", "list").out
    person.billfold("sessions", "revoke", made["session_id"])
    assert [session["current"] for session in person.billfold.json("sessions", "list")] == [True]
    assert "log in again" in other("sessions", "list", code=1).err
    assert not list((tmp_path / "other").rglob("*.json"))


def test_logging_out_everywhere_ends_all_sessions(person: Person, tmp_path: Path) -> None:
    other = person.elsewhere(tmp_path / "other")
    other("login", person.email, "--password-stdin", stdin=PASSWORD)
    assert "on all devices" in person.billfold("logout", "--everywhere").out
    assert "log in again" in other("users", "me", code=1).err


def test_a_profile_is_changed(person: Person) -> None:
    changed = person.billfold.json("users", "change", "--name", "Ada", "--time-zone", "Asia/Bangkok")
    assert (changed["display_name"], changed["time_zone"]) == ("Ada", "Asia/Bangkok")
    assert "Asia/Bangkok" in person.billfold("users", "me").out
    assert "Say what to change" in person.billfold("users", "change", code=2).err


def worn(person: Person) -> None:
    """Let the access token end now, as this machine sees it."""
    (file,) = person.files
    kept = json.loads(file.read_text())
    kept["login"]["expires_at"] = 0
    file.write_text(json.dumps(kept))


def test_many_commands_at_once_renew_a_login_without_an_alarm(person: Person, people_stack: dict[str, str]) -> None:
    worn(person)
    environment = {"PATH": people_stack["PATH"]} | person.environment

    def run(_: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "billfold.app.cli", "users", "me", "--json"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    with ThreadPoolExecutor(PROCESSES) as pool:
        found = list(pool.map(run, range(PROCESSES)))
    assert [process.returncode for process in found] == [0] * PROCESSES, found
    assert len(person.billfold.json("sessions", "list")) == 1


def test_a_password_is_typed_unseen(person: Person, people_stack: dict[str, str], tmp_path: Path) -> None:
    environment = {"PATH": people_stack["PATH"]} | person.environment | {"XDG_STATE_HOME": str(tmp_path / "other")}
    with at_a_terminal(environment, "login", person.email) as terminal:
        terminal.until("Password: ")
        terminal.types(PASSWORD.encode() + b"\r")
        terminal.until("You are logged in at")
        assert terminal.process.wait(60) == 0
    assert PASSWORD not in terminal.shown
