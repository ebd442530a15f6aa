"""What clients were told, written down before and after each request, in a file that survives everything.

A line is written when a request is about to be sent for the first time, and another when its answer is known. The
audit holds the ledger against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

Kind = Literal["transfer", "confirmed"]


class Intent(msgspec.Struct, frozen=True, tag="intent"):
    """About to be sent. `key` is unique, and is the reference of the transfer that it makes."""

    key: str
    kind: Kind
    body: dict[str, Any]


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """A definite answer: `transfer` is the id of what was posted, `refused` the code of a refusal."""

    key: str
    transfer: str | None = None
    refused: str | None = None
    replayed: bool = False


Line = Intent | Answer


class Writer:
    """Appends lines; each is with the operating system before the call returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, line: Line) -> None:
        """Write one line."""
        self._file.write(msgspec.json.encode(line) + b"\n")


class Reader:
    """Reads a journal that may still be written: each call of `news` goes on where the last one ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0
        self._decoder = msgspec.json.Decoder(Line)

    def news(self) -> Iterator[Line]:
        """The lines that have been added. One is there when its newline is; what is half written comes next time."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._place)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._place += len(line)
                yield self._decoder.decode(line)


def read(path: Path) -> Iterator[Line]:
    """All lines that are there."""
    return Reader(path).news()
