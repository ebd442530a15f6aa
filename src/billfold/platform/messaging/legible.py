"""What is kept of a message that could not be applied: as much as PostgreSQL takes, and people can read."""

from __future__ import annotations

from collections.abc import Mapping

from billfold.platform.messaging import cloudevents

#: A sentence, and perhaps a value that somebody has sent; more of that helps nobody.
TEXT_MAX = 1_000
#: An attribute of a CloudEvent at its longest, in which each byte is written as three.
HEADER_MAX = 3 * cloudevents.ATTRIBUTE_MAX
#: The size of all headers together; they are often traces and seldom more than a few hundred characters.
HEADERS_MAX = 16 * 1024


def text(given: str, size_max: int = TEXT_MAX) -> str:
    """PostgreSQL's text is UTF-8 without NUL, and nobody reads on for ever."""
    return given.encode(errors="replace").decode().replace("\0", "?")[:size_max]


def headers(given: Mapping[str, str]) -> dict[str, str]:
    """As many of the headers as fit into an event, first those that make it what it is: a retry reads them again."""
    kept: dict[str, str] = {}
    size = 0
    for name, value in sorted(given.items(), key=lambda header: not cloudevents.attributes(dict([header]))):
        kept[text(name)] = text(value, HEADER_MAX)
        size += len(name) + len(value)
        if size > HEADERS_MAX:
            kept.popitem()
            break
    return kept
