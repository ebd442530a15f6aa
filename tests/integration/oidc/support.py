"""What the tests of logins at a provider share: a browser's way there and back, and who it belongs to afterwards."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from billfold.kernel import ids
from billfold.kernel.principal import Principal
from tests.integration.fetching import hostile
from tests.integration.oidc import issuing, serving

START, CALLBACK = "/api/v1/auth/oidc/test/start", "/api/v1/auth/oidc/test/callback"


def asked(response: httpx2.Response) -> dict[str, str]:
    """What the browser is sent to the provider with."""
    assert response.status_code == 303, response.text
    return query_of(response.headers["location"])


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


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
