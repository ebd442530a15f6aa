"""The page of one's account in a real browser: coming in, and what proves that it is you."""

from __future__ import annotations

import asyncio
import time

import pyotp
from playwright.async_api import expect

from billfold.identity.domain.factors import TOTP_STEP_S
from tests import browsers
from tests.browser.people import PASSWORD, Person, Town
from tests.browsers import Chromium


def next_code(app: pyotp.TOTP) -> str:
    """The code after this half minute's, which is taken already: clocks may differ."""
    return app.at(int(time.time()) + TOTP_STEP_S)


async def proves(person: Person, label: str, text: str, *, within: str = "#second-factor") -> None:
    place = person.page.locator(within)
    if label == "Recovery code":
        await place.get_by_text("Use a recovery code").click()
    await place.get_by_label(label).fill(text)
    await place.locator("form").filter(has=person.page.get_by_label(label)).get_by_role("button").click()


async def test_somebody_makes_an_account_and_logs_in_again(town: Town, chromium_server: Chromium) -> None:
    async with town.somebody(chromium_server) as ada:
        await expect(ada.page.get_by_text("You have none yet.")).to_be_visible()
        await ada.logs_out()
        await ada.sends_password()
        await ada.sees("Your account")


async def test_a_wrong_password_is_told_and_nothing_more(town: Town, chromium_server: Chromium) -> None:
    async with town.somebody(chromium_server) as ada:
        await ada.logs_out()
        form = ada.page.locator("#login-form")
        await form.get_by_label("E-mail address").fill(ada.email)
        await form.get_by_label("Password").fill("wrong horse battery staple")
        await form.get_by_role("button").click()
        await ada.is_refused("Nobody logs in like this")
        await expect(ada.page.locator("#error")).to_be_focused()


async def test_a_passkey_is_added_and_logs_in_without_a_name(town: Town, chromium_server: Chromium) -> None:
    async with town.somebody(chromium_server) as ada:
        assert len(set(await ada.adds_passkey("My laptop"))) == 10
        await expect(ada.page.locator("#passkeys")).to_contain_text("My laptop")
        await ada.logs_out()
        await ada.page.get_by_role("button", name="Log in with a passkey").click()
        await ada.sees("Your account")
        status, sessions = await ada.calls("GET", "/sessions")
        assert status == 200
        assert [one["methods"] for one in sessions["items"] if one["current"]] == [["hwk", "user"]]


async def test_a_passkey_is_the_second_factor_of_a_password(town: Town, chromium_server: Chromium) -> None:
    async with town.somebody(chromium_server) as ada:
        await ada.adds_passkey()
        await ada.logs_out()
        await ada.sends_password()
        await ada.sees("Show that it is you")
        await ada.page.get_by_role("button", name="Use a passkey").click()
        await ada.sees("Your account")


async def test_an_app_is_a_second_factor_and_shows_each_code_for_one_login(
    town: Town, chromium_server: Chromium
) -> None:
    async with town.somebody(chromium_server) as ada:
        app, used = await ada.adds_app()
        await ada.logs_out()
        await ada.sends_password()
        await proves(ada, "Code of your authenticator app", used)
        await ada.is_refused("was used before")
        await proves(ada, "Code of your authenticator app", next_code(app))
        await ada.sees("Your account")


async def test_a_recovery_code_lets_in_who_has_lost_the_rest(town: Town, chromium_server: Chromium) -> None:
    async with town.somebody(chromium_server) as ada:
        codes = await ada.adds_passkey()
        await ada.authenticator.clear()
        await ada.logs_out()
        await ada.sends_password()
        await proves(ada, "Recovery code", codes[0].upper())
        await ada.sees("Your account")
        await expect(ada.page.locator("#recovery-left")).to_contain_text("9 left")


async def test_removing_a_passkey_is_approved_by_a_passkey(town: Town, chromium_server: Chromium) -> None:
    async with town.somebody(chromium_server) as ada:
        await ada.adds_passkey("My laptop")
        await ada.page.get_by_role("button", name="Remove: My laptop").click()
        dialog = ada.page.get_by_role("dialog", name="Do you want this?")
        await expect(dialog).to_contain_text("Remove something to log in with")
        await expect(dialog).to_contain_text("My laptop")
        await dialog.get_by_role("button", name="No").click()
        await ada.is_refused("you have not approved it")
        await ada.page.get_by_role("button", name="Remove: My laptop").click()
        await dialog.get_by_role("button", name="Use a passkey").click()
        await expect(ada.page.get_by_text("You have none yet.")).to_be_visible()
        assert (await town.mail(ada.email, "factor_changed"))["change"] == "removed"


async def test_what_a_program_asks_for_is_approved_by_a_link(town: Town, chromium_server: Chromium) -> None:
    async with town.somebody(chromium_server) as ada:
        await ada.adds_passkey()
        order = {"name": "A program", "scopes": ["wallets:read"]}
        key = {"Idempotency-Key": "one-and-the-same"}
        status, refused = await ada.calls("POST", "/api-keys", order, **key)
        assert (status, refused["code"]) == (403, "step_up_required")
        waiting = refused["step_up"]["id"]
        await ada.goes_to(f"#step-up={waiting}")
        dialog = ada.page.get_by_role("dialog", name="Do you want this?")
        await expect(dialog).to_contain_text("A program")
        await dialog.get_by_role("button", name="Use a passkey").click()
        await ada.sees("Approved")
        status, other = await ada.calls(
            "POST", "/api-keys", order | {"scopes": ["transfers:write"]}, **{"Idempotency-Key": "x", "Step-Up": waiting}
        )
        assert (status, other["code"]) == (403, "step_up_required")
        status, made = await ada.calls("POST", "/api-keys", order, **key, **{"Step-Up": waiting})
        assert (status, made["name"]) == (201, "A program")
        status, again = await ada.calls("POST", "/api-keys", order, **{"Idempotency-Key": "x", "Step-Up": waiting})
        assert (status, again["code"]) == (403, "step_up_required")


async def test_a_link_of_somebody_who_is_not_logged_in_waits_for_the_login(
    town: Town, chromium_server: Chromium
) -> None:
    async with town.somebody(chromium_server) as ada:
        await ada.adds_passkey()
        _, refused = await ada.calls(
            "POST", "/api-keys", {"name": "A", "scopes": ["wallets:read"]}, **{"Idempotency-Key": "1"}
        )
        await ada.logs_out()
        await ada.goes_to(f"#step-up={refused['step_up']['id']}")
        await ada.page.get_by_role("button", name="Log in with a passkey").click()
        await ada.page.get_by_role("dialog").get_by_role("button", name="Use a passkey").click()
        await ada.sees("Approved")


async def test_a_copy_of_a_passkey_is_found_out(town: Town, chromium_server: Chromium) -> None:
    async with town.somebody(chromium_server) as ada:
        await ada.adds_passkey()
        (copy,) = await ada.authenticator.credentials()
        await ada.logs_out()
        await ada.page.get_by_role("button", name="Log in with a passkey").click()
        await ada.sees("Your account")
        await ada.logs_out()
        await ada.authenticator.clear()
        await ada.authenticator.put(copy)
        await ada.page.get_by_role("button", name="Log in with a passkey").click()
        await ada.is_refused("there may be a copy of it")


async def test_a_passkey_that_another_page_has_used_is_refused(town: Town, chromium_server: Chromium) -> None:
    async with town.somebody(chromium_server) as ada:
        await ada.adds_passkey()
        _, start = await ada.calls("POST", "/auth/passkeys/start", {})
        # Another origin of the same host can use the passkey, which is why the origin is checked.
        await ada.page.goto(f"http://localhost:{town.api.metrics_url.rpartition(':')[2]}/metrics")
        signed = await ada.page.evaluate(
            "async (options) => (await navigator.credentials.get({ publicKey: "
            "PublicKeyCredential.parseRequestOptionsFromJSON(options) })).toJSON()",
            start["options"],
        )
        await ada.goes_to()
        body = {"challenge_id": start["challenge_id"], "credential": signed}
        status, refused = await ada.calls("POST", "/auth/passkeys/finish", body)
        assert (status, refused["code"]) == (403, "second_factor_wrong")


async def test_whom_the_authenticator_does_not_recognise_it_lets_not_in(town: Town, chromium_server: Chromium) -> None:
    async with town.somebody(chromium_server) as ada:
        await ada.adds_passkey()
        await ada.logs_out()
        await ada.authenticator.recognise(its_owner=False)
        await ada.page.get_by_role("button", name="Log in with a passkey").click()
        await ada.is_refused("Nothing was done")


async def test_two_tabs_share_a_login(town: Town, chromium_server: Chromium) -> None:
    async with town.somebody(chromium_server) as ada:
        tabs = [await ada.page.context.new_page() for _ in range(3)]
        # As after a while: the access token has ended, and each tab finds that out at once.
        await ada.page.context.clear_cookies(name="billfold")
        await asyncio.gather(*(tab.goto(f"{town.url}/account") for tab in tabs))
        for tab in tabs:
            await expect(tab.get_by_role("heading", name="Your account")).to_be_visible()
        await ada.page.reload()
        await ada.sees("Your account")


async def test_or_stands_only_where_there_is_another_way_to_log_in(town: Town, chromium_server: Chromium) -> None:
    between = "#login .or"
    async with chromium_server.page() as page:
        await page.goto(f"{town.url}/account")
        await expect(page.locator(between)).to_be_visible()
        # By an address, to which no passkey belongs.
        await page.goto(f"{town.api.url}/account")
        await expect(page.locator("#use-localhost")).to_be_visible()
        await expect(page.locator(between)).to_be_hidden()


async def test_a_session_is_signed_out_from_another(town: Town, chromium_server: Chromium) -> None:
    async with town.somebody(chromium_server) as ada, chromium_server.page() as page:
        phone = Person(town, page, await browsers.plug_in(page), ada.email)
        await phone.goes_to("#login")
        await phone.sends_password()
        await phone.sees("Your account")
        await ada.page.reload()
        await ada.page.locator("#sessions").get_by_role("button").first.click()
        await expect(ada.page.locator("#sessions li")).to_have_count(1)
        await phone.page.reload()
        await phone.sees("Log in")


async def test_a_forgotten_password_is_replaced(town: Town, chromium_server: Chromium) -> None:
    async with town.somebody(chromium_server) as ada:
        await ada.logs_out()
        await ada.page.get_by_role("link", name="Forgotten your password?").click()
        form = ada.page.locator("#forgot-form")
        await form.get_by_label("E-mail address").fill(ada.email)
        await form.get_by_role("button").click()
        await ada.is_told("a code is on its way")
        token = (await town.mail(ada.email, "password_reset"))["token"]
        form = ada.page.locator("#reset-form")
        await form.get_by_label("The code of the mail").fill(token)
        await form.get_by_label("New password").fill(f"another {PASSWORD}")
        await form.get_by_role("button").click()
        await ada.is_told("Your password is set")


async def test_a_handle_is_taken_and_given_up(town: Town, chromium_server: Chromium) -> None:
    async with town.somebody(chromium_server) as ada:
        await expect(ada.page.get_by_text("Nobody can pay you by name yet.")).to_be_visible()
        handle = f"@ada{ada.email.partition('@')[0].replace('-', '')[-12:]}"
        await ada.page.locator("#alias-form").get_by_label("A new one").fill(handle)
        await ada.page.locator("#alias-form").get_by_role("button").click()
        await expect(ada.page.locator("#aliases")).to_contain_text("Everybody can pay you by it")
        await ada.page.get_by_role("button", name=f"Give up: {handle}").click()
        await expect(ada.page.get_by_text("Nobody can pay you by name yet.")).to_be_visible()
