"""Everything that was answered for, in the order in which it happened: a file that only grows, synced before an answer.

A record is a letter, the length, a checksum and the bytes. What a crash left half written at the end was never answered
for, and is cut off.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from billfold.platform import host

#: A block, a transaction that waits for one, transactions that shall never be in one again, a block that counts as
#: wrong, and one that counts again.
Kind = Literal["block", "waiting", "dropped", "wrong", "right"]
_LETTERS: dict[Kind, bytes] = {"block": b"B", "waiting": b"T", "dropped": b"D", "wrong": b"W", "right": b"R"}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}
_HEAD = struct.Struct("<cII")


class Record(msgspec.Struct, frozen=True):
    """Something that happened."""

    kind: Kind
    data: bytes


class Journal:
    """The file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def open(self) -> Iterator[Record]:
        """All that happened, and afterwards room for more."""
        self._path.touch(mode=0o600)
        whole = 0
        with self._path.open("rb") as file:
            while (record := _read(file)) is not None:
                whole = file.tell()
                yield record
        self._file = self._path.open("r+b")
        self._file.truncate(whole)
        self._file.seek(whole)
        host.sync_folder(self._path.parent)

    def append(self, records: Sequence[Record]) -> None:
        """Write down what has happened, all of it at once; it is on the disk when this returns."""
        assert self._file is not None, "the journal is open"
        self._file.write(b"".join(map(_written, records)))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()


def _written(record: Record) -> bytes:
    return _HEAD.pack(_LETTERS[record.kind], len(record.data), zlib.crc32(record.data)) + record.data


def _read(file: BinaryIO) -> Record | None:
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    letter, length, checksum = _HEAD.unpack(head)
    data = file.read(length)
    if len(data) < length or zlib.crc32(data) != checksum or letter not in _KINDS:
        return None
    return Record(_KINDS[letter], data)
