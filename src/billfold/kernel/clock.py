"""Instants: UTC, microseconds, RFC 3339 text. The core gets its time passed in; only edges read a clock."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Protocol

from msgspec import Meta, json

from billfold.kernel import errors

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
#: The text of an instant, as it is described to callers; `parse` reads it.
Text = Annotated[str, Meta(extra_json_schema={"anyOf": [{"format": "date-time"}, {"format": "date"}]})]
#: Instants from the world are between these. PostgreSQL's driver takes the first and the last one of Python's calendar
#: for infinity, and sums with an instant must not leave the calendar. Many write 9999-12-31T23:59:59Z for "never".
EARLIEST = datetime(1000, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_written = json.Encoder().encode


class InvalidInstant(errors.Invalid):
    """The time is no date, nor an instant with an offset like 2026-01-31T12:00:00Z, of the years 1000 to 9999."""

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
        InvalidInstant: another form, no offset, no such day or time, or not between EARLIEST and LATEST.
    """
    instant = _read(text)
    if instant is None:
        raise InvalidInstant(pointer=pointer)
    return checked(instant, pointer=pointer)


def checked(instant: datetime, *, pointer: str | None = None) -> datetime:
    """`instant` in UTC, when it is one to reckon with. Whatever instant a caller names passes here.

    Raises:
        InvalidInstant: it has no offset, or is not between EARLIEST and LATEST.
    """
    if instant.tzinfo is None or not EARLIEST <= instant <= LATEST:
        raise InvalidInstant(pointer=pointer)
    return instant.astimezone(UTC)


def _read(text: str) -> datetime | None:
    try:
        if _RFC3339.fullmatch(text):
            return datetime.fromisoformat(text.upper())
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
    except ValueError:
        pass  # There is no such day or time.
    return None


def format(instant: datetime) -> str:  # noqa: A001 - the module is spoken in full: clock.format(...)
    """RFC 3339 text of `instant` in UTC with all six digits of the microsecond, so that texts sort like instants."""
    # A library in C writes it ten times sooner than isoformat, and leaves out a fraction of zeros.
    text = _written(instant.astimezone(UTC))[1:-1].decode()
    return text if instant.microsecond else f"{text[:-1]}.000000Z"


def microseconds(instant: datetime) -> int:
    """Whole microseconds from 1970-01-01T00:00:00Z to `instant`."""
    return (instant - EPOCH) // MICROSECOND
