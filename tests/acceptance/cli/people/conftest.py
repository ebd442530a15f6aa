"""One stack for all of them. Each test is people of its own, at machines of their own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import keyring
import pyotp
import pytest
from keyring.backends import fail

from tests import smtp
from tests.acceptance.cli.people.machines import PASSWORD, Person, code_for
from tests.commands import Billfold
from tests.docs import stack
from tests.smtp import SmtpServer

_numbers = count(1)


@pytest.fixture(autouse=True)
def _no_keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())  # type: ignore[no-untyped-call]
    yield
    keyring.set_keyring(before)


@pytest.fixture(scope="package")
def smtp_server() -> Iterator[SmtpServer]:
    with smtp.running() as server:
        yield server


@pytest.fixture(scope="package")
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
