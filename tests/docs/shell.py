"""One bash for all examples of a page, so that a variable set in one is there in the next."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.docs import blocks
from tests.docs.blocks import Example

#: The longest example imports a file of some thousand transactions; others wait, a command at a time, for chains.
DEADLINE_S = 300.0
_END = "---- billfold example ends with"


class Shell:
    """A bash that is given one piece of code after another."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        self._process = process
        self._folder = folder

    def check(self, example: Example) -> None:
        """Run an example; fail when it does not do what the page says."""
        for step in example.steps:
            expected = example.exit_code if step is example.steps[-1] else 0
            code, said = self._run(step.code, python=example.language == "python")
            assert code == expected, f"{example} ends with {code}, not {expected}:\n{step.code}\n{said}"
            assert step.shows.search(said), f"{example} does not show {step.shows.pattern!r}:\n{step.code}\n{said}"

    def _run(self, code: str, *, python: bool) -> tuple[int, str]:
        file = self._folder / (".example.py" if python else ".example.sh")
        file.write_text(code, encoding="utf-8")
        run = f"{sys.executable} {file}" if python else f". {file}"
        # The trap sees a command that fails in the midst of others, as a reader would see it. Names of a page's own
        # variables don't begin with an underscore.
        script = (
            f"_failed=0; trap '_failed=$?' ERR; {run} </dev/null; _ended=$?; trap - ERR; "
            f"[ $_ended -ne 0 ] && _failed=$_ended; printf '\\n{_END} %d\\n' $_failed\n"
        )
        assert self._process.stdin is not None
        self._process.stdin.write(script.encode())
        self._process.stdin.flush()
        return self._answer(code)

    def _answer(self, code: str) -> tuple[int, str]:
        assert self._process.stdout is not None
        said = b""
        deadline = time.monotonic() + DEADLINE_S
        while _END.encode() not in said or not said.endswith(b"\n"):
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"not done after {DEADLINE_S:.0f} s:\n{code}\n{said.decode()}"
            chunk = os.read(self._process.stdout.fileno(), 65536)
            assert chunk, f"the shell ended:\n{code}\n{said.decode()}"
            said += chunk
        text, _, status = said.decode().rpartition(_END)
        return int(status), blocks.plain(text)


@contextmanager
def running(folder: Path, environment: Mapping[str, str]) -> Iterator[Shell]:
    """A shell in the folder, with everything that it started ended at the end of the block."""
    # An answer of 4xx or 5xx fails a curl here, so that no example is broken without being seen.
    (folder / ".curlrc").write_text("fail-with-body\n", encoding="utf-8")
    process = subprocess.Popen(
        ["bash", "--noprofile", "--norc"],
        cwd=folder,
        env={**environment, "CURL_HOME": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,
    )
    with process:
        try:
            yield Shell(process, folder)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
