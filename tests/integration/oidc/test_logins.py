"""Logins at a provider, step by step, and what becomes of those that are not as they should be."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx2
import msgspec
import pyotp
import pytest

from billfold.identity.contracts import PERSONAL
from billfold.identity.domain.factors import TOTP_STEP_S
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database
from billfold.platform.web.cookies import csrf_token
from tests.integration.fetching import hostile
from tests.integration.identity.support import told_of
from tests.integration.oidc import issuing, serving

START, CALLBACK = "/api/v1/auth/oidc/test/start", "/api/v1/auth/oidc/test/callback"


@pytest.fixture
async def here(
    database: Database, own_issuer: issuing.Issuing, master_keys_folder: Path
) -> AsyncIterator[serving.Serving]:
    async with serving.running(database, master_keys_folder, [own_issuer.provider]) as running:
        yield running


def asked(response: httpx2.Response) -> dict[str, str]:
    """What the browser is sent to the provider with."""
    assert response.status_code == 303, response.text
    return {name: values[0] for name, values in parse_qs(urlsplit(response.headers["location"]).query).items()}


def answers(own_issuer: issuing.Issuing, nonce: str, /, **claims: Any) -> None:
    """Let the provider give tokens for any code."""
    said = {"aud": "web", "typ": "ID", "nonce": nonce, "sub": f"s-{ids.new()}"} | claims
    tokens = {"id_token": own_issuer.token(**said), "access_token": "a", "token_type": "Bearer"}
    own_issuer.server.answers["/token"] = hostile.answer(json.dumps(tokens).encode())


async def log_in(
    browser: httpx2.AsyncClient, own_issuer: issuing.Issuing, *, start: str = START, **claims: Any
) -> httpx2.Response:
    request = asked(await browser.get(start))
    answers(own_issuer, request["nonce"], **claims)
    return await browser.get(CALLBACK, params={"state": request["state"], "code": "c", "session_state": "x"})


async def whoami(here: serving.Serving, browser: httpx2.AsyncClient) -> Principal:
    return await here.identity.authenticate(browser.cookies["billfold"].encode())


async def test_the_providers_are_listed(here: serving.Serving) -> None:
    async with here.browser() as browser:
        (one,) = (await browser.get("/api/v1/auth/oidc")).json()["items"]
    assert one == {"name": "test", "title": "Test", "start_url": START}


async def test_whoever_logs_in_for_the_first_time_is_somebody_new_with_a_session_in_cookies(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    email = f"{ids.new()}@example.com"
    subject = f"s-{ids.new()}"
    told: dict[str, Any] = {"sub": subject, "name": "Ada Lovelace", "email": email, "email_verified": True}
    async with here.browser() as browser:
        page = await log_in(browser, own_issuer, start=f"{START}?return_to=/account%3Ftab%3Dkeys", **told)
        assert page.status_code == 200
        assert '<meta http-equiv="refresh" content="0; url=/account?tab=keys">' in page.text
        first = await whoami(here, browser)
        assert first.is_session
        assert first.scopes >= PERSONAL & {"account"}
    cookies = page.headers.get_list("set-cookie")
    assert {cookie.partition("=")[0] for cookie in cookies} >= {"billfold", "billfold-refresh"}
    for cookie in cookies:
        assert "HttpOnly" in cookie
        assert ("SameSite=lax" if "-oidc-" in cookie else "SameSite=strict") in cookie
    async with here.browser() as browser:
        await log_in(browser, own_issuer, **told)
        assert (await whoami(here, browser)).user_id == first.user_id
    found = await here.row("SELECT email, roles FROM identity.users WHERE id = $1", first.user_id)
    assert tuple(found) == (email, ["user"])
    kinds = [event["type"] for event in await told_of(here.database, first.owner_id)]
    assert kinds == ["identity.linked.v1", "session.started.v1", "session.started.v1"]
    assert own_issuer.server.asked[-1].startswith(b"POST /token")


async def test_the_request_is_that_of_the_standard(here: serving.Serving, own_issuer: issuing.Issuing) -> None:
    async with here.browser() as browser:
        response = await browser.get(START)
    request = asked(response)
    assert response.headers["location"].startswith(f"{own_issuer.issuer}/login?")
    assert request["redirect_uri"] == f"{here.url}{CALLBACK}"
    assert (request["response_type"], request["code_challenge_method"], request["client_id"]) == ("code", "S256", "web")
    assert len(request["code_challenge"]) == len(request["state"]) == len(request["nonce"]) == 43
    # What makes the login good is nowhere in the database.
    kept = await here.row(
        "SELECT row_to_json(l)::text FROM identity.external_logins AS l ORDER BY expires_at DESC LIMIT 1"
    )
    for secret in (request["state"], request["nonce"], request["code_challenge"], *response.cookies.values()):
        assert secret not in kept[0]


async def test_a_state_that_nobody_began_is_refused(here: serving.Serving) -> None:
    async with here.browser() as browser:
        await browser.get(START)
        for state in ("", "x", "A" * 43, "\ud7ff" * 43, "A" * 5000):
            answer = await browser.get(CALLBACK, params={"state": state, "code": "c"})
            assert (answer.status_code, answer.json()["code"]) == (403, "login_state_invalid"), state
        answer = await browser.get(CALLBACK)
        assert answer.json()["code"] == "login_state_invalid"


async def test_a_callback_is_good_once(here: serving.Serving, own_issuer: issuing.Issuing) -> None:
    async with here.browser() as browser, here.browser() as other:
        page = await log_in(browser, own_issuer)
        again = await other.get(str(page.request.url), headers={"cookie": page.request.headers["cookie"]})
    assert again.json()["code"] == "login_state_invalid"


async def test_of_twenty_callbacks_at_once_one_is_good(here: serving.Serving, own_issuer: issuing.Issuing) -> None:
    async with here.browser() as browser:
        request = asked(await browser.get(START))
        answers(own_issuer, request["nonce"])
        sent = {"state": request["state"], "code": "c"}
        found = await asyncio.gather(*(browser.get(CALLBACK, params=sent) for _ in range(20)))
    assert sorted(answer.status_code for answer in found) == [200] + [403] * 19


async def test_a_code_from_somebody_elses_browser_logs_nobody_in(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    """Login CSRF: the attacker's own callback address, opened in the victim's browser."""
    async with here.browser() as attacker, here.browser() as victim:
        request = asked(await attacker.get(START))
        answers(own_issuer, request["nonce"])
        asked(await victim.get(START))
        sent = {"state": request["state"], "code": "c"}
        stolen = await victim.get(CALLBACK, params=sent)
        assert stolen.json()["code"] == "login_state_invalid"
        assert "billfold" not in victim.cookies
        # The victim's attempt has not used it up.
        assert (await attacker.get(CALLBACK, params=sent)).status_code == 200


async def test_the_secret_of_another_login_is_worth_nothing(here: serving.Serving, own_issuer: issuing.Issuing) -> None:
    async with here.browser() as browser, here.browser() as other:
        request = asked(await browser.get(START))
        answers(own_issuer, request["nonce"])
        ((name, _),) = browser.cookies.items()
        asked(await other.get(START))
        ((_, secret),) = other.cookies.items()
        sent = {"state": request["state"], "code": "c"}
        async with here.browser() as thief:
            answer = await thief.get(CALLBACK, params=sent, headers={"cookie": f"{name}={secret}"})
        assert answer.json()["code"] == "login_state_invalid"
        assert (await browser.get(CALLBACK, params=sent)).status_code == 200


async def test_a_code_of_another_login_is_refused_by_its_nonce(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    """Code injection: a stolen code, in a login that the attacker has begun."""
    async with here.browser() as attacker, here.browser() as victim:
        answers(own_issuer, asked(await victim.get(START))["nonce"])
        request = asked(await attacker.get(START))
        answer = await attacker.get(CALLBACK, params={"state": request["state"], "code": "stolen"})
        assert answer.json()["code"] == "login_answer_invalid"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"error": "access_denied", "error_description": "<script>alert(1)</script>"}, "login_declined"),
        ({"error": "server_error"}, "login_declined"),
        ({"error": "<b>\r\n" + "x" * 3000}, "login_declined"),
        ({}, "login_answer_invalid"),
        ({"code": "c", "iss": "https://evil.example.com"}, "login_answer_invalid"),
    ],
    ids=str,
)
async def test_what_the_provider_declines_is_said_and_ends_the_login(
    here: serving.Serving, own_issuer: issuing.Issuing, said: dict[str, str], code: str
) -> None:
    async with here.browser() as browser:
        request = asked(await browser.get(START))
        answers(own_issuer, request["nonce"])
        answer = await browser.get(CALLBACK, params={"state": request["state"]} | said)
        assert (answer.status_code, answer.json()["code"]) == (403, code)
        assert "script" not in answer.text
        again = await browser.get(CALLBACK, params={"state": request["state"], "code": "c"})
        assert again.json()["code"] == "login_state_invalid"


async def test_a_provider_that_names_itself_must_do_so_every_time(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    own_issuer.say(authorization_response_iss_parameter_supported=True)
    async with here.browser() as browser:
        for iss, status in ((None, 403), (own_issuer.issuer, 200)):
            request = asked(await browser.get(START))
            answers(own_issuer, request["nonce"])
            sent = {"state": request["state"], "code": "c"} | ({"iss": iss} if iss else {})
            assert (await browser.get(CALLBACK, params=sent)).status_code == status


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "billfold"},
        {"aud": ["web", "billfold"]},
        {"azp": "billfold"},
        {"exp": 1},
        {"iat": 1},
        {"nonce": "n"},
        {"iss": "https://evil.example.com"},
        {"at_hash": "x"},
        {"header": {"typ": "at+jwt"}},
        {"header": {"kid": "unknown"}},
    ],
    ids=str,
)
async def test_an_id_token_that_is_not_for_this_login_is_refused(
    here: serving.Serving, own_issuer: issuing.Issuing, claims: dict[str, Any]
) -> None:
    async with here.browser() as browser:
        answer = await log_in(browser, own_issuer, **claims)
        assert (answer.status_code, answer.json()["code"]) == (403, "login_answer_invalid")
        assert "billfold" not in browser.cookies


async def test_an_address_that_somebody_has_is_not_linked_and_they_are_told_how(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    email = f"{ids.new()}@example.com"
    async with here.browser() as ada, here.browser() as thief:
        await log_in(ada, own_issuer, email=email, email_verified=True)
        answer = await log_in(thief, own_issuer, email=email.upper(), email_verified=True)
        assert (answer.status_code, answer.json()["code"]) == (409, "account_exists")
        assert "billfold" not in thief.cookies
        await log_in(thief, own_issuer, email=email, email_verified=False)
        assert (await whoami(here, thief)).user_id != (await whoami(here, ada)).user_id


@pytest.mark.parametrize("path", ["//evil.example.com", "https://evil.example.com", "/\\evil.example.com", "x"])
async def test_a_login_leads_nowhere_else(here: serving.Serving, path: str) -> None:
    async with here.browser() as browser:
        answer = await browser.get(START, params={"return_to": path})
        assert (answer.status_code, answer.json()["code"]) == (422, "return_to_invalid")


async def test_where_it_leads_is_written_safely(here: serving.Serving, own_issuer: issuing.Issuing) -> None:
    async with here.browser() as browser:
        page = await log_in(browser, own_issuer, start=f"{START}?return_to=/%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
        assert "<script" not in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_a_browser_is_shown_a_page_when_something_is_wrong(here: serving.Serving) -> None:
    async with here.browser() as browser:
        page = await browser.get(CALLBACK, headers={"accept": "text/html,*/*"})
    assert page.status_code == 403
    assert page.headers["content-type"].startswith("text/html")
    assert "login_state_invalid" in page.text
    assert '<a href="/account">Back to your account</a>' in page.text
    # It looks like ours: its styles are there, and its policy lets them in, and nothing else.
    (policy,) = page.headers.get_list("content-security-policy")
    assert "style-src 'self'" in policy
    assert "script-src" not in policy
    async with here.browser() as browser:
        for style in ("/docs/docs.css", "/account/account.css"):
            assert f'<link rel="stylesheet" href="{style}">' in page.text
            assert (await browser.get(style)).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "evil.example.com", "[::1]:80", "a@b", "["])
async def test_a_login_at_another_name_of_the_server_begins_at_its_own_one(
    here: serving.Serving, own_issuer: issuing.Issuing, host: str
) -> None:
    async with here.browser() as browser:
        sent_on = await browser.get(f"{START}?return_to=/account%3Ftab%3Dkeys", headers={"host": host})
        assert sent_on.status_code == 303
        assert "set-cookie" not in sent_on.headers
        start = sent_on.headers["location"]
        assert start == f"{here.url}{START}?return_to=%2Faccount%3Ftab%3Dkeys&moved=true"
        assert (await log_in(browser, own_issuer, start=start)).status_code == 200
        # A proxy that hides the name makes it look like another one for ever: nobody is sent in circles.
        assert asked(await browser.get(start, headers={"host": host}))["state"]


async def test_a_login_at_another_port_of_the_same_name_begins_there(here: serving.Serving) -> None:
    async with here.browser() as browser:
        assert asked(await browser.get(START, headers={"host": "127.0.0.1:1"}))["state"]


async def test_a_provider_that_nobody_knows_is_not_found(here: serving.Serving) -> None:
    async with here.browser() as browser:
        for path in ("/api/v1/auth/oidc/nobody/start", "/api/v1/auth/oidc/nobody/callback"):
            answer = await browser.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "provider_unknown")


async def test_while_the_provider_is_down_nobody_is_refused_for_good(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    own_issuer.server.answers.clear()
    async with here.browser() as browser:
        answer = await browser.get(START)
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")


async def test_a_provider_can_not_send_browsers_to_anything_but_a_page(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    own_issuer.say(authorization_endpoint="javascript:alert(1)")
    async with here.browser() as browser:
        assert (await browser.get(START)).status_code == 503


async def with_app(here: serving.Serving, browser: httpx2.AsyncClient) -> pyotp.TOTP:
    """Give an authenticator app to whoever has just logged in."""
    me = await whoami(here, browser)
    new = await here.identity.factors.start_totp(by=me, password=None, proof=None)
    app = pyotp.TOTP(new.secret)
    await here.identity.factors.confirm_totp(by=me, code=app.now())
    return app


def next_code(app: pyotp.TOTP) -> str:
    """The code after this half minute's, which is taken already: clocks may differ."""
    return app.at(int(time.time()) + TOTP_STEP_S)


async def test_whoever_has_a_second_factor_shows_it_after_the_provider_too(
    here: serving.Serving, own_issuer: issuing.Issuing
) -> None:
    subject = f"s-{ids.new()}"
    async with here.browser() as ada, here.browser() as thief:
        await log_in(ada, own_issuer, sub=subject)
        app = await with_app(here, ada)
        ada.cookies.clear()
        page = await log_in(ada, own_issuer, start=f"{START}?return_to=/account%3Ftab%3Dkeys", sub=subject)
        assert 'content="0; url=/account#second-factor=%2Faccount%3Ftab%3Dkeys"' in page.text
        assert "billfold" not in ada.cookies
        (kept,) = (line for line in page.headers.get_list("set-cookie") if "-pending=" in line)
        assert {"HttpOnly", "SameSite=strict", "Path=/api/v1/auth", "Max-Age=300"} <= set(kept.split("; "))
        assert (await thief.get("/api/v1/auth/mfa")).json()["code"] == "login_not_pending"
        waiting = (await ada.get("/api/v1/auth/mfa")).json()
        assert waiting["methods"] == ["totp", "recovery_code"]
        assert waiting["token"] not in page.text
        proof = {"token": waiting["token"], "totp": next_code(app), "cookies": True}
        done = await ada.post("/api/v1/auth/mfa", json=proof)
        assert done.status_code == 200, done.text
        assert (await whoami(here, ada)).user_id is not None
        assert "billfold-pending" not in ada.cookies
        assert (await ada.get("/api/v1/auth/mfa")).json()["code"] == "login_not_pending"
    sessions = await here.row("SELECT methods FROM identity.sessions WHERE id = $1", UUID(done.json()["session_id"]))
    assert sessions[0] == ["fed", "otp"]


@pytest.mark.parametrize(
    ("claims", "asked_here"),
    [
        ({"amr": ["pwd", "otp"]}, False),
        ({"acr": "gold"}, False),
        ({"amr": ["pwd"]}, True),
        ({"acr": "silver"}, True),
    ],
    ids=str,
)
async def test_a_second_factor_that_the_provider_has_checked_is_not_asked_again(
    database: Database,
    own_issuer: issuing.Issuing,
    master_keys_folder: Path,
    claims: dict[str, Any],
    asked_here: bool,  # noqa: FBT001 - a column of the table above.
) -> None:
    provider = msgspec.structs.replace(own_issuer.provider, second_factor_acr=frozenset({"gold"}))
    subject = f"s-{ids.new()}"
    async with serving.running(database, master_keys_folder, [provider]) as here, here.browser() as ada:
        await log_in(ada, own_issuer, sub=subject)
        await with_app(here, ada)
        ada.cookies.clear()
        await log_in(ada, own_issuer, sub=subject, **claims)
        assert ("billfold" not in ada.cookies) == asked_here
        if not asked_here:
            me = await whoami(here, ada)
            found = await here.row("SELECT methods FROM identity.sessions WHERE id = $1", me.credential_id)
            assert found[0] == ["fed", "mfa"]


async def link(browser: httpx2.AsyncClient, own_issuer: issuing.Issuing, csrf: str, **claims: Any) -> httpx2.Response:
    started = await browser.post(
        "/api/v1/users/me/identities/test/start", json={"return_to": "/account"}, headers={"x-csrf-token": csrf}
    )
    assert started.status_code == 200, started.text
    request = {name: values[0] for name, values in parse_qs(urlsplit(started.json()["url"]).query).items()}
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
        state = parse_qs(urlsplit(started.json()["url"]).query)["state"][0]
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
        request = {name: values[0] for name, values in parse_qs(urlsplit(started.json()["url"]).query).items()}
        await here.identity.sessions.end(by=me, session_id=UUID(str(me.credential_id)))
        answers(own_issuer, request["nonce"])
        answer = await ada.get(CALLBACK, params={"state": request["state"], "code": "c"})
    assert answer.json()["code"] == "login_state_invalid"


async def test_whoever_has_closed_their_account_begins_anew(here: serving.Serving, own_issuer: issuing.Issuing) -> None:
    subject = f"s-{ids.new()}"
    async with here.browser() as ada:
        await log_in(ada, own_issuer, sub=subject)
        old = await whoami(here, ada)
        await here.row("UPDATE identity.users SET closed_at = now() WHERE id = $1", old.owner_id)
        await log_in(ada, own_issuer, sub=subject)
        assert (await whoami(here, ada)).owner_id != old.owner_id
