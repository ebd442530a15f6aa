"""People at the command line: they register, log in, confirm what needs it, and leave no secret behind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import keyring
import pyotp
import pytest
from keyring.backends import fail

from tests import smtp
from tests.acceptance.cli.test_terminal import CTRL_C, Terminal, at_a_terminal
from tests.commands import Billfold
from tests.docs import stack
from tests.smtp import SmtpServer

PASSWORD = "correct horse battery staple"
PROCESSES = 6
_numbers = count(1)


@pytest.fixture(autouse=True)
def _no_keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())  # type: ignore[no-untyped-call]
    yield
    keyring.set_keyring(before)


@pytest.fixture(scope="module")
def smtp_server() -> Iterator[SmtpServer]:
    with smtp.running() as server:
        yield server


@pytest.fixture(scope="module")
def people_stack(smtp_server: SmtpServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A stack whose mails go to a real server, and where withdrawals of more than 100 USD are confirmed."""
    settings = {
        "mail__host": "127.0.0.1",
        "mail__port": str(smtp_server.port),
        "mail__tls": "none",
        "security__step_up_above": "USD=100",
    }
    with stack.running(tmp_path_factory.mktemp("people"), **settings) as environment:
        yield environment


@dataclass
class Person:
    """Somebody at a machine of their own."""

    billfold: Billfold
    environment: dict[str, str]
    email: str
    name: str
    id: str = ""
    recovery_codes: list[str] | None = None

    @property
    def files(self) -> list[Path]:
        """What the machine keeps of logins."""
        return sorted(Path(self.environment["XDG_STATE_HOME"]).rglob("*.json"))

    def elsewhere(self, folder: Path) -> Billfold:
        """The same person at another machine, where they are not logged in."""
        return Billfold(self.environment | {"XDG_STATE_HOME": str(folder)})

    def elsewise(self) -> httpx2.Client:
        """The API in their name, by other means than the program."""
        (file,) = self.files
        token = json.loads(file.read_text())["login"]["access_token"]
        return httpx2.Client(
            base_url=self.environment["BILLFOLD_URL"] + "/api/v1", headers={"authorization": f"Bearer {token}"}
        )

    def code(self) -> str:
        """A recovery code, each good for once."""
        assert self.recovery_codes is not None
        return self.recovery_codes.pop()


def code_for(server: SmtpServer, email: str) -> str:
    """The code in the mail to this address, which is waited for."""

    def mails() -> list[str]:
        return [mail.text() for mail in server.received if email in mail.recipients]

    server.wait_until(lambda: bool(mails()), f"a mail to {email}")
    found = re.search(r"\b[0-9]{8}\b", mails()[-1])
    assert found is not None, mails()
    return found[0]


@pytest.fixture
def stranger(people_stack: dict[str, str], tmp_path: Path) -> Person:
    """Somebody without an account, for whom nothing but an address of the API is set."""
    number = next(_numbers)
    environment = {
        "BILLFOLD_URL": people_stack["BILLFOLD_URL"],
        "BILLFOLD_DATA": str(tmp_path / "none"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    return Person(Billfold(environment), environment, f"person{number}@example.com", f"Person {number}")


@pytest.fixture
def register(smtp_server: SmtpServer, people_stack: dict[str, str], tmp_path: Path) -> Any:
    """Makes people who are logged in, each at a machine of their own."""

    def make() -> Person:
        number = next(_numbers)
        environment = {
            "BILLFOLD_URL": people_stack["BILLFOLD_URL"],
            "BILLFOLD_DATA": str(tmp_path / "none"),
            "XDG_STATE_HOME": str(tmp_path / f"state {number}"),
        }
        made = Person(Billfold(environment), environment, f"person{number}@example.com", f"Person {number}")
        asked = made.billfold.json("register", made.email, "--name", made.name, "--password-stdin", stdin=PASSWORD)
        made.id = made.billfold.json("verify", asked["id"], code_for(smtp_server, made.email))["user_id"]
        return made

    return make


@pytest.fixture
def person(register: Any) -> Person:
    """Somebody who is logged in."""
    made: Person = register()
    return made


@pytest.fixture
def careful(person: Person) -> Person:
    """The same with an authenticator app and recovery codes."""
    with person.elsewise() as client:
        secret = client.post("/users/me/factors/totp", json={"password": PASSWORD}).json()["secret"]
        added = client.post("/users/me/factors/totp/confirm", json={"code": pyotp.TOTP(secret).now()})
        assert added.is_success, added.text
        person.recovery_codes = added.json()["recovery_codes"]
    return person


def test_whoever_registers_and_types_the_code_is_logged_in(stranger: Person, smtp_server: SmtpServer) -> None:
    billfold = stranger.billfold
    said = billfold("register", stranger.email, "--name", stranger.name, "--password-stdin", stdin=PASSWORD + "\n").out
    registration = said.split()[-2]
    assert "billfold verify" in said
    assert "You are logged in at" in billfold("verify", registration, code_for(smtp_server, stranger.email)).out
    me = billfold.json("whoami")
    assert me["user"]["email"] == stranger.email
    assert me["credentials"] == "login"
    assert stranger.name in billfold("whoami").out
    wallet = billfold.json("wallets", "create", "Mine")
    assert wallet["owner_id"] == me["user"]["id"]


def test_a_wrong_code_makes_nobody(stranger: Person) -> None:
    asked = stranger.billfold.json(
        "register", stranger.email, "--name", stranger.name, "--password-stdin", stdin=PASSWORD
    )
    assert "code is wrong" in stranger.billfold("verify", asked["id"], "00000000", code=1).err
    assert stranger.files == []


def test_a_password_that_is_guessed_first_is_refused(stranger: Person) -> None:
    said = stranger.billfold(
        "register", stranger.email, "--name", "X", "--password-stdin", stdin="password1234", code=1
    )
    assert "guessed first" in said.err


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


def test_a_second_factor_is_asked_for_and_given(careful: Person, tmp_path: Path) -> None:
    other = careful.elsewhere(tmp_path / "other")
    login = ("login", careful.email, "--password-stdin")
    assert "--code" in other(*login, stdin=PASSWORD, code=2).err
    wrong = other(*login, "--code", "000000", "--json", stdin=PASSWORD, code=1)
    assert json.loads(wrong.err)["error"]["code"] == "second_factor_wrong"
    assert other.json(*login, "--code", careful.code(), stdin=PASSWORD)["user_id"] == careful.id


def test_a_new_key_is_confirmed_by_a_code_and_a_key_confirms_nothing(careful: Person, tmp_path: Path) -> None:
    create = ("keys", "create", "Shop", "--scope", "keys:write", "--scope", "wallets:read")
    refused = careful.billfold(*create, code=2).err
    assert "To confirm: Create an API key, with which a program acts as you.\n" in refused
    assert "  name: Shop\n" in refused
    assert "There is no terminal to ask for this: code of your authenticator app" in refused
    made = careful.billfold.json(*create, "--code", careful.code())
    # The key in the name of its owner, where they are logged in, and where they are not.
    here = careful.billfold("keys", "create", "Other", "--scope", "wallets:read", "--api-key", made["key"], code=2)
    assert "--code" in here.err
    there = careful.elsewhere(tmp_path / "other")
    said = there("keys", "create", "Other", "--scope", "wallets:read", "--api-key", made["key"], code=1).err
    assert "a key can't confirm it: `billfold login`" in said
    assert "--idempotency-key cli-" in said
    second = careful.billfold.json(
        "keys", "create", "Other", "--scope", "wallets:read", "--api-key", made["key"], "--code", careful.code()
    )
    assert second["key"] != made["key"]


def test_a_new_key_is_approved_in_a_browser_while_the_command_waits(
    careful: Person, people_stack: dict[str, str]
) -> None:
    environment = {"PATH": people_stack["PATH"]} | careful.environment
    with at_a_terminal(environment, "keys", "create", "Shop", "--scope", "wallets:read") as terminal:
        terminal.until("or nothing once it is approved in the browser: ")
        page, waiting = re.findall(r"In a browser: (\S+)#step-up=(\S+)", terminal.shown)[0]
        assert page.startswith("http://localhost:")
        terminal.types(b"\r")
        terminal.until("It is not approved there yet.")
        with careful.elsewise() as client:
            approved = client.post(f"/auth/step-up/{waiting}", json={"recovery_code": careful.code()})
        assert approved.is_success, approved.text
        terminal.until("approved in the browser: ", times=2)
        terminal.types(b"\r")
        terminal.until("Keep the key now")
        assert terminal.process.wait(60) == 0


def test_whoever_lacks_a_scope_or_a_factor_is_told_where_to_look(person: Person) -> None:
    assert "`billfold whoami` shows your roles" in person.billfold("users", "list", code=1).err
    refused = person.billfold("keys", "create", "Shop", "--scope", "wallets:read", code=1).err
    assert re.search(r"http://localhost:\d+/account\.", refused)


def test_a_large_withdrawal_is_confirmed_by_a_code(careful: Person, people_stack: dict[str, str]) -> None:
    wallet = careful.billfold.json("wallets", "create", "Savings")["id"]
    Billfold(people_stack)("wallets", "deposit", wallet, "1000", "USD")
    assert careful.billfold.json("wallets", "withdraw", wallet, "100", "USD")["kind"] == "withdrawal"
    refused = careful.billfold("wallets", "withdraw", wallet, "500", "USD", code=2).err
    assert "500.00" in refused
    done = careful.billfold.json("wallets", "withdraw", wallet, "500", "USD", "--code", careful.code())
    assert done["money"] == {"amount": "500.00", "asset": "USD"}


def test_what_one_person_asks_for_another_one_approves(register: Any, people_stack: dict[str, str]) -> None:
    customer, maker, checker = register(), register(), register()
    wallet = customer.billfold.json("wallets", "create", "Till")["id"]
    for one in (maker, checker):
        Billfold(people_stack)("users", "grant-role", one.email, "treasurer")
    # Nothing refuses a list to whoever sees but their own in it, so its token is not renewed for a role that is new.
    checker.billfold("login", checker.email, "--password-stdin", stdin=PASSWORD)
    deposit = ("wallets", "deposit", wallet, "12.34", "USD", "--idempotency-key")
    assert "another person has to approve it" in maker.billfold(*deposit, "goodwill-1").out
    (waiting,) = checker.billfold.json("approvals", "list", "--status", "pending")
    assert "12.34" in checker.billfold("approvals", "list").out
    assert "asked for this yourself" in maker.billfold("approvals", "approve", waiting["id"], code=1).err
    assert checker.billfold.json("approvals", "approve", waiting["id"])["status"] == "executed"
    assert customer.billfold.json("balance", wallet)
    # The maker's own command says now what has come of it.
    assert maker.billfold.json(*deposit, "goodwill-1")["money"]["amount"] == "12.34"

    rejected = maker.billfold.json(*deposit, "goodwill-2")["id"]
    assert "No invoice" in checker.billfold("approvals", "reject", rejected, "--reason", "No invoice.").out
    assert maker.billfold.json("approvals", "show", rejected)["status"] == "rejected"
    cancelled = maker.billfold.json(*deposit, "goodwill-3")["id"]
    assert maker.billfold.json("approvals", "cancel", cancelled)["status"] == "cancelled"
    assert maker.billfold.json("approvals", "list", "--status", "pending") == []


def test_staff_look_after_people(register: Any, people_stack: dict[str, str]) -> None:
    customer, admin, other = register(), register(), register()
    for one in (admin, other):
        Billfold(people_stack)("users", "grant-role", one.email, "admin")
    (found,) = admin.billfold.json("users", "list", "--email", customer.email)
    assert found["id"] == customer.id
    assert customer.name in admin.billfold("users", "list").out
    assert "Session" in admin.billfold("users", "show", customer.id).out
    waiting = admin.billfold.json("users", "roles", customer.id, "user", "support")
    assert waiting["status"] == "pending"
    assert "another person has to approve it" in admin.billfold("users", "roles", customer.id, "user", "support").out
    assert other.billfold.json("approvals", "approve", waiting["id"])["status"] == "executed"
    assert admin.billfold.json("users", "show", customer.id)["roles"] == ["support", "user"]
    # Less needs nobody else.
    assert admin.billfold.json("users", "roles", customer.id, "user")["roles"] == ["user"]
    assert "logged in nowhere" in admin.billfold("users", "sign-out", customer.id).out
    assert "log in again" in customer.billfold("users", "me", code=1).err


def test_a_password_is_typed_unseen(person: Person, people_stack: dict[str, str], tmp_path: Path) -> None:
    environment = {"PATH": people_stack["PATH"]} | person.environment | {"XDG_STATE_HOME": str(tmp_path / "other")}
    with at_a_terminal(environment, "login", person.email) as terminal:
        terminal.until("Password: ")
        terminal.types(PASSWORD.encode() + b"\r")
        terminal.until("You are logged in at")
        assert terminal.process.wait(60) == 0
    assert PASSWORD not in terminal.shown


def test_two_passwords_that_differ_register_nobody(stranger: Person, people_stack: dict[str, str]) -> None:
    environment = {"PATH": people_stack["PATH"]} | stranger.environment
    with at_a_terminal(environment, "register", stranger.email, "--name", "X") as terminal:
        terminal.until("Password: ")
        terminal.types(PASSWORD.encode() + b"\r")
        terminal.until("Password again: ")
        terminal.types(b"something else\r")
        terminal.until("are not the same")
        assert terminal.process.wait(60) == 1


def test_a_password_that_is_too_short_is_asked_for_again_before_it_is_typed_twice(
    stranger: Person, people_stack: dict[str, str]
) -> None:
    environment = {"PATH": people_stack["PATH"]} | stranger.environment
    with at_a_terminal(environment, "register", stranger.email, "--name", "X") as terminal:
        terminal.until("Password: ")
        terminal.types(b"short\r")
        terminal.until("at least 12 characters")
        terminal.until("Password: ", times=2)
        assert "again" not in terminal.shown
        terminal.types(PASSWORD.encode() + b"\r")
        terminal.until("Password again: ")
        terminal.types(PASSWORD.encode() + b"\r")
        terminal.until("The code: ")


def at_the_code(terminal: Terminal) -> None:
    """Type the password of a registration twice, and be asked for the code."""
    for prompt in ("Password: ", "Password again: "):
        terminal.until(prompt)
        terminal.types(PASSWORD.encode() + b"\r")
    terminal.until("The code: ")


def test_a_mistyped_code_of_a_registration_may_be_typed_again(
    stranger: Person, people_stack: dict[str, str], smtp_server: SmtpServer
) -> None:
    environment = {"PATH": people_stack["PATH"]} | stranger.environment
    with at_a_terminal(environment, "register", stranger.email, "--name", "Ada") as terminal:
        at_the_code(terminal)
        for times, wrong in ((2, b"00000000\r"), (3, b"123\r")):
            terminal.types(wrong)
            terminal.until("The code: ", times=times)
        terminal.types(code_for(smtp_server, stranger.email).encode() + b"\r")
        terminal.until("You are logged in at")
        assert terminal.process.wait(60) == 0


def test_whoever_leaves_before_the_code_is_told_how_to_go_on(
    stranger: Person, people_stack: dict[str, str], smtp_server: SmtpServer
) -> None:
    environment = {"PATH": people_stack["PATH"]} | stranger.environment
    with at_a_terminal(environment, "register", stranger.email, "--name", "Ada") as terminal:
        at_the_code(terminal)
        terminal.types(CTRL_C)
        terminal.until("sends another one.")
        assert terminal.process.wait(60) != 0
    (registration,) = re.findall(r"billfold verify (\S+) CODE", terminal.shown)
    stranger.billfold("verify", registration, code_for(smtp_server, stranger.email))


def test_whoever_registers_at_a_terminal_types_the_code_there(
    stranger: Person, people_stack: dict[str, str], smtp_server: SmtpServer
) -> None:
    environment = {"PATH": people_stack["PATH"]} | stranger.environment
    with at_a_terminal(environment, "register") as terminal:
        terminal.until("E-mail address or phone number")
        terminal.types(stranger.email.encode() + b"\r")
        terminal.until("Your name")
        terminal.types(b"Ada\r")
        for prompt in ("Password: ", "Password again: "):
            terminal.until(prompt)
            terminal.types(PASSWORD.encode() + b"\r")
        terminal.until("The code")
        terminal.types(code_for(smtp_server, stranger.email).encode() + b"\r")
        terminal.until("You are logged in at")
        assert terminal.process.wait(60) == 0
    assert stranger.billfold.json("whoami")["user"]["display_name"] == "Ada"


def test_a_mistyped_code_may_be_typed_again(careful: Person, people_stack: dict[str, str], tmp_path: Path) -> None:
    environment = {"PATH": people_stack["PATH"]} | careful.environment | {"XDG_STATE_HOME": str(tmp_path / "other")}
    with at_a_terminal(environment, "login", careful.email) as terminal:
        terminal.until("Password: ")
        terminal.types(PASSWORD.encode() + b"\r")
        terminal.until("Code of your authenticator app")
        terminal.types(b"000000\r")
        terminal.until("That was not right")
        terminal.until("Code of your authenticator app", times=2)
        terminal.types(careful.code().encode() + b"\r")
        terminal.until("You are logged in at")
        assert terminal.process.wait(60) == 0
