"""Second factors after a login at a provider: they are asked for unless the provider has checked one."""

import time
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import pyotp
import pytest

from billfold.identity.domain.factors import TOTP_STEP_S
from billfold.kernel import ids
from billfold.platform.postgres.database import Database
from tests.integration.oidc import issuing, serving
from tests.integration.oidc.support import START, log_in, whoami


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
