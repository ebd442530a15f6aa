"""Where logins are kept, and how their tokens are renewed by one process at a time."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring import backend
from keyring.backends import fail
from keyring.errors import KeyringLocked

from billfold.app.client import ApiRefusal, ApiUnreachable
from billfold.app.logins import KeyringClosed, Login, LoginEnded, Session, Store

URL = "http://127.0.0.1:8080"
PROCESSES = 8


class Keyring(backend.KeyringBackend):
    """A keyring of a system, in memory."""

    priority = 5

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        del self.kept[service, username]

    def _check(self) -> None:
        if self.locked:
            raise KeyringLocked("it is locked")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # A developer's own keyring is none of ours, and whoever defines a class of them has one.
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())  # type: ignore[no-untyped-call]
    yield tmp_path / "state"
    keyring.set_keyring(before)


@pytest.fixture
def system_keyring(state: Path) -> Keyring:
    found = Keyring()
    keyring.set_keyring(found)
    return found


def a_login(url: str = URL, *, number: int = 0, good_for_s: float = 600) -> Login:
    return Login(
        url=url,
        user_id="u",
        session_id="s",
        access_token=f"access-{number}",
        refresh_token=f"refresh-{number}",
        expires_at=time.time() + good_for_s,
        ends_at=time.time() + 86_400,
    )


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_without_a_keyring_the_tokens_are_in_a_file_of_ones_own(state: Path) -> None:
    store = Store(URL)
    assert store.read() is None
    assert store.write(a_login()) == "file"
    found = store.read()
    assert found is not None
    assert found.access_token == "access-0"
    (file,) = files(state)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert "refresh-0" in file.read_text()


def test_with_a_keyring_no_token_is_in_a_file(state: Path, system_keyring: Keyring) -> None:
    store = Store(URL)
    assert store.write(a_login()) == "keyring"
    found = store.read()
    assert found is not None
    assert found.refresh_token == "refresh-0"
    assert all("refresh-0" not in file.read_text() and "access-0" not in file.read_text() for file in files(state))
    store.remove()
    assert store.read() is None
    assert system_keyring.kept == {}


def test_a_keyring_that_stays_closed_is_told_and_not_taken_for_a_logout(system_keyring: Keyring) -> None:
    store = Store(URL)
    store.write(a_login())
    system_keyring.locked = True
    with pytest.raises(KeyringClosed, match="it is locked"):
        store.read()
    # A new login goes where it can.
    assert store.write(a_login()) == "file"


def test_each_address_has_a_login_of_its_own() -> None:
    Store(URL).write(a_login())
    assert Store("http://127.0.0.1:8081").read() is None
    Store("http://127.0.0.1:8081").remove()
    assert Store(URL).read() is not None


@pytest.mark.usefixtures("system_keyring")
def test_each_folder_of_state_has_logins_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(URL).write(a_login(number=1))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    Store(URL).write(a_login(number=2))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    found = Store(URL).read()
    assert found is not None
    assert found.access_token == "access-1"


def test_a_file_that_is_garbled_is_no_login(state: Path) -> None:
    Store(URL).write(a_login())
    (file,) = files(state)
    file.write_text("{")
    assert Store(URL).read() is None


def test_no_token_is_in_the_text_of_a_login() -> None:
    assert "access" not in repr(a_login())
    assert "refresh" not in repr(a_login())


def test_a_machine_without_logins_loads_no_keyring() -> None:
    code = (
        "import sys; from billfold.app.logins import Store; Store('http://x').read(); print('keyring' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


class Api:
    """Gives the next tokens for a refresh token that was not used before, as the API does, and counts."""

    def __init__(self) -> None:
        self.used: list[str] = []
        self.status = 200
        self.hangs_up = False
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                assert "authorization" not in self.headers
                status, answer = outer.refresh(body["refresh_token"])
                if outer.hangs_up:
                    self.close_connection = True
                    return
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Nothing is said of requests."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def refresh(self, token: str) -> tuple[int, dict[str, Any]]:
        with self._lock:
            if self.status != 200:
                return self.status, {"code": "passed", "detail": "No.", "retryable": False}
            reused = token in self.used
            self.used.append(token)
            if reused:
                return 401, {"code": "refresh_token_reused", "detail": "Again.", "retryable": False}
            number = len(self.used)
        return 200, {
            "user_id": "u",
            "session_id": "s",
            "access_token": f"access-{number}",
            "expires_in": 600,
            "refresh_token": f"refresh-{number}",
            "refresh_expires_in": 86_400,
        }


@pytest.fixture
def api() -> Iterator[Api]:
    found = Api()
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def session_of(api: Api, *, good_for_s: float = 600) -> Session:
    store = Store(api.url)
    login = a_login(api.url, good_for_s=good_for_s)
    store.write(login)
    return Session(login, store)


async def test_a_token_that_is_good_for_a_while_is_used_as_it_is(api: Api) -> None:
    assert await session_of(api).token() == "access-0"
    assert api.used == []


async def test_a_token_that_ends_soon_is_renewed_and_kept(api: Api) -> None:
    assert await session_of(api, good_for_s=20).token() == "access-1"
    kept = Store(api.url).read()
    assert kept is not None
    assert (kept.access_token, kept.refresh_token) == ("access-1", "refresh-1")


async def test_many_requests_at_once_renew_it_once(api: Api) -> None:
    session = session_of(api, good_for_s=0)
    assert set(await asyncio.gather(*(session.token() for _ in range(20)))) == {"access-1"}
    assert api.used == ["refresh-0"]


_RENEW = """
import asyncio, sys
from billfold.app.logins import Session, Store
store = Store(sys.argv[1])
session = Session(store.read(), store)
print("ready", flush=True)
sys.stdin.readline()
print(asyncio.run(session.token()))
"""


def test_many_processes_at_once_renew_it_once(api: Api) -> None:
    session_of(api, good_for_s=0)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _RENEW, api.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(PROCESSES)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert {process.communicate(timeout=60)[0] for process in running} == {"access-1\n"}
    assert api.used == ["refresh-0"]


async def test_a_token_that_another_process_has_renewed_is_taken_from_it(api: Api) -> None:
    session = session_of(api)
    Store(api.url).write(a_login(api.url, number=7))
    assert await session.renewed("access-0") == "access-7"
    assert api.used == []


@pytest.mark.parametrize("how", ["logged out here", "ended there"])
async def test_a_login_that_has_ended_is_told_and_forgotten(api: Api, how: str) -> None:
    session = session_of(api, good_for_s=0)
    if how == "logged out here":
        Store(api.url).remove()
    else:
        api.status = 401
    with pytest.raises(LoginEnded):
        await session.token()
    assert Store(api.url).read() is None


async def test_a_refusal_of_the_moment_ends_no_login(api: Api) -> None:
    session = session_of(api, good_for_s=0)
    api.status = 503
    with pytest.raises(ApiRefusal):
        await session.token()
    assert Store(api.url).read() is not None


async def test_a_refresh_whose_answer_is_lost_is_not_repeated(api: Api) -> None:
    session = session_of(api, good_for_s=0)
    api.hangs_up = True
    with pytest.raises(ApiUnreachable):
        await session.token()
    assert api.used == ["refresh-0"]
