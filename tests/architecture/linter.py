"""Runs the import contracts over a copy of the tree, again and again.

import-linter finds the package by importing machinery, which in a test process has long found the real one. So it runs
in a process of its own, with the copy first on its path, which answers each line on its input with the names of the
broken contracts as a line of JSON.
"""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

#: How a contract is reported; behind it may stand how many imports it let pass.
_VERDICT = re.compile(r"^(.+) (KEPT|BROKEN)(?: \(.*\))?$", re.MULTILINE)


class Linter:
    """The process, seen from the tests."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def broken(self) -> set[str]:
        """The names of the contracts that the copy breaks as it is now."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the linter has died; its error output is above"
        return set(json.loads(answer))


@contextlib.contextmanager
def running(copy: Path) -> Iterator[Linter]:
    """A linter over the tree in the folder `copy`, which has the layout of the repository."""
    # A wide terminal, or the names would be broken into lines.
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "COLUMNS": "500"}
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        cwd=copy,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield Linter(process)


def _answer() -> list[str]:
    from importlinter.cli import lint_imports  # noqa: PLC0415 - Not in the process of the tests.

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        lint_imports(no_cache=True, no_logo=True)
    verdicts = _VERDICT.findall(said.getvalue())
    assert verdicts, f"the contracts were not checked:\n{said.getvalue()}"
    return [name for name, verdict in verdicts if verdict == "BROKEN"]


def _serve() -> None:
    for _ in sys.stdin:
        print(json.dumps(_answer()), flush=True)  # noqa: T201 - The answer.


if __name__ == "__main__":
    _serve()
