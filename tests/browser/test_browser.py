"""What the other tests of pages rest on: a real browser, and authenticators that it takes for real ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests import browsers

_NEW_PASSKEY = """async (verification) => {
  const made = await navigator.credentials.create({ publicKey: {
    challenge: new Uint8Array(32), rp: { name: "Test" }, user: { id: new Uint8Array([1]), name: "a", displayName: "A" },
    pubKeyCredParams: [{ type: "public-key", alg: -7 }],
    authenticatorSelection: { residentKey: "required", userVerification: verification },
  } });
  return made.type;
}"""


@pytest.fixture
async def some_site() -> AsyncIterator[str]:
    """The address of a page. It is called localhost: a passkey belongs to a name, never to an IP address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\nConnection: close\r\n\r\n.")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}/"


async def test_a_page_makes_a_passkey(chromium_server: browsers.Chromium, some_site: str) -> None:
    async with chromium_server.page() as page:
        authenticator = await browsers.plug_in(page)
        await page.goto(some_site)
        assert await page.evaluate(_NEW_PASSKEY, "required") == "public-key"
        (passkey,) = await authenticator.credentials()
    assert (passkey["rpId"], passkey["isResidentCredential"]) == ("localhost", True)


async def test_an_authenticator_does_not_serve_strangers(chromium_server: browsers.Chromium, some_site: str) -> None:
    async with chromium_server.page() as page:
        authenticator = await browsers.plug_in(page)
        await authenticator.recognise(its_owner=False)
        await page.goto(some_site)
        with pytest.raises(browsers.PageError, match="NotAllowedError"):
            await page.evaluate(_NEW_PASSKEY, "required")
        assert await authenticator.credentials() == []


async def test_windows_share_nothing(chromium_server: browsers.Chromium, some_site: str) -> None:
    async with chromium_server.page() as one, chromium_server.page() as other:
        await one.goto(some_site)
        await one.evaluate("document.cookie = 'a=1'")
        await other.goto(some_site)
        assert (await one.evaluate("document.cookie"), await other.evaluate("document.cookie")) == ("a=1", "")
