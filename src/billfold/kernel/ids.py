"""UUIDv7 identifiers (RFC 9562 §5.7): they sort by the time they were made, also within one millisecond."""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID

from billfold.kernel import errors

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_BITS = 74
_RANDOM_MAX = (1 << _RANDOM_BITS) - 1


class InvalidId(errors.Invalid):
    """The id is not a UUID in its usual text form."""

    code = "invalid_id"


class IdSource:
    """Makes ids that strictly increase within this process, whatever the clock does.

    The 74 random bits are drawn afresh each millisecond and stepped by a random amount within it, so ids can't be
    guessed from their neighbours.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ms = 0
        self._tail = 0

    def new(self) -> UUID:
        """The next id."""
        return UUID(int=self.new_int())

    def new_int(self) -> int:
        """The next id as its 128-bit integer."""
        now_ms = time.time_ns() // 1_000_000
        with self._lock:
            if now_ms > self._ms:
                self._ms = now_ms
                # The top bit starts clear, so the steps of one millisecond can't run over.
                self._tail = int.from_bytes(os.urandom(10)) >> (80 - _RANDOM_BITS + 1)
            else:
                self._tail += 1 + (int.from_bytes(os.urandom(4)))
                if self._tail > _RANDOM_MAX:
                    self._ms += 1
                    self._tail = int.from_bytes(os.urandom(10)) >> (80 - _RANDOM_BITS + 1)
            ms, tail = self._ms, self._tail
        return ms << 80 | _VERSION | (tail >> 62) << 64 | _VARIANT | tail & ((1 << 62) - 1)


_source = IdSource()
new = _source.new


def parse(text: str, *, pointer: str | None = None) -> UUID:
    """The id in `text`.

    Raises:
        InvalidId: not 32 hexadecimal digits in five groups.
    """
    try:
        if len(text) != 36:
            raise ValueError
        return UUID(text)
    except ValueError:
        raise InvalidId(pointer=pointer) from None


def floor_of(unix_ms: int) -> UUID:
    """The smallest UUIDv7 of the millisecond `unix_ms`: ids made before it sort below."""
    return UUID(int=unix_ms << 80 | _VERSION | _VARIANT)
