"""Callbacks that do not belong to the login that the browser has begun, and that log nobody in."""

import asyncio
from typing import Any

import pytest

from tests.integration.oidc import issuing, serving
from tests.integration.oidc.support import CALLBACK, START, answers, asked, log_in


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
