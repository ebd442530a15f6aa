"""A file as records, one after the other, in constant memory: CSV with a header or JSON Lines, gzip or not.

How far the file was read is counted in bytes of its (uncompressed) text, with a digest of them: an import that goes on
later can tell that the part it has behind it is still the same.

A plain file that ends in the middle of a line is read as far as it is whole. A compressed one is read only when its
checksum is right, which stands at its end: of what is there without it nobody knows whether it is what was sent.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import deque
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, Self, cast

import msgspec

from billfold.app.importing.mapping import Mapping
from billfold.kernel import errors, forms

#: A row of transactions is some hundred bytes; a longer line than this is no row, and is not read into memory.
LINE_MAX_BYTES = 1024 * 1024
_CHUNK_BYTES = 256 * 1024
_GZIP = b"\x1f\x8b"
#: What the gzip module raises at the end of a file in the middle, a wrong checksum, and anything else it can't read.
_NOT_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)
_BOM = b"\xef\xbb\xbf"
_JSON_START = b"{"


class FileUnreadable(errors.Invalid):
    """The file can't be read."""

    code = "file_unreadable"


class FileUnfinished(errors.Invalid):
    """The file ends in the middle of a line; what is whole of it was imported."""

    code = "file_unfinished"


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record: the line it begins on, and its texts by column."""

    line: int
    fields: dict[str, str]


class Broken(msgspec.Struct, frozen=True, gc=False):
    """A line that is no record, and why."""

    line: int
    reason: str
    text: str


class Position(msgspec.Struct, frozen=True):
    """How much of a file lies behind: bytes of its text, its lines, and a digest of those bytes."""

    bytes: int
    lines: int
    digest: str


class Source:
    """An open file of records. Use it as a context manager, and read it once."""

    def __init__(self, path: Path, mapping: Mapping, *, complete: bool = False) -> None:
        """`complete` says that the last line is whole though it has no line end.

        Raises:
            FileUnreadable: it can't be opened, is empty, or its compressed content is damaged or breaks off.
            MappingInvalid: a mapped column is not in its header.
        """
        self.path = path
        self._mapping = mapping
        self._complete = complete
        try:
            self._raw: IO[bytes] = path.open("rb")
            self.size = path.stat().st_size
        except OSError as error:
            raise FileUnreadable(f"{path} can't be read: {error.strerror}.") from error
        try:
            self._begin()
        except BaseException:
            self._raw.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raw.close()

    @property
    def read_bytes(self) -> int:
        """How many of `size` bytes were read, for a progress bar."""
        return min(self._raw.tell(), self.size)

    @property
    def position(self) -> Position:
        """What lies behind, up to the last record that was given out."""
        return self._lines.position

    def skip_to(self, position: Position) -> bool:
        """Leave out what lies before `position`, if it is still what it was; otherwise begin at the beginning."""
        if self._lines.skip_to(position):
            return True
        self._begin()
        return False

    def records(self) -> Iterator[Record | Broken]:
        """The records from here on.

        Raises:
            FileUnfinished: at the end, when the last line has none. All before was given out.
            FileUnreadable: a line is too long to be one, or the file has changed meanwhile.
        """
        return self._from_json() if self.is_json else self._from_csv()

    def _begin(self) -> None:
        self._raw.seek(0)
        compressed = self._raw.read(len(_GZIP)) == _GZIP
        self._raw.seek(0)
        if compressed:
            _check_compressed(self._raw, self.path)
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=self._raw)) if compressed else self._raw
        self._lines = _Lines(stream, self._mapping.encoding, self.path)
        self.is_json = self._lines.peek().startswith(_JSON_START)
        self.columns: list[str] = []
        if not self.is_json:
            self._read_header()

    def _read_header(self) -> None:
        try:
            header = next(self._reader())
        except StopIteration:
            raise FileUnreadable(f"{self.path} is empty.") from None
        except csv.Error as error:
            raise FileUnreadable(f"{self.path} does not begin with a header of column names: {error}.") from error
        self._lines.keep()
        self.columns = [name.strip() for name in header]
        self._mapping.check_columns(self.columns)

    def _reader(self) -> Iterator[list[str]]:
        # Strict: a quote in the wrong place is an error of its line, and does not swallow the lines after it.
        return csv.reader(self._lines, delimiter=self._mapping.delimiter, strict=True)

    def _from_csv(self) -> Iterator[Record | Broken]:
        reader = self._reader()
        while True:
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if self._is_half():
                    raise self._unfinished() from error
                yield self._lines.keep_broken(f"The line is not valid CSV: {error}.")
                continue
            if self._is_half():
                raise self._unfinished()
            if values and len(values) != len(self.columns):
                yield self._lines.keep_broken(f"It has {len(values)} columns, and the header has {len(self.columns)}.")
                continue
            line = self._lines.keep()
            if values:
                yield Record(line, dict(zip(self.columns, values, strict=True)))

    def _from_json(self) -> Iterator[Record | Broken]:
        # Numbers stay the texts that they are in the file: no amount passes through a float.
        decode = msgspec.json.Decoder(dict[str, Any], float_hook=str).decode
        for text in self._lines:
            try:
                fields = {name: _text(value) for name, value in decode(text).items()} if text.strip() else None
            except (msgspec.DecodeError, UnicodeEncodeError) as error:
                if self._is_half():
                    raise self._unfinished() from error
                yield self._lines.keep_broken(f"The line is not a JSON object: {forms.said(error)}")
                continue
            line = self._lines.keep()
            if fields is not None:
                yield Record(line, fields)

    def _is_half(self) -> bool:
        return self._lines.last_is_open and not self._complete

    def _unfinished(self) -> FileUnfinished:
        line = self._lines.position.lines + 1
        return FileUnfinished(
            f"Line {line} of {self.path} has no line end, so it may be half-written. All lines before it are imported; "
            "run the same command again with the whole file, or with --complete if this is it."
        )


class _Lines:
    """The lines of a stream as text, counted and digested once they are kept, and given back if they are not."""

    def __init__(self, stream: BinaryIO | IO[bytes], encoding: str, path: Path) -> None:
        self._stream = stream
        self._encoding = encoding
        self._path = path
        self._digest = blake2b(digest_size=16)
        self._bytes = 0
        self._count = 0
        #: Given out and not yet kept, and given back to be given out again.
        self._open: list[bytes] = []
        self._back: deque[bytes] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        raw = self._back.popleft() if self._back else self._read()
        if not raw:
            raise StopIteration
        self._open.append(raw)
        at_start = self._bytes == 0 and len(self._open) == 1
        return self._decoded(raw.removeprefix(_BOM) if at_start else raw)

    @property
    def last_is_open(self) -> bool:
        """Whether the last line that was given out has no line end."""
        return bool(self._open) and not self._open[-1].endswith(b"\n")

    @property
    def position(self) -> Position:
        return Position(self._bytes, self._count, self._digest.hexdigest())

    def peek(self) -> bytes:
        """What the first line begins with."""
        if not self._back:
            self._back.append(self._read())
        return self._back[0].removeprefix(_BOM).lstrip()[:1]

    def keep(self) -> int:
        """Count what was given out as read, and return the line it begins on."""
        first = self._count + 1
        for raw in self._open:
            self._digest.update(raw)
            self._bytes += len(raw)
        self._count += len(self._open)
        self._open.clear()
        return first

    def keep_broken(self, reason: str) -> Broken:
        """Count only the first of the lines that were given out as read; what follows it may be whole records."""
        self._back.extendleft(reversed(self._open[1:]))
        del self._open[1:]
        text = self._decoded(self._open[0]).rstrip("\r\n")
        return Broken(self.keep(), reason, text)

    def skip_to(self, position: Position) -> bool:
        """Read up to `position`. False when that is not what lies there."""
        left = position.bytes - self._bytes
        while left > 0:
            try:
                chunk = self._back.popleft() if self._back else self._stream.read(min(left, _CHUNK_BYTES))
            except _NOT_GZIP:
                return False
            if not chunk or len(chunk) > left:
                return False
            self._digest.update(chunk)
            left -= len(chunk)
        self._bytes, self._count = position.bytes, position.lines
        return left == 0 and self._digest.hexdigest() == position.digest

    def _read(self) -> bytes:
        try:
            raw = self._stream.readline(LINE_MAX_BYTES + 1)
        except _NOT_GZIP as error:
            raise FileUnreadable(f"The compressed file {self._path} has changed while it was read.") from error
        if len(raw) > LINE_MAX_BYTES:
            line = self._count + len(self._open) + 1
            raise FileUnreadable(f"Line {line} of {self._path} is longer than a row of transactions can be.")
        return raw

    def _decoded(self, raw: bytes) -> str:
        # What is not of the encoding becomes a lone surrogate, which no field may hold: it is refused where it stands.
        return raw.decode(self._encoding, errors="surrogateescape")


def _text(value: object) -> str:
    """A value of a JSON object as the text that would stand in a CSV file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return str(value)


def _check_compressed(raw: IO[bytes], path: Path) -> None:
    """Decompress it once. Damage shows only at the end, by the checksum, when money would have moved already."""
    try:
        with gzip.GzipFile(fileobj=cast("BinaryIO", raw)) as stream:
            while stream.read(_CHUNK_BYTES):
                pass
    except EOFError as error:
        raise FileUnreadable(
            f"The compressed file {path} breaks off before its checksum, so nobody can say whether what is there of it "
            "is right. Nothing was imported; get the whole file."
        ) from error
    except (OSError, zlib.error) as error:
        raise FileUnreadable(f"The compressed file {path} is damaged: {error}. Nothing was imported.") from error
    finally:
        raw.seek(0)
