"""Where a request comes from, behind proxies or not.

What a header says of that is anybody's to write, so it is believed only from proxies that the settings name, and only
as far back as they vouch for each other: the right-most address that is none of theirs is the client's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

import msgspec
from litestar.types import HTTPScope, WebSocketScope

Header = Literal["x-forwarded-for", "forwarded"]
Address = IPv4Address | IPv6Address

#: Nobody has more proxies in a row. What stands farther left in the header is not looked at.
HOPS_MAX = 16
#: One customer of a provider has a whole network of this size, and all of its addresses.
IPV6_PREFIX = 64
#: Of a User-Agent, this much is kept.
DEVICE_MAX = 200
#: Of a unix socket, for instance.
NOWHERE = "unknown"

_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*("[^"]*"|[^;"\s]*)\s*(?:;|$)', re.IGNORECASE)
#: An address with a port: 192.0.2.1:80, [2001:db8::1]:80, [2001:db8::1].
_WITH_PORT = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[\d.]+))(?::\w+)?")


class Client(msgspec.Struct, frozen=True):
    """Where a request comes from, and what the program there says of itself."""

    address: str
    device: str


class Addresses:
    """Finds clients' addresses. `trusted` are the networks of our own proxies, separated by commas."""

    def __init__(self, trusted: str | None = None, *, header: Header = "x-forwarded-for") -> None:
        """Raises: ValueError, which says what is no network."""
        self._trusted = [ip_network(one.strip()) for one in (trusted or "").split(",") if one.strip()]
        self._header = header.encode()

    def of(self, scope: HTTPScope | WebSocketScope) -> str:
        """Whom to count a request for: an IPv4 address, or the network of an IPv6 address."""
        address = self._found(scope)
        if address is None:
            return NOWHERE
        return str(address if address.version == 4 else IPv6Network((int(address), IPV6_PREFIX), strict=False))  # noqa: PLR2004

    def address(self, scope: HTTPScope) -> str:
        """Where a request comes from, to the last digit."""
        return str(self._found(scope) or NOWHERE)

    def client(self, scope: HTTPScope) -> Client:
        """Where a request comes from, and its User-Agent."""
        agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
        text = agent.decode("ascii", errors="replace")[:DEVICE_MAX]
        return Client(self.of(scope), "".join(letter if letter.isprintable() else " " for letter in text))

    def _found(self, scope: HTTPScope | WebSocketScope) -> Address | None:
        client = scope["client"]
        address = _parsed(client[0]) if client is not None else None
        if address is not None and self._trusted and self._is_ours(address):
            return self._behind(address, scope["headers"])
        return address

    def _behind(self, proxy: Address, headers: Iterable[tuple[bytes, bytes]]) -> Address:
        """The client behind our `proxy`; the last one of ours when what it says can't be understood."""
        found = proxy
        for hop in self._hops(headers):
            address = _parsed(hop)
            if address is None:
                break
            found = address
            if not self._is_ours(address):
                break
        return found

    def _hops(self, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        """What the header says, from right to left. Several of them are one, in their order."""
        values = b",".join(value for name, value in headers if name == self._header).decode("latin-1")
        hops = values.rsplit(",", HOPS_MAX)[-HOPS_MAX:] if values else []
        for hop in reversed(hops):
            yield hop.strip() if self._header == b"x-forwarded-for" else _node(hop)

    def _is_ours(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _node(element: str) -> str:
    """The `for` of an element of the header Forwarded (RFC 7239)."""
    found = _FOR.search(element.strip())
    return found[1].strip('"') if found is not None else ""


#: The same clients come again and again, and reading an address takes longer than looking it up.
@lru_cache(maxsize=10_000)
def _parsed(text: str) -> Address | None:
    with_port = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address(with_port["v6"] or with_port["v4"] or "" if with_port is not None else text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
