"""The header Prefer (RFC 7240): what a client would like, of which a server does what it can and ignores the rest."""

from __future__ import annotations

import re

import msgspec

#: A wait is as long as a proxy in front may let an answer take.
WAIT_MAX_S = 30

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
#: One preference at the begin of a text: its name, its value, and parameters, of which none means anything here.
_PREFERENCE = re.compile(
    rf'[ \t,]*({_WORD})(?:[ \t]*=[ \t]*({_WORD}|"[^"]*"))?(?:[ \t]*;[^,"]*(?:"[^"]*"[^,"]*)*)?[ \t]*(?:,|\Z)'
)
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


class Preferences(msgspec.Struct, frozen=True, gc=False):
    """What a client would like, of what is known here."""

    #: Whether it would rather be told where to look than wait.
    respond_async: bool = False
    #: How long it waits, in seconds, at most as long as we do.
    wait_s: int | None = None

    def applied(self) -> str:
        """What Preference-Applied says when it was done so."""
        parts = ["respond-async"] if self.respond_async else []
        if self.wait_s is not None:
            parts.append(f"wait={self.wait_s}")
        return ", ".join(parts)


NONE = Preferences()


def parse(value: bytes | None) -> Preferences:
    """The preferences in the header; of one that stands twice the first counts, and what can't be read is ignored."""
    if value is None:
        return NONE
    text = value.decode("latin-1")
    found: dict[str, str] = {}
    place = 0
    while (match := _PREFERENCE.match(text, place)) is not None and match.end() > place:
        found.setdefault(match[1].lower(), (match[2] or "").strip('"'))
        place = match.end()
    wait = found.get("wait", "")
    return Preferences(
        respond_async="respond-async" in found,
        wait_s=min(int(wait), WAIT_MAX_S) if _SECONDS.fullmatch(wait) else None,
    )
