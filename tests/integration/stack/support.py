"""Starting `billfold up` as a process of its own, and looking at what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from billfold.platform import host

#: Generous: the machine may be busy with other tests.
DEADLINE_S = 180.0
_ROOT = Path(__file__).parents[3]
_PORTS = ("API__PORT", "API__METRICS_PORT", "WORKER__METRICS_PORT", "MAIL_SINK__PORT", "MAIL_SINK__SMTP_PORT")
PROGRAM = (sys.executable, "-m", "tests.integration.stack.program")


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds, or fail."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def descendants(pid: int) -> set[int]:
    """All processes below `pid`."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text(encoding="utf-8")
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in {pid, *found}} - found:
        found |= more
    return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Ours without any setting of Billfold, which a developer may have."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
    return kept | {"PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'src'}", **(extra or {})}


def billfold(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env=environment(env),
        cwd=_ROOT,
    )


class Up:
    """A running `billfold up --json`."""

    def __init__(self, data: Path, *, env: dict[str, str], options: Sequence[str] = ()) -> None:
        self.data = data
        self._log = (data.parent / f"{data.name}.log").open("a+", encoding="utf-8")
        self.process = subprocess.Popen(
            [*PROGRAM, "up", "--json", "--data", str(data), *options],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment(env),
            cwd=_ROOT,
        )
        self.first = self._read_record()

    @property
    def log(self) -> str:
        """What it has logged so far."""
        self._log.seek(0)
        return self._log.read()

    @property
    def record(self) -> dict[str, Any]:
        """What it tells of itself now."""
        found: dict[str, Any] = json.loads((self.data / "stack.json").read_text(encoding="utf-8"))
        return found

    def pid(self, name: str) -> int:
        """The process of a program of the stack."""
        return int(self.record["processes"][name])

    def end(self) -> int:
        """Wait for its end."""
        code = self.process.wait(DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.end()
        self._log.close()

    def _read_record(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        document = ""
        for line in self.process.stdout:
            document += line
            if line == "}\n":
                found: dict[str, Any] = json.loads(document)
                return found
        code = self.process.wait(DEADLINE_S)
        raise AssertionError(f"up ended with exit code {code}: {self.log}")


@contextmanager
def up(
    data: Path,
    *,
    default_ports: bool = False,
    profile: str = "minimal",
    sandbox: bool = False,
    env: Mapping[str, str] | None = None,
) -> Iterator[Up]:
    """A ready stack, stopped at the end of the block if it still runs.

    It has ports of its own: by default it would compete with every other stack that is just starting on this machine.
    """
    ports = {} if default_ports else {f"BILLFOLD_{name}": str(host.free_port()) for name in _PORTS}
    options = ["--profile", profile, *(["--sandbox"] if sandbox else [])]
    running = Up(data, env={**ports, **(env or {})}, options=options)
    try:
        yield running
    finally:
        running.close()
