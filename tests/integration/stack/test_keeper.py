"""A program is kept running through any crash, and given up when it never stays up."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from billfold.app.supervisor import keeper, restarts
from billfold.platform import children
from tests.integration.stack import support


class Shell:
    """A service that is a line of shell."""

    name = "shell"

    def __init__(self, folder: Path, line: str) -> None:
        self.starts = 0
        self.line = line
        self.heard: list[str] = []
        self._folder = folder

    async def start(self) -> children.Child:
        self.starts += 1
        program = children.Program(
            name=self.name, command=("/bin/sh", "-c", self.line), lock=self._folder / "shell.lock", stop_timeout_s=0.5
        )
        return await children.start(program, on_line=self.heard.append)


class Kept:
    """A keeper over a shell, and what it said."""

    def __init__(self, folder: Path, line: str) -> None:
        self.shell = Shell(folder, line)
        self.said: list[str] = []
        self.changes = 0
        self.keeper = keeper.Keeper(self.shell, say=self.said.append, changed=self._changed)

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
async def sleeper(tmp_path: Path) -> AsyncIterator[Kept]:
    kept = Kept(tmp_path, "exec sleep 1000")
    await kept.keeper.start()
    yield kept
    await kept.keeper.stop()


async def until(condition: object, what: str) -> None:
    assert callable(condition)
    await asyncio.to_thread(support.eventually, condition, what)


async def family_of(pid: int) -> set[int]:
    """The shell's own process, which has become the second sleep, and the first."""
    await until(lambda: len(support.descendants(pid)) == 1, "both processes")
    return {pid, *support.descendants(pid)}


async def test_a_killed_program_is_started_again_at_once(sleeper: Kept) -> None:
    first = sleeper.keeper.child
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    await until(lambda: sleeper.changes == 1, "a new child")
    assert sleeper.keeper.child is not None
    assert sleeper.keeper.child.pid != first.pid
    assert sleeper.said == ["shell was ended by SIGKILL; it is started again", "shell is ready again"]


async def test_a_program_that_ends_again_and_again_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "PAUSE_FIRST_S", 0.001)
    kept = Kept(tmp_path, "echo no luck; exit 7")
    await kept.keeper.start()
    with pytest.raises(restarts.GaveUp, match="shell ended 12 times in a row"):
        await kept.keeper.failed()
    await kept.keeper.stop()
    assert kept.shell.starts == restarts.EARLY_ENDS_MAX
    assert kept.shell.heard == ["no luck"] * restarts.EARLY_ENDS_MAX
    assert "shell ended with exit code 7; it is started again" in kept.said


async def test_a_stopped_program_stays_stopped(sleeper: Kept) -> None:
    assert sleeper.keeper.child is not None
    pid = sleeper.keeper.child.pid
    await sleeper.keeper.stop()
    assert not support.alive(pid)
    assert sleeper.shell.starts == 1
    assert sleeper.said == []


async def test_a_program_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "trap '' TERM; echo deaf; while :; do sleep 0.05; done")
    await kept.keeper.start()
    await until(lambda: kept.shell.heard == ["deaf"], "the trap")
    await kept.keeper.stop()
    assert kept.keeper.child is not None
    assert kept.keeper.child.process.returncode == -signal.SIGKILL


async def test_what_a_killed_program_has_left_running_is_ended_before_its_next_start(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "sleep 1000 & exec sleep 1001")
    await kept.keeper.start()
    assert kept.keeper.child is not None
    family = await family_of(kept.keeper.child.pid)
    kept.keeper.child.process.kill()
    await until(lambda: kept.changes == 1, "a new child")
    assert not any(map(support.alive, family))
    await kept.keeper.stop()


async def test_a_program_does_not_start_beside_what_is_left_of_its_last_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "KILL_TIMEOUT_S", 0.2)
    kept = Kept(tmp_path, "setsid sleep 1000 & exec sleep 1001")
    await kept.keeper.start()
    assert kept.keeper.child is not None
    family = await family_of(kept.keeper.child.pid)
    kept.keeper.child.process.kill()
    with pytest.raises(children.LeftoverProcess, match=r"shell\.lock"):
        await asyncio.wait_for(kept.keeper.failed(), support.DEADLINE_S)
    await kept.keeper.stop()
    for pid in filter(support.alive, family):
        os.kill(pid, signal.SIGKILL)


async def test_a_line_without_end_does_not_stop_the_log(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "head -c 300000 /dev/zero | tr '\\\\0' x; echo; echo done; exec sleep 1000")
    await kept.keeper.start()
    await until(lambda: kept.shell.heard[-1:] == ["done"], "the last line")
    await kept.keeper.stop()
    assert sum(map(len, kept.shell.heard)) == 300_000 + len("done")
    assert max(map(len, kept.shell.heard)) <= 2 * children.LOG_LINE_MAX_BYTES
