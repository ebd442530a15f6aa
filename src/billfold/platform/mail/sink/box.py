"""A folder of mails, one file each, of which the oldest give way. Any process of the same user may look into it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from billfold.kernel import errors, ids
from billfold.platform import host

#: Nobody reads further back.
MESSAGES_MAX = 1_000
#: All of them together; a single one may be as large as `receiving` lets in.
BYTES_MAX = 64 * 1024 * 1024
#: Of the mails of a stack, within its data folder.
FOLDER = "mail"
_ENDING = ".eml"


class MessageUnknown(errors.NotFound):
    """There is no such message in the mail sink; `billfold mail list` shows those there are."""

    code = "message_unknown"


class Box:
    """The mails of a folder. Their ids sort by the time they came."""

    def __init__(self, folder: Path, *, messages_max: int = MESSAGES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._folder = folder
        self._messages_max = messages_max
        self._bytes_max = bytes_max

    def keep(self, content: bytes, *, sender: str, recipients: Sequence[str]) -> str:
        """Keep a mail with its envelope, in front of all that the mail says itself, and return its id.

        Raises: OSError, on a full disk for instance; nothing is kept then.
        """
        host.private_folder(self._folder)
        envelope = f"Return-Path: <{_line(sender)}>\r\nDelivered-To: {_line(', '.join(recipients))}\r\n"
        message_id = str(ids.new())
        draft = self._folder / f"{message_id}.new"
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(envelope.encode() + content)
            draft.rename(self._file(message_id))
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        self._make_room()
        return message_id

    def ids(self) -> list[str]:
        """All mails, the newest first."""
        if not self._folder.is_dir():
            return []
        return sorted((file.stem for file in self._folder.glob(f"*{_ENDING}")), reverse=True)

    def read(self, message_id: str) -> bytes:
        """A mail as it came, below its envelope.

        Raises: MessageUnknown.
        """
        try:
            return self._file(str(ids.parse(message_id))).read_bytes()
        except (ids.InvalidId, FileNotFoundError) as error:
            raise MessageUnknown from error

    def clear(self) -> int:
        """Throw all away; say how many."""
        found = self.ids()
        for message_id in found:
            self._file(message_id).unlink(missing_ok=True)
        return len(found)

    def _file(self, message_id: str) -> Path:
        return self._folder / f"{message_id}{_ENDING}"

    def _make_room(self) -> None:
        size = 0
        for number, message_id in enumerate(self.ids(), start=1):
            file = self._file(message_id)
            size += file.stat().st_size if file.exists() else 0
            if number > self._messages_max or size > self._bytes_max:
                file.unlink(missing_ok=True)


def received_at(message_id: str) -> datetime:
    """When the mail of this id came, to the millisecond."""
    return datetime.fromtimestamp((UUID(message_id).int >> 80) / 1000, tz=UTC)


def _line(text: str) -> str:
    """What can stand in a header; an address with anything else in it is shown without."""
    return "".join(filter(str.isprintable, text))
