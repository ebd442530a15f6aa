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

from tests import browsers
from tests.browser.test_account import next_code
from tests.browsers import Chromium
from tests.docs import blocks, shell, stack
from tests.docs.blocks import Act, Example
from tests.docs.shell import Shell
from tests.docs.test_examples import PAGES

READ_HERE = [page for page in PAGES if blocks.acts(page.read_text(encoding="utf-8"))]


class Reader:
    """Somebody who finds on the account's page only what the text has named in bold letters."""

    def __init__(self, page: Page, text: str) -> None:
        self.page = page
        self._text = " ".join(text.split())

    async def presses(self, button: str) -> None:
        await self.page.get_by_role("button", name=self._named(button), exact=True).click()

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
