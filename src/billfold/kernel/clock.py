"""Instants: UTC, microseconds, RFC 3339 text. The core gets its time passed in; only edges read a clock."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from billfold.kernel import errors

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class InvalidInstant(errors.Invalid):
    """The time is not an RFC 3339 instant with an offset, such as 2026-01-31T12:00:00Z."""

    code = "invalid_instant"


class Clock(Protocol):
    """Where the edges read the time."""

    def now(self) -> datetime:
        """The present instant, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present instant, in UTC."""
        return datetime.now(UTC)


def parse(text: str, *, pointer: str | None = None) -> datetime:
    """The UTC instant that `text` names. A bare date means its first instant in UTC.

    Raises:
        InvalidInstant: another form, no offset, or no such day or time.
    """
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        if _RFC3339.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # There is no such day or time: it is refused below like any other form.
    raise InvalidInstant(pointer=pointer)


def format(instant: datetime) -> str:  # noqa: A001 - the module is spoken in full: clock.format(...)
    """RFC 3339 text of `instant` in UTC with all six digits of the microsecond, so that texts sort like instants."""
    # strftime would write the year 999 with three digits.
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def microseconds(instant: datetime) -> int:
    """Whole microseconds from 1970-01-01T00:00:00Z to `instant`."""
    return (instant - EPOCH) // MICROSECOND
