"""Access tokens at the role `api` as it is run: in a header, and in a browser's cookie."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from billfold.identity import Identity
from billfold.identity.contracts import SessionTokens
from billfold.identity.store import keys as owners
from billfold.kernel import ids
from billfold.kernel.clock import SystemClock
from billfold.platform.keys import Envelope, local
from billfold.platform.postgres.database import Database
from billfold.platform.web.cookies import csrf_token
from tests import facades, master_keys, servers
from tests.integration.api import support

WALLET = {"name": "Holidays"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


@pytest.fixture(scope="module")
def server(api_database: servers.TestDatabase, folder: Path) -> Iterator[support.ApiServer]:
    with support.running_api(api_database, folder) as server:
        yield server


@pytest.fixture
async def identity(
    api_database: servers.TestDatabase, folder: Path, server: support.ApiServer
) -> AsyncIterator[Identity]:
    """Another process of the same installation."""
    database = await Database.connect(api_database.app_dsn, name="test")
    envelope = Envelope(local.load(master_keys.shared()))
    yield facades.identity(database, envelope=envelope, issuer=server.url)
    await database.close()


@pytest.fixture
async def ada(identity: Identity) -> SessionTokens:
    """Somebody who has just logged in."""
    user_id, database = ids.new(), identity.sessions._database
    async with database.transaction() as connection:
        await owners.insert_owner(connection, owner_id=user_id, name=str(user_id), now=SystemClock().now())
        await connection.execute(
            "INSERT INTO identity.users (id, display_name, locale, time_zone, created_at)"
            " VALUES ($1, 'Ada', 'en', 'UTC', now())",
            user_id,
        )
        return await identity.sessions.start(
            connection, user_id=user_id, methods=["pwd"], device="test", address="127.0.0.1"
        )


def text(tokens: SessionTokens) -> str:
    assert tokens.access_token is not None
    return tokens.access_token


def test_a_person_who_has_logged_in_has_wallets_of_their_own(server: support.ApiServer, ada: SessionTokens) -> None:
    caller = server.caller(text(ada))
    made = caller.post("/wallets", WALLET)
    assert made.status_code == 201
    assert made.json()["owner_id"] == ada.user_id
    assert [wallet["id"] for wallet in caller.get("/wallets").json()["items"]] == [made.json()["id"]]


def test_a_browser_is_logged_in_by_its_cookie_and_changes_things_with_the_token_against_forgery(
    server: support.ApiServer, ada: SessionTokens
) -> None:
    caller, cookie = server.caller(None), f"billfold={text(ada)}"
    assert caller.request("GET", "/wallets", cookie=cookie).status_code == 200
    assert caller.post("/wallets", WALLET, cookie=cookie).json()["code"] == "csrf_token_wrong"
    csrf = csrf_token(text(ada).encode())
    assert caller.post("/wallets", WALLET, cookie=cookie, x_csrf_token=csrf).status_code == 201
    elsewhere = caller.post("/wallets", WALLET, cookie=cookie, x_csrf_token=csrf, sec_fetch_site="cross-site")
    assert elsewhere.json()["code"] == "cross_site"


async def test_within_a_second_of_its_sessions_end_a_token_is_refused(
    server: support.ApiServer, ada: SessionTokens, identity: Identity
) -> None:
    caller = server.caller(text(ada))
    assert caller.get("/wallets").status_code == 200
    by = await identity.authenticate(text(ada).encode())
    await identity.sessions.end(by=by, session_id=UUID(ada.session_id))
    ended_at = time.monotonic()
    while True:
        asked_at = time.monotonic()
        if (answer := caller.get("/wallets")).status_code != 200:
            break
        # How long its answer takes is the machine's affair.
        assert asked_at < ended_at + 1.0
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert "session of this access token has ended" in answer.json()["detail"]


def test_a_token_shows_in_no_log(server: support.ApiServer, ada: SessionTokens) -> None:
    for token in (text(ada), text(ada)[:-1] + "A"):
        server.caller(token).get("/wallets")
        server.caller(None).request("GET", "/wallets", cookie=f"billfold={token}")
    for part in text(ada).split(".")[1:]:
        assert part[:40] not in server.log


def test_a_token_that_is_wrong_says_why(server: support.ApiServer, ada: SessionTokens) -> None:
    header, claims, signature = text(ada).split(".")
    for token, said in (
        (f"{header}.{claims}.{'A' * len(signature)}", "signature"),
        (f"{header}.{claims}", "neither an API key nor an access token"),
        ("x" * 9000, "Send a valid API key or access token"),
    ):
        answer = server.caller(token).get("/wallets")
        assert answer.status_code == 401
        assert said in answer.json()["detail"]
