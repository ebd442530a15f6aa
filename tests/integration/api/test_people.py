"""People over HTTP, in a process with its default settings: they register, log in, pay and leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from billfold.kernel import ids
from tests import servers
from tests.integration.api import support
from tests.integration.api.people import PASSWORD, Post, post_of, registered
from tests.integration.api.support import ApiServer, Caller


@pytest.fixture(scope="module")
def post(api_database: servers.TestDatabase) -> Post:
    return post_of(api_database)


@pytest.fixture
def nobody(api_server: ApiServer) -> Caller:
    return api_server.caller(None)


def log_in(caller: Caller, email: str, password: str = PASSWORD, **more: Any) -> httpx2.Response:
    return caller.post("/auth/login", {"login": email, "password": password} | more)


async def test_somebody_registers_logs_in_and_has_a_profile(api_server: ApiServer, post: Post, nobody: Caller) -> None:
    email, ada = await registered(api_server, post, device="Ada's laptop\r\nX: y")
    profile = ada.get("/users/me").json()
    assert (profile["email"], profile["initials"], profile["has_password"]) == (email, "AL", True)
    assert [session["device"] for session in ada.get("/sessions").json()["items"]] == ["Ada's laptop  X: y"]
    answer = log_in(nobody, email.upper())
    assert answer.status_code == 200
    assert answer.json()["user_id"] == profile["id"]
    assert {"access_token", "refresh_token"} <= answer.json().keys()
    assert "second_factor" not in answer.json()
    changed = ada.request("PATCH", "/users/me", {"display_name": "Ada King", "time_zone": "Asia/Bangkok"})
    assert changed.json() == profile | {"display_name": "Ada King", "initials": "AK", "time_zone": "Asia/Bangkok"}


async def test_a_browser_gets_cookies(api_server: ApiServer, post: Post) -> None:
    email, _ = await registered(api_server, post, cookies=True)
    with httpx2.Client(base_url=f"{api_server.url}/api/v1") as browser:
        answer = browser.post("/auth/login", json={"login": email, "password": PASSWORD, "cookies": True})
        assert "access_token" not in answer.json()
        assert answer.json()["csrf_token"]
        assert browser.get("/users/me").json()["email"] == email


@pytest.mark.parametrize("path", ["/auth/logout", "/auth/logout-everywhere"])
async def test_a_logout_leaves_nothing_in_a_browser(api_server: ApiServer, post: Post, path: str) -> None:
    email, _ = await registered(api_server, post)
    with httpx2.Client(base_url=f"{api_server.url}/api/v1") as browser:
        answer = browser.post("/auth/login", json={"login": email, "password": PASSWORD, "cookies": True})
        gone = browser.post(path, headers={"x-csrf-token": answer.json()["csrf_token"]})
        assert gone.status_code == 204, gone.text
        assert gone.headers["clear-site-data"] == '"cache", "storage"'
        assert not browser.cookies


async def test_known_and_unknown_are_answered_alike(api_server: ApiServer, post: Post, nobody: Caller) -> None:
    email, _ = await registered(api_server, post)
    unknown = f"{ids.new().hex}@example.com"
    for path, body in (
        ("/auth/register", {"password": PASSWORD, "display_name": "Ada"}),
        ("/auth/login", {"password": "another wrong password"}),
        ("/auth/password/forgot", {}),
    ):
        field = "email" if path == "/auth/register" else "login"
        answers = [nobody.post(path, body | {field: one}) for one in (email, unknown)]
        said = []
        for answer in answers:
            content = answer.json() if answer.content else {}
            for own in ("id", "expires_at", "request_id"):
                content.pop(own, None)
            headers = {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}
            said.append((answer.status_code, content, headers))
        assert said[0] == said[1], path


async def test_a_failed_login_is_a_401_and_too_many_are_a_429(
    api_database: servers.TestDatabase, post: Post, tmp_path: Path
) -> None:
    unknown = f"{ids.new().hex}@example.com"
    with support.running_api(api_database, tmp_path, program=support.PATIENT) as server:
        nobody = server.caller(None)
        answers = [log_in(nobody, unknown) for _ in range(6)]
        assert [answer.json()["code"] for answer in answers] == ["login_failed"] * 4 + ["too_many_attempts"] * 2
        assert [answer.status_code for answer in answers] == [401] * 4 + [429] * 2
        assert answers[0].headers["www-authenticate"]
        assert int(answers[-1].headers["retry-after"]) >= 1
        email, _ = await registered(server, post)
        assert log_in(nobody, email).status_code == 200


async def test_a_forgotten_password_is_set_anew(api_server: ApiServer, post: Post, nobody: Caller) -> None:
    email, ada = await registered(api_server, post)
    assert nobody.post("/auth/password/forgot", {"login": email}).status_code == 204
    token, new = await post.last(email, "token"), "a new password of hers"
    order = {"token": token, "password": new}
    assert nobody.post("/auth/password/reset", order | {"password": "short"}).json()["code"] == "password_too_short"
    assert nobody.post("/auth/password/reset", order).status_code == 204
    assert nobody.post("/auth/password/reset", order).json()["code"] == "reset_token_invalid"
    assert ada.get("/users/me").status_code == 401
    assert log_in(nobody, email, new).status_code == 200


async def test_a_password_and_an_address_are_changed(api_server: ApiServer, post: Post, nobody: Caller) -> None:
    email, ada = await registered(api_server, post)
    order = {"current_password": "not this one, no", "new_password": "another one of hers"}
    assert ada.post("/auth/password/change", order).json()["code"] == "password_wrong"
    assert ada.post("/auth/password/change", order | {"current_password": PASSWORD}).status_code == 204
    new = f"{ids.new().hex}@example.com"
    asked = ada.post("/users/me/email", {"email": new, "password": order["new_password"]})
    assert asked.status_code == 202, asked.text
    body = {"id": asked.json()["id"], "code": await post.last(new, "code")}
    assert ada.post("/users/me/email/verify", body).json()["email"] == new
    assert log_in(nobody, new, order["new_password"]).status_code == 200
    assert [one["template"] for one in await post.values(email)][-2:] == ["password_changed", "address_changed"]
    refused = ada.post("/users/me/phone", {"phone": "+66812345678", "password": order["new_password"]})
    assert refused.json()["code"] == "phones_unreachable"


async def test_an_account_is_closed_when_its_wallets_are_empty(
    api_server: ApiServer, post: Post, operator_key: str
) -> None:
    email, ada = await registered(api_server, post)
    operator = api_server.caller(operator_key)
    wallet = ada.post("/wallets", {"name": "Savings"}).json()["id"]
    money = {"money": {"amount": "12.34", "asset": "USD"}}
    assert operator.post(f"/wallets/{wallet}/deposits", money).status_code == 201
    refused = ada.post("/users/me/close", {"password": PASSWORD})
    assert (refused.status_code, refused.json()["code"]) == (409, "money_left")
    assert f"Savings ({wallet}) has 12.34 USD" in refused.json()["detail"]
    target = operator.post("/wallets", {"name": "Target"}).json()["id"]
    assert ada.post("/transfers", {"from": wallet, "to": target} | money).status_code == 201
    assert ada.post("/users/me/close", {"password": "not this one, no"}).json()["code"] == "password_wrong"
    assert ada.post("/users/me/close", {"password": PASSWORD}).status_code == 204
    assert ada.get("/users/me").status_code == 401
    assert operator.get(f"/wallets/{wallet}").json()["status"] == "closed"
    assert operator.post(f"/wallets/{wallet}/deposits", money).json()["code"] == "wallet_closed"
    assert (await post.values(email))[-1]["template"] == "account_closed"


@pytest.mark.parametrize(
    ("path", "body", "code", "pointer"),
    [
        ("/auth/register", {"email": "ada@example.com\r\nBcc: x@example.com"}, "invalid_email", "/email"),
        ("/auth/register", {"email": "ada@example.com", "display_name": "A\u202eda"}, "invalid_display_name", None),
        ("/auth/register", {"email": "ada@example.com", "password": "x" * 100_000}, "password_too_long", "/password"),
        ("/auth/register", {"email": "ada@example.com", "time_zone": "Mars"}, "invalid_time_zone", "/time_zone"),
        ("/auth/register", {"email": "ada@example.com", "locale": "en\n"}, "invalid_value", "/locale"),
        ("/auth/register", {}, "address_needed", None),
        ("/auth/login", {"login": "ada@example.com", "password": "x" * 100_000}, "password_too_long", "/password"),
        ("/auth/login", {"login": "a\0b", "password": PASSWORD}, "invalid_value", "/login"),
        ("/auth/verify", {"id": "me", "code": "12345678"}, "invalid_id", "/id"),
        ("/auth/verify", {"id": str(ids.new()), "code": "12345678\n"}, "invalid_value", "/code"),
        ("/auth/verify", {"id": str(ids.new()), "code": "12345678"}, "code_wrong", "/code"),
        ("/auth/password/reset", {"token": "x", "password": PASSWORD}, "reset_token_invalid", "/token"),
    ],
)
def test_what_is_wrong_is_said_and_where(
    nobody: Caller, path: str, body: dict[str, str], code: str, pointer: str | None
) -> None:
    if path == "/auth/register":
        body = {"password": PASSWORD, "display_name": "Ada"} | body
    refused = nobody.post(path, body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["code"] == code
    if pointer is not None:
        assert [fault["pointer"] for fault in refused.json()["errors"]] == [pointer]


def test_a_lone_surrogate_is_no_text(nobody: Caller) -> None:
    raw = b'{"login": "ada@example.com", "password": "\\ud800 correct horse battery"}'
    headers = {"content-type": "application/json"}
    refused = nobody.client.post("/auth/login", content=raw, headers=headers)
    assert refused.json()["code"] == "malformed_json"


async def test_no_secret_is_in_the_log(api_server: ApiServer, post: Post, nobody: Caller) -> None:
    email, _ = await registered(api_server, post)
    nobody.post("/auth/password/forgot", {"login": email})
    log = api_server.log
    for secret in (PASSWORD, await post.last(email, "code"), await post.last(email, "token"), email):
        assert secret not in log
