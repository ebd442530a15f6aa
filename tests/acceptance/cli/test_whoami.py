"""In whose name commands speak, and why: what is nearer to the command line wins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backends import fail

from billfold.app.logins import Login, Store
from billfold.identity import Identity
from tests.commands import Billfold

_NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _no_keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())  # type: ignore[no-untyped-call]
    yield
    keyring.set_keyring(before)


@pytest.fixture
def at_home(billfold_stack: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of somebody for whom nothing but a stack in a folder is set."""
    return {"BILLFOLD_DATA": billfold_stack["BILLFOLD_DATA"], "XDG_STATE_HOME": str(tmp_path / "state")}


def logged_in(url: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login at this address; whether the API still knows it does not matter to what is chosen."""
    monkeypatch.setenv("XDG_STATE_HOME", state)
    login = Login(
        url=url,
        user_id="u",
        session_id="019aa2c6-7a00-7000-8000-00000000e001",
        access_token="access",
        refresh_token="refresh",
        expires_at=time.time() + 600,
        ends_at=time.time() + 86_400,
    )
    Store(url).write(login)


def test_the_stacks_own_key_is_the_last_resort(at_home: dict[str, str]) -> None:
    found = Billfold(at_home).json("whoami")
    assert found["credentials_from"] == "the stack's own key"
    assert found["url_from"] == f"the stack in {at_home['BILLFOLD_DATA']}"
    assert found["credentials"] == "api_key"
    assert found["user"] is None
    assert found["refused"] is None


def test_a_key_of_the_environment_goes_before_it(at_home: dict[str, str], billfold_stack: dict[str, str]) -> None:
    key = billfold_stack["BILLFOLD_API_KEY"]
    billfold = Billfold(at_home | {"BILLFOLD_API_KEY": key, "BILLFOLD_URL": billfold_stack["BILLFOLD_URL"]})
    found = billfold.json("whoami")
    assert found["credentials_from"] == "the key from $BILLFOLD_API_KEY"
    assert found["url_from"] == "$BILLFOLD_URL"
    assert found["api_key_id"] == str(Identity.id_in_key(key))
    assert key not in billfold("whoami").out


def test_a_key_on_the_command_line_goes_before_all(
    at_home: dict[str, str], billfold_stack: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(billfold_stack["BILLFOLD_URL"], at_home["XDG_STATE_HOME"], monkeypatch)
    billfold = Billfold(at_home | {"BILLFOLD_API_KEY": billfold_stack["BILLFOLD_API_KEY"]})
    found = billfold.json("whoami", "--api-key", "bf_test_wrong", code=1)
    assert found["credentials_from"] == "the key from command line"
    assert found["refused"] == "unauthorized"


def test_a_login_goes_before_the_stacks_key_and_after_the_environments(
    at_home: dict[str, str], billfold_stack: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = billfold_stack["BILLFOLD_URL"]
    logged_in(url, at_home["XDG_STATE_HOME"], monkeypatch)
    found = Billfold(at_home).json("whoami", code=1)
    assert (found["credentials"], found["credentials_from"]) == ("login", "the login at this address")
    # The tokens were made up; the API says so, and they are forgotten.
    assert found["refused"] == "login_ended"
    assert Billfold(at_home).json("whoami")["credentials_from"] == "the stack's own key"
    logged_in(url, at_home["XDG_STATE_HOME"], monkeypatch)
    by_key = Billfold(at_home | {"BILLFOLD_API_KEY": billfold_stack["BILLFOLD_API_KEY"]})
    assert by_key.json("whoami")["credentials_from"] == "the key from $BILLFOLD_API_KEY"


def test_a_login_elsewhere_is_not_used_here(
    at_home: dict[str, str], billfold_stack: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(_NOWHERE, at_home["XDG_STATE_HOME"], monkeypatch)
    named = Billfold(at_home | {"BILLFOLD_URL": billfold_stack["BILLFOLD_URL"] + "/api/v1/"})
    found = named.json("whoami", code=1)
    assert found["credentials_from"] == "no credentials"
    assert found["url"] == billfold_stack["BILLFOLD_URL"]
    assert f"Nobody is logged in at {found['url']}" in named("whoami", code=1).out


def test_who_is_not_logged_in_can_not_log_out(at_home: dict[str, str]) -> None:
    assert "Nobody is logged in at http://127.0.0.1:" in Billfold(at_home)("logout", code=1).err


def test_logging_out_forgets_the_tokens_even_if_the_api_is_gone(
    at_home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(_NOWHERE, at_home["XDG_STATE_HOME"], monkeypatch)
    gone = Billfold(at_home | {"BILLFOLD_URL": _NOWHERE})
    assert "are gone from this machine" in gone("logout").out
    assert Store(_NOWHERE).read() is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("login",),
        ("login", "ada@example.com"),
        ("register", "ada@example.com"),
        ("register", "ada@example.com", "--name", "Ada"),
    ],
)
def test_without_a_terminal_nothing_is_asked(at_home: dict[str, str], arguments: tuple[str, ...]) -> None:
    said = Billfold(at_home)(*arguments, code=2).err
    assert said.startswith("billfold: There is no terminal to ask for")


def test_no_command_takes_a_password_as_an_argument(at_home: dict[str, str]) -> None:
    for command in ("login", "register"):
        assert "--password-stdin" in Billfold(at_home)(command, "--help").out
        assert "No such option" in Billfold(at_home)(command, "ada@example.com", "--password", "x", code=2).err
