"""Processor time and memory of process trees, from /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Process(msgspec.Struct, frozen=True):
    """A line of /proc/<pid>/stat: whose child it is, and seconds of its own and of the children it has buried."""

    pid: int
    parent: int
    seconds: float


def _processes() -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # It has ended since the folder was listed.
        # The name in parentheses may itself hold any character.
        fields = stat[stat.rindex(")") + 2 :].split()
        yield Process(int(entry.name), int(fields[1]), sum(map(int, fields[11:15])) / _TICKS_PER_S)


def _tree(root: int, among: Iterable[Process]) -> list[Process]:
    """The process and all that descend from it."""
    children: dict[int, list[Process]] = {}
    found = []
    for process in among:
        children.setdefault(process.parent, []).append(process)
        if process.pid == root:
            found.append(process)
    for process in found:
        found.extend(children.get(process.pid, ()))
    return found


def cpu_seconds(roots: dict[str, int]) -> dict[str, float]:
    """Processor time that each tree has used so far, those of its processes that have ended included."""
    everything = list(_processes())
    return {name: sum(process.seconds for process in _tree(pid, everything)) for name, pid in roots.items()}


def spent(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """What was used in between; nothing by a process that another one was put in the place of."""
    return {name: max(0.0, after[name] - before.get(name, 0.0)) for name in after}


class Moment(msgspec.Struct, frozen=True):
    """When it was, and seconds that all processors were busy until then: for anybody, and for us and our children."""

    at: float
    busy: float
    ours: float

    @classmethod
    def now(cls) -> Moment:
        """This one."""
        fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
        # The fourth and fifth are idle; the eighth is what other machines on the same hardware took from this one.
        busy = (sum(fields) - fields[3] - fields[4]) / _TICKS_PER_S
        ours = cpu_seconds({"us": os.getpid()})["us"]
        return cls(time.monotonic(), busy, ours)

    def others_since(self, begin: Moment) -> float:
        """The share of all processors' time that neither we nor our children used, since then."""
        all_time = (self.at - begin.at) * len(os.sched_getaffinity(0))
        return max(0.0, (self.busy - begin.busy) - (self.ours - begin.ours)) / all_time


def memory_bytes(root: int) -> int:
    """Proportional set size of the tree: a page that several processes share counts once."""
    return sum(_pss(process.pid) for process in _tree(root, _processes()))


def _pss(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0  # It has ended since.
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)
