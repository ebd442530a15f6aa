"""Where people's pages are. A machine calls itself localhost there: passkeys belong to names, never to IP addresses."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

LOCALHOST = "localhost"


def account(url: str) -> str:
    """The page of people's accounts, at the API with this address."""
    parts = urlsplit(url)
    if not is_loopback(parts.hostname or ""):
        return f"{url}/account"
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{LOCALHOST}{port}/account"


def is_loopback(host: str) -> bool:
    """Whether this is an address of the machine itself, and no name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
