"""What clients were told, written down before and after each request, in a file that survives everything.

A line is written when a request is about to be sent for the first time, and another when its answer is known. The
audit holds the ledger against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

Kind = Literal[
    "transfer",
    "deposit",
    "withdrawal",
    "bulk",
    "reverse",
    "hold",
    "settle",
    "release",
    "wallet",
    "rename",
    "confirmed",
]


class Intent(msgspec.Struct, frozen=True, tag="intent"):
    """About to be sent to `path`, or of the kind `confirmed` to the queue. `key` is unique."""

    key: str
    kind: Kind
    path: str
    body: dict[str, Any]
    #: What the clients know of the thing in the path: the transfer to reverse, the hold to settle or release.
    of: dict[str, Any] | None = None


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """A definite answer: it was done, or refused for good."""

    key: str
    status: int
    body: dict[str, Any]
    replayed: bool = False

    @property
    def done(self) -> bool:
        """Whether it was done and not refused."""
        return self.status < 300


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """The queue has said that it keeps the confirmed transaction."""

    key: str


Line = Intent | Answer | Kept


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
