"""A real Chromium for tests, and authenticators that it takes for real ones.

The fixture over it is `chromium_server` in `tests/conftest.py`: one browser for the whole run. Each test opens windows
of its own, which share nothing with others' (no cookies, no storage, no authenticators).
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, BrowserContext, CDPSession, Error, Page, async_playwright, expect

#: What a page throws, or can't do.
PageError = Error
#: Debian's, which `make test` installs where it may.
PROGRAM = shutil.which("chromium")
#: Any step of a page takes well under a second; a slow machine is forgiven.
STEP_TIMEOUT_S = 60
# What is expected of a page has a time of its own, five seconds, whatever its window says.
expect.set_options(timeout=STEP_TIMEOUT_S * 1000)
# It is often root who tests, in a container without a graphics card; and the browser shall call nobody on its own.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)


class Chromium:
    """A running browser with a profile of its own, which ends with it."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    @asynccontextmanager
    async def window(self, **options: Any) -> AsyncIterator[BrowserContext]:
        """A private window until the block ends; `options` are those of Playwright's `new_context`."""
        context = await self.browser.new_context(**options)
        context.set_default_timeout(STEP_TIMEOUT_S * 1000)
        try:
            yield context
        finally:
            await context.close()

    @asynccontextmanager
    async def page(self, **options: Any) -> AsyncIterator[Page]:
        """An empty page in a private window of its own."""
        async with self.window(**options) as context:
            yield await context.new_page()


class Authenticator:
    """A security key inside the browser, plugged into one page: it keeps passkeys and always finds its owner present.

    It speaks the DevTools protocol's domain WebAuthn: https://chromedevtools.github.io/devtools-protocol/tot/WebAuthn/
    """

    def __init__(self, session: CDPSession, authenticator_id: str) -> None:
        self._session = session
        self._id = authenticator_id

    async def credentials(self) -> list[dict[str, Any]]:
        """The passkeys on it, private keys and sign counts included."""
        answer = await self._session.send("WebAuthn.getCredentials", {"authenticatorId": self._id})
        credentials: list[dict[str, Any]] = answer["credentials"]
        return credentials

    async def put(self, credential: dict[str, Any]) -> None:
        """Put a passkey on it, as one who has cloned it would: `credentials` of another one gives some."""
        await self._session.send("WebAuthn.addCredential", {"authenticatorId": self._id, "credential": credential})

    async def clear(self) -> None:
        """Forget all passkeys."""
        await self._session.send("WebAuthn.clearCredentials", {"authenticatorId": self._id})

    async def recognise(self, *, its_owner: bool) -> None:
        """Whether it recognises its owner from now on (by a finger or a PIN)."""
        await self._session.send("WebAuthn.setUserVerified", {"authenticatorId": self._id, "isUserVerified": its_owner})


async def plug_in(page: Page) -> Authenticator:
    """Give the page an authenticator like a phone's or a laptop's own: passkeys on it, its owner recognised."""
    session = await page.context.new_cdp_session(page)
    await session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    answer = await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return Authenticator(session, answer["authenticatorId"])


@asynccontextmanager
async def running_chromium() -> AsyncIterator[Chromium]:
    """A browser without a window on any screen, until the block ends."""
    assert PROGRAM is not None, "it is not installed"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=list(_FLAGS))
        try:
            yield Chromium(browser)
        finally:
            await browser.close()
