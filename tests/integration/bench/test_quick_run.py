"""The bench runs and counts what is in the database. How fast anything is, no test says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

#: On a quiet machine a quick run takes a minute.
RUN_TIMEOUT_S = 800.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.1
ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk, the bench's load generator, is not installed")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def running(tmp_path: Path, data: Path) -> Iterator[subprocess.Popen[str]]:
    command = (sys.executable, "-m", "bench", "--quick", "--folder", str(data), "--results", str(tmp_path / "results"))
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield process
    process.terminate()
    process.communicate()


def test_a_quick_run_finds_what_was_acknowledged_in_the_database(
    running: subprocess.Popen[str], tmp_path: Path, data: Path
) -> None:
    output, errors = running.communicate(timeout=RUN_TIMEOUT_S)
    assert running.returncode == 0, errors
    (result,) = (tmp_path / "results").glob("*.json")
    found = json.loads(result.read_text())
    loads = [turn[kind] for turn in found["measured"]["rounds"] for kind in ("spread", "hot", "bulk")]
    loads += [turn[kind] for turn in found["measured"]["authenticated"] for kind in ("by_key", "by_token", "in_storm")]
    variants = [turn[kind] for turn in found["measured"]["variants"] for kind in ("usual", "unaudited", "traced")]
    for load in [*loads, *variants, found["measured"]["events"]["load"]]:
        assert 0 < load["acknowledged"] <= load["found"]
    for turn in found["measured"]["rounds"]:
        for kind in ("within", "grpc", "streamed"):
            assert 0 < turn["direct"][kind]["posted"]["transfers"] <= turn["direct"][kind]["found"]
    assert found["measured"]["events"]["delays"]["different"] == found["measured"]["events"]["load"]["found"]
    outage, later = found["measured"]["outage"], found["measured"]["later"]
    assert 0 < outage["waiting"] <= outage["load"]["found"]
    assert 0 < later["answers"]["answered"] - later["answers"]["refused"] <= later["completed"]
    assert found["measured"]["verified"] >= sum(load["found"] for load in loads)
    page = result.with_suffix(".md").read_text()
    for row in found["rows"]:
        assert row["work"] in page
    assert "pgbench" in output
    assert list(data.iterdir()) == []


def test_ctrl_c_leaves_nothing_behind(running: subprocess.Popen[str], tmp_path: Path, data: Path) -> None:
    deadline = time.monotonic() + RUN_TIMEOUT_S
    while not list(data.glob("*/data/stack.json")):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(POLL_S)
    (folder,) = data.iterdir()
    assert _processes_of(folder)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=STOP_TIMEOUT_S)
    assert running.returncode == 130, errors
    assert "Stopped" in errors
    assert _processes_of(folder) == []
    assert list(data.iterdir()) == []
    assert not (tmp_path / "results").exists()


def _processes_of(folder: Path) -> list[int]:
    """The processes that work in the folder, or were told of it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                told = (entry / "cmdline").read_text() + (entry / "environ").read_text()
                works = str((entry / "cwd").readlink())
            except OSError:
                continue  # It has ended meanwhile, or is not ours.
            # The bench itself was told of the folder's parent alone.
            if str(folder) in told + works:
                found.append(int(entry.name))
    return found
