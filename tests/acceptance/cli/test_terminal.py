"""What a command does at a terminal, where somebody types."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: Generous: the machine may be busy with other tests.
DEADLINE_S = 60.0
PATIENCE_S = 20.0
CTRL_C = b"\x03"
#: In a session of its own whose terminal this is, so that Ctrl-C there is a signal to the command.
_LOGIN = "import os, sys; os.login_tty(0); from billfold.app import cli; cli.main()"
PROMPT = "Ctrl-C ends the tour."


class Terminal:
    """A command that runs at a terminal of its own."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self._master = master
        self.shown = ""

    def until(self, text: str, *, times: int = 1) -> None:
        """Read on until the text has been shown so often."""
        deadline = time.monotonic() + DEADLINE_S
        while self.shown.count(text) < times:
            assert time.monotonic() < deadline, self.shown
            if select.select([self._master], [], [], 0.1)[0]:
                self.shown += os.read(self._master, 65_536).decode(errors="replace")

    def types(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def ends_at_ctrl_c(self) -> int:
        """Its exit code. As somebody does who sees that nothing happens, it presses again after a while: what is
        pressed just before a program begins to wait for its input is heard only when more comes.
        """
        deadline = time.monotonic() + DEADLINE_S
        while True:
            self.types(CTRL_C)
            try:
                return self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                assert time.monotonic() < deadline, self.shown


@contextmanager
def at_a_terminal(environment: dict[str, str], *arguments: str) -> Iterator[Terminal]:
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _LOGIN, *arguments],
        env={"TERM": "dumb"} | environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait(DEADLINE_S)
        os.close(master)


def test_the_tour_goes_on_at_enter_and_ends_at_ctrl_c(billfold_stack: dict[str, str]) -> None:
    with at_a_terminal(billfold_stack, "tour") as terminal:
        terminal.until(PROMPT)
        terminal.types(b"\r")
        terminal.until(PROMPT, times=2)
        assert terminal.ends_at_ctrl_c() == 0
        assert "Traceback" not in terminal.shown


@pytest.mark.parametrize("command", ["follow", "tail"])
def test_ctrl_c_is_how_watching_ends_and_no_failure(billfold_stack: dict[str, str], command: str) -> None:
    with at_a_terminal(billfold_stack, "events", command) as terminal:
        terminal.until("Ctrl-C ends it.")
        terminal.types(CTRL_C)
        assert terminal.process.wait(DEADLINE_S) == 0
        assert "Traceback" not in terminal.shown


def test_a_narrow_terminal_gets_the_key_in_one_piece(billfold_stack: dict[str, str]) -> None:
    with at_a_terminal(billfold_stack | {"COLUMNS": "80"}, "status") as terminal:
        terminal.until(billfold_stack["BILLFOLD_API_KEY"])
        assert terminal.process.wait(DEADLINE_S) == 0


def test_an_import_that_is_ended_by_ctrl_c_says_how_far_it_got(billfold_stack: dict[str, str], tmp_path: Path) -> None:
    rows = (f"{number},terminal-{number % 50},1.00\n" for number in range(100_000))
    file = tmp_path / "bank.csv"
    file.write_text("id,account,amount\n" + "".join(rows), encoding="utf-8")
    flags = ("--asset", "USD", "--id-column", "id", "--account-column", "account", "--amount-column", "amount")
    # One that can move its cursor, and so draws the bar.
    environment = billfold_stack | {"XDG_STATE_HOME": str(tmp_path), "TERM": "xterm"}
    for again in (False, True):
        shown = _interrupted(environment, "import", "transactions", str(file), *flags)
        # What comes behind does not take it away again.
        assert "\x1b[2K" not in shown.partition("Stopped after")[2]
        assert "Stopped after 0 rows" not in shown
        assert ("with those of earlier runs" in shown) is again


def _interrupted(environment: dict[str, str], *arguments: str) -> str:
    """What an import shows that is ended by Ctrl-C when it has done some rows."""
    with at_a_terminal(environment, *arguments) as terminal:
        terminal.until(" rows, ")
        terminal.types(CTRL_C)
        terminal.until("The same command goes on from there.")
        assert terminal.process.wait(DEADLINE_S) != 0
        return terminal.shown
