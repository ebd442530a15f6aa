"""The file of rows that could not be imported: their columns as they were, and beside them what is wrong.

It is a file of the same form as the one it comes from, so once its rows are corrected it is imported like that one.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from itertools import chain, count
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from billfold.app.importing.mapping import Mapping
from billfold.app.importing.rows import Reject
from billfold.app.importing.source import Source
from billfold.kernel import errors

LINE, FIELD, REASON, TEXT = "reject_line", "reject_field", "reject_reason", "reject_text"
_OWN = (LINE, FIELD, REASON, TEXT)


class RejectsUnwritable(errors.BillfoldError):
    """The reject file can't be written."""

    code = "rejects_unwritable"


class RejectsTaken(errors.Conflict):
    """The file that --rejects names is there already, and not one that this import has written."""

    code = "rejects_taken"


class Kept(msgspec.Struct, frozen=True):
    """A reject file as an import remembers it: so many rows, in so many bytes of this digest."""

    path: str
    rows: int
    bytes: int
    digest: str

    def is_there(self) -> bool:
        """Whether it still begins like that: nobody has moved, corrected or replaced it."""
        try:
            with Path(self.path).open("rb") as file:
                return _digest(file.read(self.bytes)).hexdigest() == self.digest
        except OSError:
            return False


class Rejects:
    """A file that is only appended to. It is made with the first row, so that a clean import leaves none."""

    def __init__(
        self, path: Path | None, source: Source, mapping: Mapping, *, folder: Path, kept: Kept | None = None
    ) -> None:
        """`path` is what the user named; otherwise it is the one that is `kept`, or one in `folder` that is not there.

        A killed run may have written further than is kept.

        Raises:
            RejectsTaken: what the user named is there and is not ours, so it may hold corrections, or anything.
        """
        self._columns = [column for column in source.columns if column not in _OWN]
        self._is_json = source.is_json
        self._mapping = mapping
        self._file: io.FileIO | None = None
        self._written = _digest()
        self.rows = self._bytes = 0
        own = Path(kept.path) if kept is not None and kept.is_there() else None
        self._is_continued = own is not None and (path is None or path.resolve() == own)
        if own is not None and kept is not None and self._is_continued:
            self.path, self.rows, self._bytes = own, kept.rows, kept.bytes
            self._written.update(own.read_bytes()[: kept.bytes])
        else:
            self.path = _vacant(folder, source.path) if path is None else path.resolve()
            _check_vacant(self.path, source.path)

    @property
    def kept(self) -> Kept | None:
        """What to remember of it; None while it holds nothing."""
        return Kept(str(self.path), self.rows, self._bytes, self._written.hexdigest()) if self._bytes else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, rejects: Sequence[Reject]) -> None:
        """Write all of them in one go, and see them on the disk before the import goes on.

        Raises:
            RejectsUnwritable
        """
        if not rejects:
            return
        with _translated(self.path):
            if self._file is None:
                self._file = self._open()
            written = b"" if self._is_json or self._bytes else self._csv([[*self._columns, *_OWN]])
            written += self._json(rejects) if self._is_json else self._csv([self._values(reject) for reject in rejects])
            left = memoryview(written)
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
            self._written.update(written)
            self._bytes = self._file.tell()
            self.rows += len(rejects)

    def _open(self) -> io.FileIO:
        """The file, at the place up to which it is kept; or a new one, which replaces none."""
        file = self.path.open("r+b" if self._is_continued else "xb", buffering=0)
        file.truncate(self._bytes)
        file.seek(self._bytes)
        return file

    def _values(self, reject: Reject) -> list[str]:
        own = [str(reject.line), reject.field, reject.reason, reject.text]
        return [*(reject.fields.get(column, "") for column in self._columns), *own]

    def _csv(self, rows: list[list[str]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self._mapping.delimiter, lineterminator="\n").writerows(rows)
        return self._encoded(text.getvalue(), self._mapping.encoding)

    def _json(self, rejects: Sequence[Reject]) -> bytes:
        lines = []
        for reject in rejects:
            own = {LINE: str(reject.line), FIELD: reject.field, REASON: reject.reason, TEXT: reject.text}
            lines.append(json.dumps({**reject.fields, **own}, ensure_ascii=False) + "\n")
        return self._encoded("".join(lines), "utf-8")

    def _encoded(self, text: str, encoding: str) -> bytes:
        """Bytes that could not be decoded go out as they came in; a word of ours that the encoding lacks, with a ?."""
        try:
            return text.encode(encoding, errors="surrogateescape")
        except UnicodeEncodeError:
            return text.encode(encoding, errors="replace")


def _digest(content: bytes = b"") -> blake2b:
    return blake2b(content, digest_size=16)


def _vacant(folder: Path, source: Path) -> Path:
    """The file's name with .rejects in it, and a number if that is taken."""
    plain = Path(source.name.removesuffix(".gz"))
    numbers = chain([""], (f"-{number}" for number in count(2)))
    paths = (folder.resolve() / f"{plain.stem}.rejects{number}{plain.suffix}" for number in numbers)
    return next(path for path in paths if not path.exists())


def _check_vacant(path: Path, source: Path) -> None:
    if not path.exists():
        return
    if path.samefile(source):
        raise RejectsTaken(f"{path.name} is the file to import; name another with --rejects.")
    raise RejectsTaken(f"{path} is there already; move it away, or name another with --rejects.")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RejectsUnwritable(f"The reject file {path} can't be written: {error.strerror}.") from error
