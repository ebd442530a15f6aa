"""Whatever step the reading of a chain is killed at, the next process finishes it: once, and no more."""

import subprocess
import sys
from pathlib import Path

from tests import servers


def test_a_deposit_is_credited_and_taken_back_once_whatever_step_is_killed(
    own_database: servers.TestDatabase, tmp_path: Path
) -> None:
    program = [sys.executable, "-m", "tests.integration.custody.killed", own_database.app_dsn, str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(": ", 1) for line in (tmp_path / "found").read_text().splitlines())
    names = (tmp_path / "names").read_text().splitlines()
    assert list(lines) == ["none", *names]
    assert {
        "1 crediting._ask after the ledger",
        "2 reverting._start after commit",
        "1 recording.record after commit",
    } <= set(names)
    expected = lines.pop("none")
    assert expected == "700 -700 3 ['releasable'] detected credited reverted detected credited releasable"
    assert {name: found for name, found in lines.items() if found != expected} == {}
