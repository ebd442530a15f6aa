"""The journal: every transaction that was taken and every ledger that was closed, on the disk before anybody is told.

A line each, in JSON. What was being written when the process was killed is the end of the file and was never answered
for, so it is cut off.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec


class Taken(msgspec.Struct, frozen=True, tag="taken"):
    """A transaction that waits for a ledger, as base64."""

    envelope: str


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """A ledger: seconds since 1970, stroops for an operation, its transactions in order, the hash to come out."""

    at: int
    fee: int
    transactions: tuple[str, ...]
    hash: str


Line = Taken | Closed
_DECODER = msgspec.json.Decoder(Line)


class Journal:
    """The file. One process has it open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def lines(self) -> Iterator[Line]:
        """Everything that was written; afterwards more can be."""
        self._file = self._path.open("a+b")
        self._file.seek(0)
        good = 0
        for raw in self._file:
            if not raw.endswith(b"\n"):
                break
            yield _DECODER.decode(raw)
            good += len(raw)
        self._file.truncate(good)
        self._sync()

    def write(self, line: Line) -> None:
        """Add a line that a kill or a loss of power can't take back."""
        assert self._file is not None, "what is there is read first"
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._sync()

    def close(self) -> None:
        """No more lines."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _sync(self) -> None:
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
