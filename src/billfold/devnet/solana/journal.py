"""What the chain may never forget, in one file to which lines are only added."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from billfold.devnet.solana.engine import Outcome


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account after a block."""

    lamports: int
    data: bytes
    owner: str
    executable: bool = False
    rent_epoch: int = 0


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction in a block."""

    signature: str
    raw: bytes
    outcome: Outcome


class Genesis(msgspec.Struct, frozen=True, kw_only=True, tag="genesis"):
    """How the chain began. The salt makes its hashes differ from those of any other."""

    salt: bytes
    time: int


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag="accepted"):
    """A transaction that waits for a block."""

    raw: bytes


class Made(msgspec.Struct, frozen=True, kw_only=True, tag="made", omit_defaults=True):
    """A block."""

    slot: int
    hash: str
    time: int
    transactions: Sequence[Executed] = ()
    changes: dict[str, Account | None] = {}


class Forked(msgspec.Struct, frozen=True, kw_only=True, tag="forked"):
    """All blocks after this slot are gone; `drop`: their transactions too, else they wait again."""

    slot: int
    drop: bool


Line = Genesis | Accepted | Made | Forked


class Journal:
    """One file of lines of JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encoder = msgspec.json.Encoder()
        self._file: int | None = None

    def lines(self) -> Iterator[Line]:
        """All that was written. A last line that a kill has cut was answered for to nobody, and is removed."""
        decoder = msgspec.json.Decoder(Line)
        if not self._path.exists():
            return
        whole = 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                yield decoder.decode(line)
                whole += len(line)
        if whole < self._path.stat().st_size:
            os.truncate(self._path, whole)

    def open(self) -> None:
        self._file = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def add(self, *lines: Line) -> None:
        """Write them; they are on the disk when it returns."""
        assert self._file is not None, "the journal is open"
        data = b"".join(self._encoder.encode(line) + b"\n" for line in lines)
        try:
            if os.write(self._file, data) != len(data):
                raise OSError(errno.EIO, "The journal could not be written as a whole")
            os.fdatasync(self._file)
        except OSError:
            # Nothing may come after a line that was cut: the next start would not read it.
            self.close()
            raise
