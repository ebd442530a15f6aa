"""People log in at a real Keycloak with a real Chromium, and come back logged in.

Keycloak is at `localhost` and Billfold at 127.0.0.1: to a browser these are two sites, as in real life.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs, quote, urlsplit

import pyotp
import pytest
from playwright.async_api import Page, expect

from billfold.app.migrate import SETS
from billfold.identity.contracts import Provider
from billfold.identity.domain.factors import TOTP_STEP_S
from billfold.platform.postgres.database import Database
from tests import browsers, keycloak, servers
from tests.integration.oidc import serving

START = "/api/v1/auth/oidc/keycloak/start?return_to=/api/v1/users/me"


@pytest.fixture(scope="module")
async def billfold_server(
    postgres_server: servers.PostgresServer,
    keycloak_server: keycloak.KeycloakServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[serving.Serving]:
    made = postgres_server.create_database(SETS)
    provider = Provider(
        name="keycloak",
        title="Keycloak",
        issuer=keycloak_server.issuer.replace("127.0.0.1", "localhost"),
        client_id=keycloak.CLIENT,
        client_secret=keycloak.CLIENT_SECRET,
        login=True,
    )
    database = await Database.connect(made.app_dsn, name="test")
    async with serving.running(database, tmp_path_factory.mktemp("keys"), [provider]) as running:
        yield running
    await database.close()


async def log_in(page: Page, url: str, who: tuple[str, str]) -> None:
    """From our start through Keycloak's form, until the browser is where it is taken."""
    await page.goto(url)
    assert urlsplit(page.url).hostname == "localhost"
    await page.fill("#username", who[0])
    await page.fill("#password", who[1])
    await page.click("#kc-login")


async def cookies_of(page: Page) -> dict[str, str]:
    return {cookie["name"]: cookie["value"] for cookie in await page.context.cookies()}


async def test_ada_logs_in_and_her_strict_cookies_are_sent_where_she_is_taken(
    billfold_server: serving.Serving, chromium_server: browsers.Chromium
) -> None:
    async with chromium_server.page() as page:
        await log_in(page, billfold_server.url + START, keycloak.ADA)
        await page.wait_for_url(f"{billfold_server.url}/api/v1/users/me")
        # It shows her profile: the cookies came along, although the way led over another site.
        assert "ada@example.com" in await page.content()
        kept = await page.context.cookies()
        session = {cookie["name"]: cookie for cookie in kept if cookie["name"].startswith("billfold")}
        assert session["billfold"]["sameSite"] == "Strict"
        assert session["billfold"]["httpOnly"]
        assert not any("-oidc-" in name for name in session), "a login that is over leaves no cookie"
    found = await billfold_server.row("SELECT display_name, roles FROM identity.users WHERE email = 'ada@example.com'")
    # Keycloak calls her an auditor; here that is for people here to say.
    assert tuple(found) == ("Ada Lovelace", ["user"])


async def test_a_login_that_begins_at_another_name_of_the_server_ends_well_at_its_own(
    billfold_server: serving.Serving, chromium_server: browsers.Chromium
) -> None:
    async with chromium_server.page() as page:
        await log_in(page, billfold_server.url.replace("127.0.0.1", "localhost") + START, keycloak.MALLORY)
        await page.wait_for_url(f"{billfold_server.url}/api/v1/users/me")


@pytest.fixture
def grace(keycloak_server: keycloak.KeycloakServer) -> Iterator[tuple[str, str]]:
    """Somebody else at Keycloak: her name and her password."""
    who = ("grace", "a moth in the relay")
    password = {"type": "password", "value": who[1], "temporary": False}
    told = {"firstName": "Grace", "lastName": "Hopper", "email": "grace@example.com", "emailVerified": True}
    keycloak_server.admin("POST", "/users", told | {"username": who[0], "enabled": True, "credentials": [password]})
    (made,) = keycloak_server.admin("GET", f"/users?username={who[0]}&exact=true").json()
    yield who
    keycloak_server.admin("DELETE", f"/users/{made['id']}")


async def test_grace_who_has_an_authenticator_app_is_asked_for_it_after_keycloak(
    billfold_server: serving.Serving, chromium_server: browsers.Chromium, grace: tuple[str, str]
) -> None:
    async with chromium_server.page() as page:
        await log_in(page, billfold_server.url + START, grace)
        await page.wait_for_url(f"{billfold_server.url}/api/v1/users/me")
        me = await billfold_server.identity.authenticate((await cookies_of(page))["billfold"].encode())
    new = await billfold_server.identity.factors.start_totp(by=me, password=None, proof=None)
    app = pyotp.TOTP(new.secret)
    await billfold_server.identity.factors.confirm_totp(by=me, code=app.now())
    async with chromium_server.page() as page:
        await log_in(page, billfold_server.url + START, grace)
        await expect(page.get_by_role("heading", name="Show that it is you")).to_be_visible()
        assert "billfold" not in await cookies_of(page)
        # Its page can be loaded again, as long as the login waits; before it is there Chromium has none to load.
        await page.wait_for_load_state()
        await page.reload()
        await page.get_by_label("Code of your authenticator app").fill(app.at(int(time.time()) + TOTP_STEP_S))
        await page.get_by_role("button", name="Go on", exact=True).first.click()
        await page.wait_for_url(f"{billfold_server.url}/api/v1/users/me")
        assert "grace@example.com" in await page.content()
        assert "billfold-pending" not in await cookies_of(page)


async def test_edsger_who_has_a_password_links_an_account_of_keycloak_on_the_page_and_unlinks_it(
    billfold_server: serving.Serving, chromium_server: browsers.Chromium, grace: tuple[str, str]
) -> None:
    email, password = "edsger@example.com", "goto considered harmful"
    async with billfold_server.browser() as program:
        told = {"email": email, "password": password, "display_name": "Edsger", "locale": "en", "time_zone": "UTC"}
        registration = (await program.post("/api/v1/auth/register", json=told)).json()["id"]
        (code,) = (mail["code"] for mail in billfold_server.mails if mail["to"] == email)
        done = await program.post("/api/v1/auth/verify", json={"id": registration, "code": code})
        assert done.is_success, done.text
    async with chromium_server.page() as page:
        await page.goto(f"{billfold_server.url}/account")
        await page.get_by_label("E-mail address, phone number or handle").first.fill(email)
        await page.locator("#login-form").get_by_label("Password").fill(password)
        await page.get_by_role("button", name="Log in", exact=True).click()
        card = page.get_by_role("article", name="Other logins")
        await expect(card.get_by_text("You log in here alone.")).to_be_visible()
        await card.get_by_role("button", name="Link Keycloak").click()
        await expect(page.get_by_role("alert").first).to_be_visible()
        await card.get_by_label("Your password").fill(password)
        await card.get_by_role("button", name="Link Keycloak").click()
        await page.fill("#username", grace[0])
        await page.fill("#password", grace[1])
        await page.click("#kc-login")
        await expect(card.get_by_text("Keycloak", exact=False).first).to_be_visible()
        await expect(card.get_by_role("button", name="Link Keycloak")).to_have_count(0)
        await card.get_by_label("Your password").fill(password)
        await card.get_by_role("button", name="Unlink: Keycloak").click()
        await expect(card.get_by_role("button", name="Link Keycloak")).to_be_visible()


@pytest.mark.parametrize("path", ["//evil.example.com", "https://evil.example.com", "javascript:alert(1)", "/account"])
async def test_a_link_that_somebody_made_leads_nowhere_without_a_login(
    billfold_server: serving.Serving, chromium_server: browsers.Chromium, path: str
) -> None:
    async with chromium_server.page() as page:
        await page.goto(f"{billfold_server.url}/account#second-factor={quote(path, safe='')}")
        await expect(page.get_by_role("heading", name="Log in", exact=True)).to_be_visible()
        assert page.url == f"{billfold_server.url}/account#login"


async def test_mallory_who_says_that_he_has_adas_address_gets_an_account_of_his_own(
    billfold_server: serving.Serving, chromium_server: browsers.Chromium, keycloak_server: keycloak.KeycloakServer
) -> None:
    async with chromium_server.page() as page:
        await log_in(page, billfold_server.url + START, keycloak.ADA)
        await page.wait_for_url(f"{billfold_server.url}/api/v1/users/me")
    (mallory,) = keycloak_server.admin("GET", "/users?username=mallory&exact=true").json()
    (ada,) = keycloak_server.admin("GET", "/users?username=ada&exact=true").json()
    # Two accounts of one realm can't have one address, so Ada's is free there when Mallory takes it.
    keycloak_server.admin("PUT", f"/users/{ada['id']}", ada | {"email": "lovelace@example.com"})
    keycloak_server.admin("PUT", f"/users/{mallory['id']}", mallory | {"email": "ada@example.com"})
    try:
        async with chromium_server.page() as page:
            await log_in(page, billfold_server.url + START, keycloak.MALLORY)
            await page.wait_for_url(f"{billfold_server.url}/api/v1/users/me")
            assert "ada@example.com" not in await page.content()
        # Even once Keycloak believes him, the account of that address stays hers, and his own stays his.
        keycloak_server.admin(
            "PUT", f"/users/{mallory['id']}", mallory | {"email": "ada@example.com", "emailVerified": True}
        )
        async with chromium_server.page() as page:
            await log_in(page, billfold_server.url + START, keycloak.MALLORY)
            await page.wait_for_url(f"{billfold_server.url}/api/v1/users/me")
            assert "ada@example.com" not in await page.content()
    finally:
        keycloak_server.admin("PUT", f"/users/{mallory['id']}", mallory)
        keycloak_server.admin("PUT", f"/users/{ada['id']}", ada)


async def test_a_code_that_another_browser_brings_back_logs_nobody_in(
    billfold_server: serving.Serving, chromium_server: browsers.Chromium
) -> None:
    async with chromium_server.page() as attacker, chromium_server.page() as victim:
        await attacker.goto(billfold_server.url + START)
        form = await attacker.get_attribute("#kc-form-login", "action")
        assert form is not None
        # Keycloak's page would look for the cookie of a login every two seconds, and go on by itself.
        await attacker.goto("about:blank")
        # Logged in by hand, so that nobody follows Keycloak's answer.
        username, password = keycloak.MALLORY
        answer = await attacker.context.request.post(
            form, form={"username": username, "password": password}, max_redirects=0
        )
        callback = answer.headers["location"]
        assert "code" in parse_qs(urlsplit(callback).query)
        await victim.goto(callback)
        assert "login_state_invalid" in await victim.content()
        assert "system-ui" in await victim.evaluate("getComputedStyle(document.body).fontFamily")
        assert "billfold" not in await cookies_of(victim)
        # The code itself was good: its own browser is let in with it, once.
        await attacker.goto(callback)
        await attacker.wait_for_url(f"{billfold_server.url}/api/v1/users/me")
        await attacker.goto(callback)
        assert "login_state_invalid" in await attacker.content()


async def test_a_wrong_state_logs_nobody_in(
    billfold_server: serving.Serving, chromium_server: browsers.Chromium
) -> None:
    async with chromium_server.page() as page:
        await page.goto(billfold_server.url + START)
        await page.goto(f"{billfold_server.url}/api/v1/auth/oidc/keycloak/callback?state={'A' * 43}&code=x")
        assert "login_state_invalid" in await page.content()
        assert "billfold" not in await cookies_of(page)
