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
from pathlib import Path
from types import TracebackType
from typing import Self

from billfold.app.importing.mapping import Mapping
from billfold.app.importing.rows import Reject
from billfold.app.importing.source import Source
from billfold.kernel import errors

LINE, FIELD, REASON, TEXT = "reject_line", "reject_field", "reject_reason", "reject_text"
_OWN = (LINE, FIELD, REASON, TEXT)


class RejectsUnwritable(errors.BillfoldError):
    """The reject file can't be written."""

    code = "rejects_unwritable"


class Rejects:
    """A file that is only appended to. It is made with the first row, so that a clean import leaves none."""

    def __init__(self, path: Path, source: Source, mapping: Mapping, *, kept_bytes: int) -> None:
        """`kept_bytes` is the length that the import remembers; a killed run may have written further."""
        self._path = path
        self._columns = [column for column in source.columns if column not in _OWN]
        self._is_json = source.is_json
        self._mapping = mapping
        self.kept_bytes = kept_bytes
        self._file: io.FileIO | None = None

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
        with _translated(self._path):
            if self._file is None:
                self._file = self._open()
            written = b"" if self._is_json or self.kept_bytes else self._csv([[*self._columns, *_OWN]])
            written += self._json(rejects) if self._is_json else self._csv([self._values(reject) for reject in rejects])
            left = memoryview(written)
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
            self.kept_bytes = self._file.tell()

    def _open(self) -> io.FileIO:
        """The file, at the place up to which it belongs to what is remembered. It may have been moved away since."""
        file = self._path.open("r+b" if self._path.exists() else "w+b", buffering=0)
        self.kept_bytes = file.truncate(min(self.kept_bytes, file.seek(0, os.SEEK_END)))
        file.seek(self.kept_bytes)
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


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RejectsUnwritable(f"The reject file {path} can't be written: {error.strerror}.") from error
