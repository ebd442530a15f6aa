"""How far an import came, in a small file of the user's state folder. Losing it costs time and nothing else."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec.structs import astuple

from billfold.app.importing.rejects import Kept
from billfold.app.importing.source import Position
from billfold.kernel import errors
from billfold.platform import host

#: Ledgers that one import is remembered for, such as a test's and the real one; for those longer ago it begins anew.
LEDGERS_MAX = 8
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
        return self.done + self.rejected

    @property
    def done(self) -> int:
        """Those that are in the ledger."""
        return self.imported + self.replayed

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """An import into one ledger up to `position`."""

    position: Position
    counts: Counts
    #: The reject file, if any row went there.
    rejects: Kept | None
    #: A transfer that exists if, and only if, the ledger is the one that everything before was posted to.
    last_transfer: str | None


class Memory:
    """The memory of one import by its name, for each ledger it went into: addresses change, what is posted stays."""

    def __init__(self, folder: Path, *, name: str) -> None:
        digest = blake2b(name.encode(), digest_size=8).hexdigest()
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

    def read(self) -> list[Remembered]:
        """What is remembered, the latest first. A file that can't be understood is no memory."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=list[Remembered])
        except (FileNotFoundError, msgspec.DecodeError):
            return []

    def write(self, remembered: Sequence[Remembered]) -> None:
        """Remember these instead. After a kill or a power cut the file is the old one or the new one."""
        with _translated(self.path):
            host.write_private(self.path, msgspec.json.encode(remembered[:LEDGERS_MAX]).decode())


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
