"""How far an import came, in a small file of the user's state folder. Losing it costs time and nothing else."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec.structs import astuple

from billfold.app.importing.source import Position
from billfold.kernel import errors
from billfold.kernel.idempotency import KEPT_DAYS

#: The API forgets a row's key a little after this; a margin for clocks that differ.
KEYS_KEPT = timedelta(days=KEPT_DAYS - 1)
_NAME_IN_FILE_MAX = 60


class ImportRunning(errors.Conflict):
    """This import is running already."""

    code = "import_running"


class MemoryUnwritable(errors.BillfoldError):
    """What the import remembers can't be written."""

    code = "memory_unwritable"


class Counts(msgspec.Struct):
    """What became of an import's rows."""

    imported: int = 0
    #: They were there already.
    replayed: int = 0
    rejected: int = 0
    wallets_created: int = 0

    @property
    def rows(self) -> int:
        """All of them."""
        return self.imported + self.replayed + self.rejected

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """An import up to `position`."""

    begun_at: datetime
    position: Position
    counts: Counts
    #: How long the reject file was.
    rejects_bytes: int
    #: A transfer that exists if, and only if, the ledger is still the one that everything before was posted to.
    last_transfer: str | None


class Memory:
    """The memory of one import: of this name, into this API."""

    def __init__(self, folder: Path, *, url: str, name: str) -> None:
        digest = blake2b(f"{url}\0{name}".encode(), digest_size=8).hexdigest()
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:_NAME_IN_FILE_MAX]
        self.path = folder / f"{readable}-{digest}.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second run of the same import away.

        Raises:
            ImportRunning, MemoryUnwritable
        """
        with _translated(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = self.path.with_suffix(".lock").open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ImportRunning(
                    "This import is running already; wait for it, or give this one another --name."
                ) from error
            yield

    def read(self) -> Remembered | None:
        """What is remembered. A file that can't be understood is no memory."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Remembered)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def write(self, remembered: Remembered) -> None:
        """Remember this instead. The file is replaced as a whole, so a kill leaves the old one or the new one."""
        fresh = self.path.with_suffix(".new")
        with _translated(self.path):
            fresh.write_bytes(msgspec.json.encode(remembered))
            fresh.replace(self.path)


def default_folder() -> Path:
    """Where the XDG base directory rules put what a program remembers."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "billfold" / "imports"


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MemoryUnwritable(
            f"{path} can't be written: {error.strerror}. Set XDG_STATE_HOME to a folder that can be written."
        ) from error
