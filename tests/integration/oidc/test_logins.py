"""Logins at a provider, step by step: what is asked of it, who somebody is afterwards, and where it leads them."""

from typing import Any

import pytest

from billfold.identity.contracts import PERSONAL
from billfold.kernel import ids
from tests.integration.identity.support import told_of
from tests.integration.oidc import issuing, serving
from tests.integration.oidc.support import CALLBACK, START, asked, log_in, whoami


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


async def test_whoever_has_closed_their_account_begins_anew(here: serving.Serving, own_issuer: issuing.Issuing) -> None:
    subject = f"s-{ids.new()}"
    async with here.browser() as ada:
        await log_in(ada, own_issuer, sub=subject)
        old = await whoami(here, ada)
        await here.row("UPDATE identity.users SET closed_at = now() WHERE id = $1", old.owner_id)
        await log_in(ada, own_issuer, sub=subject)
        assert (await whoami(here, ada)).owner_id != old.owner_id
