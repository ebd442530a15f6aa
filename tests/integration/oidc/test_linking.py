"""Linking accounts at a provider to one's own and unlinking them, and what it takes to be allowed to."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx2
import pyotp

from billfold.kernel import ids
from billfold.platform.web.cookies import csrf_token
from tests.integration.identity.support import told_of
from tests.integration.oidc import issuing, serving
from tests.integration.oidc.support import CALLBACK, answers, log_in, query_of, whoami


async def link(browser: httpx2.AsyncClient, own_issuer: issuing.Issuing, csrf: str, **claims: Any) -> httpx2.Response:
    started = await browser.post(
        "/api/v1/users/me/identities/test/start", json={"return_to": "/account"}, headers={"x-csrf-token": csrf}
    )
    assert started.status_code == 200, started.text
    request = query_of(started.json()["url"])
    answers(own_issuer, request["nonce"], **claims)
    return await browser.get(CALLBACK, params={"state": request["state"], "code": "c"})


def csrf_of(browser: httpx2.AsyncClient) -> str:
    return csrf_token(browser.cookies["billfold"].encode())


async def test_whoever_is_logged_in_links_another_account_and_unlinks_it(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    async with here.browser() as ada, here.browser() as bob:
        await log_in(ada, own_issuer)
        me = await whoami(here, ada)
        second = f"s-{ids.new()}"
        page = await link(ada, own_issuer, csrf_of(ada), sub=second, email="x@example.com", email_verified=True)
        assert "Your account is linked." in page.text
        assert len(page.headers.get_list("set-cookie")) == 1
        await log_in(bob, own_issuer, sub=second)
        assert (await whoami(here, bob)).user_id == me.user_id
        items = (await ada.get("/api/v1/users/me/identities")).json()["items"]
        assert len(items) == 2
        headers = {"x-csrf-token": csrf_of(ada)}
        paths = [f"/api/v1/users/me/identities/{item['id']}/unlink" for item in items]
        assert (await ada.post(paths[0], json={}, headers=headers)).status_code == 204
        kept = await ada.post(paths[1], json={}, headers=headers)
        assert (kept.status_code, kept.json()["code"]) == (409, "last_way_to_log_in")
        assert len((await ada.get("/api/v1/users/me/identities")).json()["items"]) == 1
    kinds = [event["type"] for event in await told_of(here.database, me.owner_id)]
    assert kinds.count("identity.linked.v1") == 2
    assert kinds.count("identity.unlinked.v1") == 1


async def test_whoever_has_an_address_is_told_of_what_is_linked_and_unlinked(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    email = f"{ids.new()}@example.com"
    async with here.browser() as ada:
        await log_in(ada, own_issuer, email=email, email_verified=True, locale="th")
        second = f"s-{ids.new()}"
        for _ in range(2):  # The second time it is there already.
            await link(ada, own_issuer, csrf_of(ada), sub=second)
        item = (await ada.get("/api/v1/users/me/identities")).json()["items"][-1]
        assert item["subject"] == second
        path = f"/api/v1/users/me/identities/{item['id']}/unlink"
        gone = await ada.post(path, json={}, headers={"x-csrf-token": csrf_of(ada)})
        assert gone.status_code == 204, gone.text
    # Whoever was new with the first login has linked nothing.
    told = [(one["to"], one["locale"], one["provider"], one["change"]) for one in here.mails if "change" in one]
    assert told == [(email, "th", "test", change) for change in ("added", "removed")]


async def test_an_account_of_somebody_else_can_not_be_linked_nor_unlinked(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    subject = f"s-{ids.new()}"
    async with here.browser() as ada, here.browser() as bob:
        await log_in(ada, own_issuer, sub=subject)
        await log_in(bob, own_issuer)
        answer = await link(bob, own_issuer, csrf_of(bob), sub=subject)
        assert (answer.status_code, answer.json()["code"]) == (409, "identity_taken")
        (hers,) = (await ada.get("/api/v1/users/me/identities")).json()["items"]
        path = f"/api/v1/users/me/identities/{hers['id']}/unlink"
        gone = await bob.post(path, json={}, headers={"x-csrf-token": csrf_of(bob)})
        assert (gone.status_code, gone.json()["code"]) == (404, "identity_unknown")


async def asked_again(
    browser: httpx2.AsyncClient, body: dict[str, Any] | None = None, *, approval: str = ""
) -> list[tuple[int, str]]:
    """What linking another account and unlinking one are answered with, as (status, code)."""
    (linked, *_) = (await browser.get("/api/v1/users/me/identities")).json()["items"]
    headers = {"x-csrf-token": csrf_of(browser)} | ({"step-up": approval} if approval else {})
    found = []
    for path in ("test/start", f"{linked['id']}/unlink"):
        answer = await browser.post(f"/api/v1/users/me/identities/{path}", json=body or {}, headers=headers)
        found.append((answer.status_code, answer.json()["code"] if answer.status_code >= 400 else ""))
    return found


async def test_a_session_that_lies_open_links_and_unlinks_nothing(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    async with here.browser() as ada:
        await log_in(ada, own_issuer)
        me = await whoami(here, ada)
        await here.row(
            "UPDATE identity.sessions SET authenticated_at = now() - interval '11 minutes' WHERE id = $1 RETURNING id",
            me.credential_id,
        )
        assert await asked_again(ada) == [(403, "login_too_old")] * 2


async def test_whoever_has_a_password_links_and_unlinks_with_it(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    password = "correct horse battery staple"
    async with here.browser() as ada:
        await log_in(ada, own_issuer, email=f"{ids.new()}@example.com", email_verified=True)
        me = await whoami(here, ada)
        await here.row(
            "UPDATE identity.users SET password_hash = $2 WHERE id = $1 RETURNING id",
            me.user_id,
            await here.identity.passwords.hash_new(password, personal=[]),
        )
        assert await asked_again(ada) == [(403, "password_wrong")] * 2
        assert await asked_again(ada, {"password": "staple battery horse"}) == [(403, "password_wrong")] * 2
        assert await asked_again(ada, {"password": password}) == [(200, ""), (204, "")]


async def test_whoever_has_a_second_factor_links_and_unlinks_with_its_approval_alone(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    async with here.browser() as ada:
        await log_in(ada, own_issuer)
        headers = {"x-csrf-token": csrf_of(ada)}
        secret = (await ada.post("/api/v1/users/me/factors/totp", json={}, headers=headers)).json()["secret"]
        app = pyotp.TOTP(secret)
        code = {"code": app.now()}
        assert (await ada.post("/api/v1/users/me/factors/totp/confirm", json=code, headers=headers)).is_success
        assert await asked_again(ada) == [(403, "step_up_required")] * 2
        refused = await ada.post("/api/v1/users/me/identities/test/start", json={}, headers=headers)
        waiting = refused.json()["step_up"]
        assert (waiting["operation"], waiting["content"]) == ("identity.link", {"provider": "test"})
        code = {"totp": app.at(datetime.now(UTC), counter_offset=1)}
        approved = await ada.post(f"/api/v1/auth/step-up/{waiting['id']}", json=code, headers=headers)
        assert approved.status_code == 200, approved.text
        assert await asked_again(ada, approval=waiting["id"]) == [(200, ""), (403, "step_up_required")]


async def test_a_link_that_was_begun_in_another_browser_links_nothing(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    """The attacker begins to link and gets the victim to log in at the provider with that state."""
    async with here.browser() as attacker, here.browser() as victim:
        await log_in(attacker, own_issuer)
        started = await attacker.post(
            "/api/v1/users/me/identities/test/start", json={}, headers={"x-csrf-token": csrf_of(attacker)}
        )
        state = query_of(started.json()["url"])["state"]
        answer = await victim.get(CALLBACK, params={"state": state, "code": "victims"})
        assert answer.json()["code"] == "login_state_invalid"


async def test_whoever_was_logged_out_meanwhile_links_nothing(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    async with here.browser() as ada:
        await log_in(ada, own_issuer)
        me = await whoami(here, ada)
        started = await ada.post(
            "/api/v1/users/me/identities/test/start", json={}, headers={"x-csrf-token": csrf_of(ada)}
        )
        request = query_of(started.json()["url"])
        await here.identity.sessions.end(by=me, session_id=UUID(str(me.credential_id)))
        answers(own_issuer, request["nonce"])
        answer = await ada.get(CALLBACK, params={"state": request["state"], "code": "c"})
    assert answer.json()["code"] == "login_state_invalid"
