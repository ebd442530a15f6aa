"""The load generator: wrk, a process of its own that costs little."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from bench import programs

_SCRIPT = Path(__file__).parent / "lua" / "load.lua"
#: As many as this machine has cores to give; more threads would take them from the server.
THREADS = 2
#: An answer that takes longer counts as late. It still counts as answered, when it comes.
TIMEOUT_S = 30
#: wrk ends by itself; connecting and reading the lines comes on top of its duration.
_GRACE_S = 60


class Load(msgspec.Struct, frozen=True):
    """What to send: one line for each request, and how."""

    lines: Path
    url: str
    token: str
    connections: int
    seconds: int
    #: What the idempotency keys begin with; None sends GETs.
    label: str | None = None
    #: Requests begun in a second; None sends as many as possible.
    per_s: float | None = None
    #: One more header of each request.
    header: str | None = None


class Storm(msgspec.Struct, frozen=True):
    """Logins: so many begun in a second, each from an address of its own and in nobody's name."""

    lines: Path
    url: str
    connections: int
    seconds: int
    per_s: float


class Answers(msgspec.Struct, frozen=True):
    """What came back. `lost` connections and `late` answers are none."""

    answered: int
    #: Of those answered, how many with a status of 400 or more.
    refused: int
    lost: int
    late: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float

    @property
    def accepted(self) -> int:
        """Answered 2xx: the API sends neither 1xx nor 3xx to these requests."""
        return self.answered - self.refused


class Logins(msgspec.Struct, frozen=True):
    """What became of a storm: logins whose password was checked, and those that were turned away."""

    answered: int
    checked: int
    #: 503: more waited than there is time for.
    busy: int
    #: 429: their address or account had come too often.
    limited: int
    other: int
    seconds: float
    p99_ms: float


async def run(load: Load) -> Answers:
    """Send for as long as asked for, and say what came back.

    Raises: ProgramFailed.
    """
    env = {"LINES": str(load.lines), "TOKEN": load.token}
    if load.label is not None:
        env["LABEL"] = load.label
    if load.per_s is not None:
        env["PER_S"] = f"{load.per_s:.1f}"
    if load.header is not None:
        env["HEADER"] = load.header
    return msgspec.json.decode(await _run(load, env), type=Answers)


async def storm(load: Storm) -> Logins:
    """The same of logins.

    Raises: ProgramFailed.
    """
    env = {"LINES": str(load.lines), "LABEL": "storm", "PER_S": f"{load.per_s:.1f}", "STORM": "1"}
    return msgspec.json.decode(await _run(load, env), type=Logins)


async def _run(load: Load | Storm, env: Mapping[str, str]) -> str:
    """The last line that it prints."""
    threads = min(THREADS, load.connections)
    command = (
        *("wrk", "--threads", str(threads), "--connections", str(load.connections)),
        *("--duration", f"{load.seconds}s", "--timeout", f"{TIMEOUT_S}s", "--script", str(_SCRIPT), load.url),
    )
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), **env}
    output = await programs.run(command, env=env, timeout_s=load.seconds + _GRACE_S)
    return output.strip().rpartition("\n")[2]
