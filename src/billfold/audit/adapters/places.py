"""A file that heads are added to, and a web address that they are sent to."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from billfold.audit import errors
from billfold.kernel.errors import BillfoldError, Unavailable

if TYPE_CHECKING:
    from billfold.platform.fetching import Fetcher

#: Of any 2xx it is believed that the head was taken.
_TAKEN = range(200, 300)
_MEDIA_TYPE = "text/plain; charset=utf-8"


class File:
    """A file, best on a disk that this machine can only add to: each head is a note, and a blank line follows it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = f"file {path}"

    async def publish(self, note: str) -> None:
        """Add the head, durably.

        Raises:
            PublishingFailed: the file can't be written.
        """
        try:
            await asyncio.to_thread(self._append, note)
        except OSError as error:
            raise errors.PublishingFailed(f"{self._path} can't be written: {error.strerror}.") from error

    def _append(self, note: str) -> None:
        left = memoryview(f"{note}\n".encode())
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            before = os.fstat(descriptor).st_size
            try:
                while left:
                    left = left[os.write(descriptor, left) :]
                os.fsync(descriptor)
            except OSError:
                # A part of it, where the disk is full, would stand before the whole one that is written later.
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)


class Webhook:
    """An address of somebody who keeps heads: each is sent as the body of a POST."""

    def __init__(self, url: str, fetcher: Fetcher) -> None:
        self._url = url
        self._fetcher = fetcher
        # Who may send heads there is in the address, perhaps; the name is told in logs and metrics.
        self.name = f"webhook {url.partition('?')[0]}"

    async def publish(self, note: str) -> None:
        """Send the head.

        Raises:
            PublishingFailed: it was not taken.
        """
        try:
            answer = await self._fetcher.post(self._url, note.encode(), content_type=_MEDIA_TYPE)
        except Unavailable:
            raise
        except BillfoldError as error:
            raise errors.PublishingFailed(f"{self.name} can't be called: {error.detail}") from error
        if answer.status not in _TAKEN:
            raise errors.PublishingFailed(f"{self.name} answered with status {answer.status}.")
