"""Time zones, as this machine knows them."""

from __future__ import annotations

import zoneinfo
from functools import cache

from billfold.identity import errors


def check(name: str, *, pointer: str = "/time_zone") -> None:
    """Go on only if there is a time zone of this name.

    Raises:
        InvalidTimeZone.
    """
    if name not in _known():
        raise errors.InvalidTimeZone(pointer=pointer)


@cache
def _known() -> frozenset[str]:
    # UTC is there on machines without the database too.
    return frozenset(zoneinfo.available_timezones() | {"UTC"})
