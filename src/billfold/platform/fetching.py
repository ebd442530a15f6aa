"""Calls to addresses that come from outside: an issuer's documents now, and whatever else somebody may name.

Whoever can name an address must not reach what only we can reach (server-side request forgery). So a name is resolved
once, every address that it has must be one of the public internet, the connection goes to just that address with the
name's own TLS and Host, redirects are answers and not followed, and an answer has a limit of size, time and kind.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import httpx2
import msgspec

from billfold.kernel import errors

#: No document that we ask for comes near this.
BODY_MAX = 256 * 1024
#: From the look-up of the name to the last byte: a server that drips is given up on, however steadily it does.
TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 3.0
URL_MAX = 2_048
#: Of a name with more addresses the rest is not tried.
_ADDRESSES_TRIED = 4
_OK = 200
_PORT_MAX = 65_535

Address = IPv4Address | IPv6Address
#: The addresses of a name.
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

#: Networks that carry IPv4 addresses inside: what counts is where the inner address leads.
_NAT64 = IPv6Network("64:ff9b::/96")
#: What Python takes for global or does not know, and leads elsewhere all the same: tunnels (6to4, Teredo), addresses
#: that only look like IPv4 ones, and NAT64 within a network.
_TUNNELS = tuple(
    ip_network(text) for text in ("2002::/16", "2001::/32", "::/96", "64:ff9b:1::/48", "192.88.99.0/24", "fec0::/10")
)
#: Private networks, where a company's own servers are.
_PRIVATE = tuple(ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
#: Where clouds keep the credentials of their machines, beside the link-local address.
_METADATA = frozenset(ip_address(text) for text in ("fd00:ec2::254", "192.0.0.192", "100.100.100.200"))


class AddressRefused(errors.Invalid):
    """This address is not called: it must be https, and of the public internet."""

    code = "address_refused"


class FetchFailed(errors.Unavailable):
    """Another server did not answer as it should; try again later."""

    code = "fetch_failed"


class Fetched(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    #: Names in lower case.
    headers: Mapping[str, str]
    body: bytes


class Fetcher:
    """Calls outside addresses. `private` allows those of private networks, `loopback` this machine, even by http."""

    def __init__(self, *, private: bool = False, loopback: bool = False, resolver: Resolver | None = None) -> None:
        self._private = private
        self._loopback = loopback
        self._resolve = resolver or _resolved

    async def get(self, url: str, *, content_types: Sequence[str]) -> Fetched:
        """The answer of status 200 with one of these content types.

        Raises:
            AddressRefused: it is not one that may be called.
            FetchFailed: there was no such answer in time, or it was too large.
        """
        return _ok(await self._send("GET", url, {"accept": ", ".join(content_types)}, None), url, content_types)

    async def post_form(
        self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str], content_types: Sequence[str]
    ) -> Fetched:
        """The answer to a form, whatever its status, with one of these content types.

        Raises:
            AddressRefused: it is not one that may be called.
            FetchFailed: there was no such answer in time, or it was too large.
        """
        content = str(httpx2.QueryParams(dict(form))).encode()
        own = {"accept": ", ".join(content_types), "content-type": "application/x-www-form-urlencoded"}
        return _typed(await self._send("POST", url, {**headers, **own}, content), url, content_types)

    async def post(self, url: str, content: bytes, *, content_type: str) -> Fetched:
        """The answer to `content`, whatever its status and kind.

        Raises:
            AddressRefused: it is not one that may be called.
            FetchFailed: there was no answer in time, or it was too large.
        """
        return await self._send("POST", url, {"content-type": content_type}, content)

    async def check(self, url: str) -> None:
        """Pass if the address may be called now.

        Raises:
            AddressRefused: it may not.
            FetchFailed: its name can't be resolved.
        """
        await self._addresses(_parsed(url))

    async def _send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Fetched:
        target = _parsed(url)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._sent(method, target, headers, content)
        except TimeoutError:
            raise FetchFailed(f"{target.host} did not answer within {TIMEOUT_S:.0f} seconds.") from None

    async def _sent(
        self, method: str, target: httpx2.URL, headers: Mapping[str, str], content: bytes | None
    ) -> Fetched:
        addresses = await self._addresses(target)
        timeout = httpx2.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        # No proxy of the environment: where a call goes is decided here.
        async with httpx2.AsyncClient(verify=_tls(), trust_env=False, timeout=timeout) as client:
            for address in addresses:
                request = client.build_request(
                    method,
                    target.copy_with(host=str(address)),
                    # A compressed answer could be larger than it is long.
                    headers={**headers, "host": target.netloc.decode(), "accept-encoding": "identity"},
                    content=content,
                    extensions={"sni_hostname": target.host},
                )
                try:
                    return await _read(client, request, target)
                except (httpx2.ConnectError, httpx2.ConnectTimeout):
                    if address is addresses[-1]:
                        raise FetchFailed(f"{target.host} can't be reached, or has a wrong certificate.") from None
                except httpx2.HTTPError as error:
                    raise FetchFailed(f"{target.host} broke off: {type(error).__name__}.") from error
        raise AssertionError("the last address has returned or raised")

    async def _addresses(self, target: httpx2.URL) -> Sequence[Address]:
        """The addresses to try; one that is not allowed among them refuses them all."""
        port = target.port or (443 if target.scheme == "https" else 80)
        try:
            texts = await self._resolve(target.host, port)
        except (OSError, UnicodeError):
            raise FetchFailed(f"The name {target.host} can't be resolved.") from None
        addresses = [ip_address(text.partition("%")[0]) for text in dict.fromkeys(texts)]
        if not addresses:
            raise FetchFailed(f"The name {target.host} has no address.")
        for address in addresses:
            self._check(address, target)
        return addresses[:_ADDRESSES_TRIED]

    def _check(self, address: Address, target: httpx2.URL) -> None:
        if self._loopback and address.is_loopback:
            return
        if target.scheme != "https":
            raise AddressRefused(f"{target.host} must be called by https.")
        if not is_public(address) and not (self._private and is_private(address)):
            raise AddressRefused(f"{target.host} leads to {address}, which is not of the public internet.")


def is_public(address: Address) -> bool:
    """Whether the address is one that everybody reaches, and only as itself."""
    inner = _inner(address)
    if inner is not None:
        return is_public(inner)
    if any(address in network for network in _TUNNELS) or address in _METADATA:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_private(address: Address) -> bool:
    """Whether the address is of a private network, as companies have them, and not where a cloud keeps credentials."""
    inner = _inner(address)
    if inner is not None:
        return is_private(inner)
    return address not in _METADATA and any(address in network for network in _PRIVATE)


def _inner(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


def _parsed(url: str) -> httpx2.URL:
    if len(url) > URL_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefused("The address is no URL in ASCII, or too long.")
    try:
        target = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        raise AddressRefused("The address is no URL.") from None
    if target.scheme not in {"https", "http"} or not target.host or (target.port or 1) > _PORT_MAX:
        raise AddressRefused("The address is no URL that begins with https://.")
    if target.userinfo or target.fragment:
        raise AddressRefused("The address must have neither a login nor a fragment in it.")
    return target


async def _read(client: httpx2.AsyncClient, request: httpx2.Request, target: httpx2.URL) -> Fetched:
    response = await client.send(request, stream=True, follow_redirects=False)
    try:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise FetchFailed(f"{target.host} sent a compressed answer without being asked for one.")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > BODY_MAX:
                raise FetchFailed(f"{target.host} sent more than {BODY_MAX} bytes.")
        return Fetched(response.status_code, dict(response.headers), bytes(body))
    finally:
        await response.aclose()


def _ok(answer: Fetched, url: str, content_types: Sequence[str]) -> Fetched:
    if answer.status != _OK:
        raise FetchFailed(f"{httpx2.URL(url).host} answered with status {answer.status}.")
    return _typed(answer, url, content_types)


def _typed(answer: Fetched, url: str, content_types: Sequence[str]) -> Fetched:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in content_types:
        raise FetchFailed(
            f"{httpx2.URL(url).host} answered with {kind[:60] or 'no content type'!r}, status {answer.status}."
        )
    return answer


async def _resolved(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


@cache
def _tls() -> ssl.SSLContext:
    """With the certificates that the system trusts, or SSL_CERT_FILE has; reading them takes a while."""
    return ssl.create_default_context()
