"""Secrets that were planted, and the search for them wherever they must not be, in each form that a leak may have."""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

#: What is shorter occurs by chance in whatever is large.
_ENCODED_MIN = 12
#: Codes that people type in: among other digits and letters they are no code.
_SHORT = re.compile(rb"[0-9]{6,10}")


@dataclass(frozen=True)
class Finding:
    """A secret that lies open. It says which, where and how, and not the secret itself."""

    secret: str
    place: str
    form: str
    around: str

    def __str__(self) -> str:
        return f"{self.secret} ({self.form}) in {self.place}: {self.around}"


@dataclass
class Planted:
    """Secrets by what they are."""

    secrets: dict[str, bytes] = field(default_factory=dict)

    def plant(self, name: str, secret: str | bytes) -> None:
        """One more; of the same name there may be several."""
        value = secret.encode() if isinstance(secret, str) else secret
        assert len(value) >= 6, f"{name} is too short to be found"
        if value in self.secrets.values():
            return
        number = sum(known.partition("#")[0] == name for known in self.secrets)
        self.secrets[f"{name}#{number + 1}" if number else name] = value

    def search(self, place: str, text: str | bytes, *, but: frozenset[str] = frozenset()) -> list[Finding]:
        """Those that are in `text`; `but` names secrets that may be there."""
        data = text.encode(errors="surrogateescape") if isinstance(text, str) else text
        return [
            found
            for name, secret in self.secrets.items()
            if name.partition("#")[0] not in but
            for found in _found(name, secret, place, data)
        ]


def _found(name: str, secret: bytes, place: str, data: bytes) -> Iterator[Finding]:
    for form, pattern in forms(secret):
        if (at := _position(pattern, data, alone=_SHORT.fullmatch(secret) is not None)) is not None:
            before = data[max(0, at - 60) : at].decode(errors="replace")
            after = data[at + len(pattern) : at + len(pattern) + 20].decode(errors="replace")
            yield Finding(name, place, form, f"{before}[{name}]{after}")


def _position(pattern: bytes, data: bytes, *, alone: bool) -> int | None:
    if not alone:
        at = data.find(pattern)
        return at if at >= 0 else None
    match = re.search(rb"(?<![\w.-])" + pattern + rb"(?![\w.-])", data)
    return match.start() if match else None


def forms(secret: bytes) -> list[tuple[str, bytes]]:
    """How a secret may look: as it is, escaped for a URL or for JSON, in hexadecimal, within base64."""
    found = {"as it is": secret}
    if _SHORT.fullmatch(secret):
        return list(found.items())
    found["in a URL"] = quote(secret, safe="").encode()
    found["in JSON"] = json.dumps(secret.decode(errors="replace"))[1:-1].encode()
    found["as repr"] = repr(secret)[2:-1].encode()
    found["in hexadecimal"] = secret.hex().encode()
    found["in HEXADECIMAL"] = secret.hex().upper().encode()
    for offset in range(3):
        for kind, encode in (("base64", b64encode), ("base64url", urlsafe_b64encode)):
            inner = _inner_base64(encode(bytes(offset) + secret), offset, len(secret))
            if len(inner) >= _ENCODED_MIN:
                found[f"in {kind} at {offset}"] = inner
    seen: set[bytes] = set()
    return [(form, text) for form, text in found.items() if not (text in seen or seen.add(text))]  # type: ignore[func-returns-value]


def _inner_base64(encoded: bytes, offset: int, length: int) -> bytes:
    """The letters that are the same whatever stands before and behind: those made of the secret's bits alone."""
    start = (offset * 8 + 5) // 6
    end = (offset + length) * 8 // 6
    return encoded[start:end]
