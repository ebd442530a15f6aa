"""What a token of somebody else's says on its outside, before its signature is looked at. Nothing of it is believed."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import Any

import msgspec

_HEADER_MAX = 2_048
#: Longer tokens are no tokens.
TOKEN_MAX = 8_192
_PARTS = 3


class Header(msgspec.Struct, frozen=True):
    """The part of a token that says how it is signed."""

    alg: str
    kid: str | None = None
    typ: str = ""
    crit: Any = None


def read_header(token: str) -> Header | None:
    """The header of what looks like a signed token."""
    header: Header | None = _part(token, 0, Header)
    return header


def issuer_in(token: str) -> str | None:
    """Who a token says that has made it, to find out whom to ask."""
    claims = _part(token, 1, _Unverified)
    return claims.iss if claims is not None else None


class _Unverified(msgspec.Struct, frozen=True):
    iss: str | None = None


def _part(token: str, index: int, form: type[Any]) -> Any:
    parts = token.split(".")
    if len(parts) != _PARTS or len(token) > TOKEN_MAX or not token.isascii():
        return None
    if index == 0 and len(parts[0]) > _HEADER_MAX:
        return None
    try:
        raw = urlsafe_b64decode(parts[index] + "=" * (-len(parts[index]) % 4))
        return msgspec.json.decode(raw, type=form)
    except (ValueError, msgspec.DecodeError):
        return None
