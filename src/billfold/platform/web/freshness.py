"""How old an answer may be, as its caller says it in Cache-Control (RFC 9111 §5.2.1)."""

from __future__ import annotations

#: More digits than a century of seconds has are no number that anybody means.
_DIGITS_MAX = 10


def max_age_s(cache_control: str | None) -> int:
    """The seconds; 0 where the caller wants to know what is so now, or says something that nobody understands."""
    if cache_control is None:
        return 0
    ages = []
    for directive in cache_control.split(","):
        name, _, value = (part.strip() for part in directive.partition("="))
        if name.lower() in {"no-cache", "no-store"}:
            return 0
        if name.lower() == "max-age":
            ages.append(_seconds(value))
    return min(ages, default=0)


def _seconds(text: str) -> int:
    digits = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX else 0
