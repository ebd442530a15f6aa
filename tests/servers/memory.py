"""A file system in memory, for what no power cut has to spare."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Where it is on Linux, how names of ours begin there, and what has to be free.
_MEMORY, _OURS, _PLENTY_BYTES = Path("/dev/shm"), "billfold-tests", 4 * 1024**3  # noqa: S108 - a folder of its own.


def is_plenty() -> bool:
    """Whether there is enough for two workers, beside all servers that they start."""
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _PLENTY_BYTES:
        return False
    told = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    return int(told["MemAvailable"].split()[0]) * 1024 > 2 * _PLENTY_BYTES


def has(folder: Path) -> bool:
    """Whether a folder is there."""
    return _MEMORY in folder.parents


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """A folder for a server's files, gone afterwards."""
    for left in _MEMORY.glob(f"{_OURS}-*"):
        if not Path("/proc", left.name.split("-")[-1]).exists():
            # Of tests that were killed.
            shutil.rmtree(left, ignore_errors=True)
    own = _MEMORY / f"{_OURS}-{name}-{os.getpid()}"
    own.mkdir(mode=0o700)
    yield own
    shutil.rmtree(own)
