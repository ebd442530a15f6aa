"""Where a service is: a unix socket, or a host and a port."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_HOST_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})")
#: What the kernel takes as the path of a socket, with the zero byte at its end.
_PATH_MAX_BYTES = 107
_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """One server's address. `target` is as gRPC takes it."""

    target: str
    #: Of a unix socket.
    path: Path | None = None
    host: str | None = None
    port: int = 0

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine reach it."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address((self.host or "").strip("[]")).is_loopback
        except ValueError:
            return False


def parse(text: str) -> Address:
    """The address that `text` names: unix:/run/billfold/ledger.sock, 127.0.0.1:8090, ledger.internal:8090.

    Raises: ValueError, with what is wrong.
    """
    if text.startswith("unix:"):
        return _socket(text.removeprefix("unix:"))
    match = _HOST_PORT.fullmatch(text)
    if match is None or not 0 <= int(match["port"]) <= _PORT_MAX:
        raise ValueError(f"{text!r} is neither unix:/path nor host:port")
    return Address(target=f"{_scheme(match['host'])}{text}", host=match["host"], port=int(match["port"]))


def parse_all(text: str) -> Sequence[Address]:
    """The addresses that are separated by commas; at least one.

    Raises: ValueError.
    """
    found = [parse(part.strip()) for part in text.split(",")]
    if len({address.target for address in found}) != len(found):
        raise ValueError(f"{text!r} names one address twice")
    return found


def _socket(text: str) -> Address:
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(f"the socket {text!r} is not given by its whole path")
    if len(text.encode()) > _PATH_MAX_BYTES:
        raise ValueError(f"the path of the socket {text!r} is longer than {_PATH_MAX_BYTES} bytes")
    return Address(target=f"unix:{text}", path=path)


def _scheme(host: str) -> str:
    if host.startswith("["):
        return "ipv6:"
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return "dns:///"
    return "ipv4:"
