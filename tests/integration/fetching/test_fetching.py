"""Addresses from outside: where a call goes, and what of an answer is taken."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest

from billfold.platform import fetching
from billfold.platform.fetching import AddressRefused, Fetcher, FetchFailed
from tests.integration.fetching import hostile

JSON = ("application/json",)


@pytest.fixture
async def server() -> AsyncIterator[hostile.Hostile]:
    async with hostile.running() as running:
        yield running


@pytest.fixture
def local() -> Fetcher:
    """May call this machine, as a sandbox does."""
    return Fetcher(loopback=True)


def names(**known: str) -> fetching.Resolver:
    """Resolves names as it is told to."""

    async def resolve(host: str, _port: int) -> Sequence[str]:
        return known[host.partition(".")[0]].split()

    return resolve


async def test_a_document_is_fetched(server: hostile.Hostile, local: Fetcher) -> None:
    server.answers["/keys"] = hostile.answer(
        b"{}", kind="application/json; charset=utf-8", more="cache-control: max-age=7\r\n"
    )
    got = await local.get(server.url("/keys"), content_types=JSON)
    assert (got.body, got.headers["cache-control"]) == (b"{}", "max-age=7")


async def test_the_name_is_resolved_once_and_kept_in_the_host_header(server: hostile.Hostile) -> None:
    asked = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        # Whoever asks a second time is led elsewhere.
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    server.answers["/keys"] = hostile.answer(b"{}")
    await Fetcher(loopback=True, resolver=resolve).get(server.url("/keys", "issuer.test"), content_types=JSON)
    assert asked == [("issuer.test", server.port)]
    assert f"host: issuer.test:{server.port}\r\n".encode() in server.asked[0].lower()


async def test_of_several_addresses_the_next_is_tried_when_one_does_not_answer(server: hostile.Hostile) -> None:
    server.answers["/keys"] = hostile.answer(b"{}")
    fetcher = Fetcher(loopback=True, resolver=names(two="127.0.0.2 127.0.0.1"))
    assert (await fetcher.get(server.url("/keys", "two.test"), content_types=JSON)).body == b"{}"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104 - refused, never listened on.
        "10.1.2.3",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "192.88.99.1",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:0a00:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
    ],
)
async def test_an_address_that_is_not_of_the_public_internet_is_refused(address: str) -> None:
    fetcher = Fetcher(resolver=names(inside=address))
    with pytest.raises(AddressRefused, match=r"inside\.test leads to"):
        await fetcher.get("https://inside.test/keys", content_types=JSON)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
async def test_an_address_of_the_public_internet_is_let_through(address: str) -> None:
    await Fetcher(resolver=names(outside=address)).check("https://outside.test/keys")


async def test_one_bad_address_among_good_ones_refuses_them_all() -> None:
    with pytest.raises(AddressRefused):
        await Fetcher(resolver=names(mixed="1.1.1.1 10.0.0.1")).check("https://mixed.test/")


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "[::ffff:7f00:1]", "localhost"])
async def test_odd_spellings_of_this_machine_are_refused(host: str) -> None:
    with pytest.raises(AddressRefused):
        await Fetcher().check(f"https://{host}/")


async def test_private_networks_are_allowed_by_the_setting_and_a_clouds_credentials_never_are() -> None:
    fetcher = Fetcher(
        private=True,
        resolver=names(own="10.1.2.3", v6="fd12::1", cloud="169.254.169.254", aws="fd00:ec2::254", here="127.0.0.1"),
    )
    await fetcher.check("https://own.test/")
    await fetcher.check("https://v6.test/")
    for name in ("cloud", "aws", "here"):
        with pytest.raises(AddressRefused):
            await fetcher.check(f"https://{name}.test/")


async def test_plain_http_is_for_this_machine_alone() -> None:
    for fetcher in (
        Fetcher(resolver=names(a="1.1.1.1")),
        Fetcher(loopback=True, private=True, resolver=names(a="10.0.0.1")),
    ):
        with pytest.raises(AddressRefused, match="by https"):
            await fetcher.check("http://a.test/")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.test/",
        "file:///etc/passwd",
        "gopher://a.test/",
        "//a.test/",
        "https://",
        "https://ada:secret@a.test/",
        "https://a.test/#x",
        "https://a.test/ x",
        "https://a.test/\r\nhost: b",
        "https://ä.test/",
        "https://a.test:99999/",
        "https://a.test/" + "x" * 3000,
        "",
    ],
)
async def test_what_is_no_plain_https_url_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        await Fetcher(loopback=True, private=True, resolver=names(a="1.1.1.1")).check(url)


async def test_a_redirect_to_where_a_cloud_keeps_credentials_is_not_followed(
    server: hostile.Hostile, local: Fetcher
) -> None:
    server.answers["/keys"] = hostile.answer(
        b"", status="302 Found", more="location: http://169.254.169.254/latest/\r\n"
    )
    with pytest.raises(FetchFailed, match="status 302"):
        await local.get(server.url("/keys"), content_types=JSON)


async def test_a_body_without_end_is_cut_off(server: hostile.Hostile, local: Fetcher) -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
        while True:
            writer.write(b" " * 65536)
            sent += 65536
            await writer.drain()

    server.answers["/keys"] = endless
    with pytest.raises(FetchFailed, match="more than 262144 bytes"):
        await local.get(server.url("/keys"), content_types=JSON)
    # What the kernel buffers is all that was sent in vain.
    assert sent < 64 * 1024 * 1024


async def test_a_server_that_drips_is_given_up_on(
    server: hostile.Hostile, local: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT_S", 0.5)

    async def dripping(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    server.answers["/keys"] = dripping
    with pytest.raises(FetchFailed, match="did not answer within"):
        await local.get(server.url("/keys"), content_types=JSON)


async def test_a_compressed_answer_is_refused(server: hostile.Hostile, local: Fetcher) -> None:
    server.answers["/keys"] = hostile.answer(b"\x1f\x8b", more="content-encoding: gzip\r\n")
    with pytest.raises(FetchFailed, match="compressed"):
        await local.get(server.url("/keys"), content_types=JSON)


async def test_an_answer_of_another_kind_is_refused(server: hostile.Hostile, local: Fetcher) -> None:
    server.answers["/keys"] = hostile.answer(b"<html>", kind="text/html")
    with pytest.raises(FetchFailed, match="text/html"):
        await local.get(server.url("/keys"), content_types=JSON)


async def test_a_server_that_hangs_up_or_is_not_there_is_an_error_that_may_pass(
    server: hostile.Hostile, local: Fetcher
) -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        pass

    server.answers["/keys"] = silent
    for url in (server.url("/keys"), "http://127.0.0.1:9/keys"):
        with pytest.raises(FetchFailed) as caught:
            await local.get(url, content_types=JSON)
        assert caught.value.retryable


async def test_a_form_is_sent_and_its_refusal_is_an_answer(server: hostile.Hostile, local: Fetcher) -> None:
    server.answers["/token"] = hostile.answer(b'{"error":"invalid_grant"}', status="400 Bad Request")
    got = await local.post_form(
        server.url("/token"), {"code": "a b&c"}, headers={"authorization": "Basic x"}, content_types=JSON
    )
    assert (got.status, got.body) == (400, b'{"error":"invalid_grant"}')
    assert b"authorization: basic x" in server.asked[0].lower()


async def test_an_address_in_ipv6_is_called_as_such(local: Fetcher) -> None:
    async with hostile.running("::1") as server:
        server.answers["/keys"] = hostile.answer(b"{}")
        assert (await local.get(server.url("/keys", "[::1]"), content_types=JSON)).body == b"{}"


async def test_tls_is_for_the_name_although_the_connection_goes_to_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, trusted = hostile.certified(tmp_path, "issuer.test")
    greeted: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: greeted.append(name)
    monkeypatch.setattr(fetching, "_tls", lambda: trusted)
    fetcher = Fetcher(loopback=True, resolver=names(issuer="127.0.0.1", other="127.0.0.1"))
    async with hostile.running(tls=tls) as server:
        server.answers["/keys"] = hostile.answer(b"{}")
        url = server.url("/keys", "issuer.test").replace("http:", "https:")
        assert (await fetcher.get(url, content_types=JSON)).body == b"{}"
        assert greeted == ["issuer.test"]
        with pytest.raises(FetchFailed, match="wrong certificate"):
            await fetcher.get(url.replace("issuer.test", "other.test"), content_types=JSON)


def test_private_and_public_do_not_overlap() -> None:
    for text in ("10.0.0.1", "172.16.0.1", "192.168.1.1", "fd00::1"):
        assert fetching.is_private(ip_address(text))
        assert not fetching.is_public(ip_address(text))
