"""What a login does not suffice for is confirmed by a second factor."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.acceptance.cli.people.machines import PASSWORD, Person
from tests.acceptance.cli.test_terminal import at_a_terminal
from tests.commands import Billfold


def test_a_second_factor_is_asked_for_and_given(careful: Person, tmp_path: Path) -> None:
    other = careful.elsewhere(tmp_path / "other")
    login = ("login", careful.email, "--password-stdin")
    assert "--code" in other(*login, stdin=PASSWORD, code=2).err
    wrong = other(*login, "--code", "000000", "--json", stdin=PASSWORD, code=1)
    assert json.loads(wrong.err)["error"]["code"] == "second_factor_wrong"
    assert other.json(*login, "--code", careful.code(), stdin=PASSWORD)["user_id"] == careful.id


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
