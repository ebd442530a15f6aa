"""Records as Kafka has them: whatever bytes a stranger's client has put there, they come, or it is said why not.

The client's own reader ends with an error of Python's at a header whose name is not UTF-8, and so do codecs at what is
damaged. Kafka asks nobody for either, and the next reader meets the same record again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy


class Unreadable(CorruptRecordException):  # type: ignore[misc]
    """A batch is damaged, or compressed by a codec that is not known here."""


class _Batches(_MemoryRecordsPy):  # type: ignore[misc]
    """What a fetch has brought."""

    def next_batch(self, *_: int) -> Any:
        """As the client's own, which reads almost all of it."""
        raw = self._next_slice
        batch = super().next_batch()
        return _Batch(batch, raw) if isinstance(batch, DefaultRecordBatch) else batch


class _Batch:
    """A batch of the client's, read again by bytes where its own reader can't."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        """All records. Those that were given before the reader failed come twice; the client drops what it has had."""
        try:
            try:
                yield from self._batch
            except (UnicodeDecodeError, CorruptRecordException):
                yield from _by_bytes(self._raw)
        except Exception as error:
            raise Unreadable(f"the batch at offset {self._batch.base_offset}: {error!r}") from error

    def validate_crc(self) -> bool:
        """As the client's own, and says where."""
        if not self._batch.validate_crc():
            raise Unreadable(f"the batch at offset {self._batch.base_offset}: its checksum is wrong")
        return True


class _Text(bytearray):
    """Bytes whose parts are text, however wrong."""

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return _Text(found) if isinstance(found, bytearray) else found

    def decode(self, *_: Any, **__: Any) -> str:
        return bytes(self).decode(errors="replace")


def _by_bytes(raw: memoryview) -> Any:
    batch = iter(_DefaultRecordBatchPy(raw))
    batch._buffer = _Text(batch._buffer)  # noqa: SLF001 - it decodes the names of headers as it finds them there.
    return batch


# There is no other way in: the client makes its readers itself.
fetcher.MemoryRecords = _Batches
