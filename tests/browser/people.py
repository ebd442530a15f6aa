"""People in front of a browser, and the API that they use, in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pyotp
from playwright.async_api import ConsoleMessage, Page, expect

from billfold.kernel import ids
from billfold.platform.keys import Envelope, local
from billfold.platform.mail.queue import Mail, MailQueue
from tests import browsers, servers
from tests.browsers import Authenticator, Chromium
from tests.integration.api import support
from tests.integration.api.support import ApiServer

PASSWORD = "correct horse battery staple"


@dataclass
class Town:
    """A running API, its database, and its mails as those see them who have the master key."""

    api: ApiServer
    database: servers.TestDatabase
    mails: MailQueue

    @property
    def url(self) -> str:
        """As people call it: a passkey belongs to a name."""
        return f"http://localhost:{urlsplit(self.api.url).port}"

    async def mail(self, to: str, template: str) -> dict[str, str]:
        """The latest mail of that kind to somebody."""
        connection = await asyncpg.connect(self.database.app_dsn)
        try:
            row = await connection.fetchrow(
                "SELECT id, recipient, template, locale, sealed, created_at, attempts FROM mail.queue "
                "WHERE recipient = $1 AND template = $2 ORDER BY created_at DESC LIMIT 1",
                to,
                template,
            )
        finally:
            await connection.close()
        assert row is not None, f"nobody wrote {template} to {to}"
        return await self.mails.values(Mail(**row, age_s=0.0))

    @asynccontextmanager
    async def somebody(self, chromium: Chromium, **options: object) -> AsyncIterator[Person]:
        """Somebody who has just made an account, in a window of their own with an authenticator."""
        async with chromium.page(**options) as page:
            broken: list[str] = []
            page.on("pageerror", lambda error: broken.append(str(error)))
            # Refusals of the API are told there, too. What else is, such as a script that was not let run, is a defect.
            page.on("console", lambda line: broken.append(line.text) if _is_bad(line) else None)
            person = Person(self, page, await browsers.plug_in(page), f"{ids.new()}@example.com")
            await person.registers()
            yield person
            assert broken == []


class Person:
    """Somebody in front of a page."""

    def __init__(self, town: Town, page: Page, authenticator: Authenticator, email: str) -> None:
        self.town = town
        self.page = page
        self.authenticator = authenticator
        self.email = email

    async def goes_to(self, place: str = "") -> None:
        await self.page.goto(f"{self.town.url}/account{place}")

    async def registers(self) -> None:
        """Make an account by the code of the mail."""
        page = self.page
        await self.goes_to("#register")
        form = page.locator("#register-form")
        await form.get_by_label("Your name").fill("Ada Lovelace")
        await form.get_by_label("E-mail address or phone number").fill(self.email)
        await form.get_by_label("Password").fill(PASSWORD)
        await form.get_by_role("button").click()
        await expect(page.get_by_role("heading", name="Type the code")).to_be_visible()
        code = (await self.town.mail(self.email, "verification_code"))["code"]
        await page.locator("#verify-form").get_by_label("Code").fill(code)
        await page.locator("#verify-form").get_by_role("button").click()
        await self.sees("Your account")

    async def sees(self, heading: str) -> None:
        await expect(self.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        await expect(self.page.get_by_role("main")).to_have_attribute("aria-busy", "false")
        await expect(self.page.locator("#error")).to_be_hidden()

    async def is_told(self, text: str) -> None:
        await expect(self.page.get_by_role("status")).to_contain_text(text)

    async def is_refused(self, text: str) -> None:
        await expect(self.page.locator("[role=alert]:visible")).to_contain_text(text)

    async def logs_out(self) -> None:
        await self.page.get_by_role("button", name="Log out", exact=True).click()
        await self.sees("Log in")

    async def sends_password(self) -> None:
        form = self.page.locator("#login-form")
        await form.get_by_label("E-mail address").fill(self.email)
        await form.get_by_label("Password").fill(PASSWORD)
        await form.get_by_role("button").click()

    async def adds_passkey(self, name: str = "Laptop") -> list[str]:
        """Add the first passkey; the recovery codes."""
        form = self.page.locator("#passkey-form")
        await form.get_by_label("Name of the new passkey").fill(name)
        await form.get_by_label("Your password").fill(PASSWORD)
        await form.get_by_role("button").click()
        return await self.keeps_codes()

    async def adds_app(self) -> tuple[pyotp.TOTP, str]:
        """Add an authenticator app as the first factor: the app, and the code that was used for that."""
        form = self.page.locator("#totp-form")
        await form.get_by_label("Your password").fill(PASSWORD)
        await form.get_by_role("button").click()
        shown = self.page.locator("#totp-secret")
        await expect(shown).to_be_visible()
        app = pyotp.TOTP((await shown.inner_text()).replace(" ", ""))
        code = app.now()
        await self.page.locator("#totp-code-form").get_by_label("Code").fill(code)
        await self.page.locator("#totp-code-form").get_by_role("button").click()
        await self.keeps_codes()
        return app, code

    async def keeps_codes(self) -> list[str]:
        dialog = self.page.get_by_role("dialog", name="Your recovery codes")
        await expect(dialog.get_by_role("listitem")).to_have_count(10)
        codes = await dialog.get_by_role("listitem").all_inner_texts()
        await dialog.get_by_role("button").click()
        await expect(dialog).to_be_hidden()
        return codes

    async def calls(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """What the API answers a script of the page."""
        status, answer = await self.page.evaluate(_CALL, [method, f"/api/v1{path}", body, headers])
        return status, answer


_CALL = """async ([method, path, body, headers]) => {
  const token = localStorage.getItem("billfold-csrf");
  const sent = { "Content-Type": "application/json", "X-CSRF-Token": token, ...headers };
  const answer = await fetch(path, { method, headers: sent, body: body === null ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  return [answer.status, text ? JSON.parse(text) : {}];
}"""


def _is_bad(line: ConsoleMessage) -> bool:
    return line.type in ("error", "warning") and not line.text.startswith("Failed to load resource")


def running_town(database: servers.TestDatabase, folder: Path) -> Iterator[Town]:
    """A town, until the generator is closed."""
    master_key = folder / "master.key"
    local.create(master_key)
    settings = {"keys__file": str(master_key), "security__step_up_above": "USD=100"}
    with support.running_api(database, folder, **settings) as api:
        yield Town(api, database, MailQueue(Envelope(local.load(master_key))))
