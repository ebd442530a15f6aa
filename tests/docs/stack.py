"""Starts `billfold up` as a newcomer does, and tells how to reach it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: The first start makes a database; ten seconds are the target on an idle machine, and Cassandra takes twice as long.
DEADLINE_S = 300.0
STOP_DEADLINE_S = 120.0


@contextmanager
def running(folder: Path, *, profile: str = "minimal", option: str = "", **settings: str) -> Iterator[dict[str, str]]:
    """A stack with these settings and its data in `folder`; the environment of somebody who has pasted what it printed.

    `option` is one more of `up`.

    It is a fresh one, or that which ran there before.
    """
    data = folder / "data"
    log_file = folder / "up.log"
    environment = clean_environment() | {"BILLFOLD_DATA": str(data)}
    environment |= {f"BILLFOLD_{name.upper()}": value for name, value in settings.items()}
    with log_file.open("wb") as log:
        command = [sys.executable, "-m", "billfold.app.cli", "up", "--profile", profile]
        command += option.split()
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        record = _record(process, data / "stack.json", log_file)
        yield environment | {"BILLFOLD_URL": record["api_url"], "BILLFOLD_API_KEY": record["api_key"]}
    finally:
        process.terminate()
        process.wait(STOP_DEADLINE_S)
    assert process.returncode == 0, f"`billfold up` ended with {process.returncode}:\n{log_file.read_text()}"


def second_terminal(environment: Mapping[str, str]) -> dict[str, str]:
    """What somebody has there who has pasted what was printed, and has set nothing else again."""
    pasted = {"BILLFOLD_DATA", "BILLFOLD_URL", "BILLFOLD_API_KEY"}
    return {name: value for name, value in environment.items() if not name.startswith("BILLFOLD_") or name in pasted}


def told(environment: Mapping[str, str], *arguments: str) -> str:
    """What a command of `billfold` prints there."""
    command = [sys.executable, "-m", "billfold.app.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def _record(process: "subprocess.Popen[bytes]", file: Path, log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE_S
    while not file.exists():
        assert process.poll() is None, f"`billfold up` ended with {process.returncode}:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"not up after {DEADLINE_S:.0f} s:\n{log.read_text()}"
        time.sleep(0.05)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def clean_environment() -> dict[str, str]:
    """Ours, without settings of Billfold, and with the programs of this Python first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
