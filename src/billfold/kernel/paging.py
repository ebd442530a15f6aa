"""Opaque cursors and pages. A page is stable under inserts: a cursor names the last item seen, not a number of rows."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from billfold.kernel import errors

LIMIT_DEFAULT = 25
#: A page stays small enough to be read under one request's time and memory; streams serve the rest.
LIMIT_MAX = 100
_CURSOR_MAX = 512
#: PostgreSQL's bigint ends before it.
_NUMBERS_END = 2**63

T = TypeVar("T")


class InvalidCursor(errors.Invalid):
    """The cursor is not one that this list gave out; start again without it."""

    code = "invalid_cursor"


class InvalidLimit(errors.Invalid):
    """The limit is not a whole number from 1 to 100."""

    code = "invalid_limit"


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items, and the cursor of the next page if there is one."""

    items: list[T]
    next_cursor: str | None = None


def cut(found: list[T], size: int, *, place: Callable[[T], object]) -> Page[T]:
    """The page of `size` items, of which one more was read so as to know whether another page follows.

    `place` is the position of an item.
    """
    return Page(found[:size], encode(place(found[size - 1])) if len(found) > size else None)


def encode(position: object) -> str:
    """The opaque cursor for `position`, any value that msgspec can write as JSON."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode(cursor: str, form: type[T]) -> T:
    """The position of type `form` in `cursor`.

    Raises:
        InvalidCursor: it was not made by `encode` for this form.
    """
    if len(cursor) > _CURSOR_MAX:
        raise InvalidCursor(pointer="cursor")
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=form)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidCursor(pointer="cursor") from None


def decode_number(cursor: str) -> int:
    """The position in `cursor` where positions are numbered, as far as a database counts.

    Raises:
        InvalidCursor: it was not made by `encode` for a number.
    """
    number = decode(cursor, int)
    if not 0 <= number < _NUMBERS_END:
        raise InvalidCursor(pointer="cursor")
    return number


def check_limit(limit: int | None) -> int:
    """`limit` or the default.

    Raises:
        InvalidLimit: outside 1 to LIMIT_MAX.
    """
    if limit is None:
        return LIMIT_DEFAULT
    if not 1 <= limit <= LIMIT_MAX:
        raise InvalidLimit(pointer="limit")
    return limit
