"""The pages whose examples need a browser in between: somebody reads them and does what they say, to the letter."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pyotp
import pytest
from playwright.async_api import Locator, Page, expect

from billfold.platform import host
from tests import browsers, keycloak
from tests.browser.test_account import next_code
from tests.browsers import Chromium
from tests.docs import blocks, shell, stack
from tests.docs.blocks import Act, Example
from tests.docs.shell import Shell
from tests.docs.test_examples import PAGES
from tests.keycloak import KeycloakServer

DOCS = Path(__file__).parents[2] / "docs"
READ_HERE = [page for page in PAGES if blocks.acts(page.read_text(encoding="utf-8"))]


class Reader:
    """Somebody who finds on the account's page only what the text has named in bold letters."""

    def __init__(self, page: Page, text: str) -> None:
        self.page = page
        self._text = " ".join(text.split())

    async def presses(self, button: str) -> None:
        await self.page.get_by_role("button", name=self._named(button), exact=True).click()

    async def follows(self, link: str) -> None:
        await self.page.get_by_role("link", name=self._named(link), exact=True).click()

    async def fills(self, *, button: str, **fields: str) -> None:
        """Fill in the form that has this button, and press it."""
        form = self._form(button)
        for label, text in fields.items():
            await form.get_by_label(self._named(label)).fill(text)
        await self.presses(button)

    async def sees(self, heading: str) -> None:
        await expect(self.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()

    async def logs_in(self, email: str, password: str) -> None:
        await self.fills(button="Log in", **{"E-mail address, phone number or handle": email, "Password": password})
        await self.sees("Your account")

    async def keeps_the_recovery_codes(self) -> None:
        await expect(self.page.get_by_role("dialog").get_by_role("listitem")).to_have_count(10)
        await self.presses("I have them")

    def _form(self, button: str) -> Locator:
        return self.page.locator("form").filter(has=self.page.get_by_role("button", name=button, exact=True))

    def _named(self, name: str) -> str:
        assert f"**{name}**" in self._text, f"the text does not say **{name}**"
        return name


async def ada_adds_a_passkey(reader: Reader, _: Shell) -> None:
    await browsers.plug_in(reader.page)
    await reader.logs_in("ada@example.org", "the analytical engine weaves")
    fields = {"Name of the new passkey": "My laptop", "Your password": "the analytical engine weaves"}
    await reader.fills(button="Add a passkey", **fields)
    await reader.keeps_the_recovery_codes()
    await reader.presses("Log out")
    await reader.sees("Log in")
    await reader.presses("Log in with a passkey")
    await reader.sees("Where you are logged in")
    # That of her commands, and this one.
    await expect(reader.page.locator("#sessions li")).to_have_count(2)


async def bob_adds_an_authenticator_app(reader: Reader, bash: Shell) -> None:
    await reader.logs_in("bob@example.org", "a boat, a bucket and a bell")
    await reader.fills(button="Add an authenticator app", **{"Your password": "a boat, a bucket and a bell"})
    secret = reader.page.locator("#totp-secret")
    await expect(secret).to_be_visible()
    app = pyotp.TOTP((await secret.inner_text()).replace(" ", ""))
    await reader.fills(button="Confirm", Code=app.now())
    await reader.keeps_the_recovery_codes()
    types(bash, f"code={next_code(app)}")


ACTS: Mapping[str, Callable[[Reader, Shell], Awaitable[None]]] = {
    "Ada adds a passkey": ada_adds_a_passkey,
    "Bob adds an authenticator app": bob_adds_an_authenticator_app,
}


def types(bash: Shell, code: str) -> None:
    """Type what the page leaves to the reader."""
    bash.check(Example("what a reader types", 0, "bash", (blocks.Step(code, re.compile("")),)))


@pytest.fixture
def newcomers_stack(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A fresh `billfold up`: these pages are about people, who are there once."""
    with stack.running(tmp_path) as environment:
        yield environment


@pytest.mark.parametrize("page", READ_HERE, ids=lambda page: page.name)
async def test_a_newcomer_does_what_the_page_says(
    page: Path, newcomers_stack: dict[str, str], chromium_server: Chromium, tmp_path: Path
) -> None:
    text = page.read_text(encoding="utf-8")
    parts: list[Example | Act] = [*blocks.examples(page, page.name), *blocks.acts(text)]
    address = json.loads((Path(newcomers_stack["BILLFOLD_DATA"]) / "stack.json").read_text())["account_url"]
    folder = tmp_path / "folder"
    folder.mkdir()
    with shell.running(folder, newcomers_stack) as bash:
        for part in sorted(parts, key=lambda part: part.line):
            if isinstance(part, Example):
                await asyncio.to_thread(bash.check, part)
                continue
            async with chromium_server.page() as window:
                await window.goto(address)
                await ACTS[part.name](Reader(window, text), bash)


def the_file(page: str, name: str) -> str:
    """A file that a page wants to be written."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (found,) = [fence.code for fence in blocks.fences(text) if fence.code.startswith(f"# {name}\n")]
    return found


async def test_the_last_part_of_the_peoples_tutorial_lets_in_whom_keycloak_knows(
    keycloak_server: KeycloakServer, chromium_server: Chromium, tmp_path: Path
) -> None:
    """With the files as the pages have them; only the ports, which may be taken here, are others."""
    port = host.free_port()
    providers = the_file("how-to/log-in-with-keycloak.md", "providers.toml")
    settings = the_file("tutorial/people.md", "billfold.toml")
    assert (providers.count(":8180"), settings.count(":8080")) == (1, 1)
    (tmp_path / "providers.toml").write_text(providers.replace(":8180", f":{keycloak_server.port}"))
    (tmp_path / "billfold.toml").write_text(settings.replace(":8080", f":{port}"))
    text = (DOCS / "tutorial/people.md").read_text(encoding="utf-8")
    with stack.running(tmp_path, api__port=str(port)):
        async with chromium_server.page() as page:
            reader = Reader(page, text)
            await page.goto(f"http://localhost:{port}/account")
            await reader.follows("Log in with Keycloak")
            await page.fill("#username", keycloak.ADA[0])
            await page.fill("#password", keycloak.ADA[1])
            await page.click("#kc-login")
            await reader.sees("Your account")
            await expect(page.locator("#profile-facts")).to_contain_text("ada@example.com")
            # What changes something works too, which takes more than the cookies.
            await page.get_by_label("Name", exact=True).fill("Ada King")
            await page.get_by_role("button", name="Save").click()
            await expect(page.get_by_role("status")).to_contain_text("Saved.")
