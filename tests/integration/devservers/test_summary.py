"""The closing summary of a run says which servers could not be had, and why."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
REASON = "Kafka needs Java 17 (the Debian package default-jre-headless), which is not installed"


def test_the_summary_names_a_server_that_could_not_be_had(tmp_path: Path) -> None:
    command = (
        *(sys.executable, "-m", "pytest", "tests/integration/devservers/test_servers.py"),
        *("-k", "kafka_keeps", "-p", "no:cacheprovider"),
    )
    # Without any program on its path it finds no Java.
    env = os.environ | {"PATH": str(tmp_path)}
    said = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    assert said.returncode == 0, said.stdout
    lines = [line for line in said.stdout.splitlines() if line.startswith("real server")]
    assert lines == [
        "real servers used: none",
        f"real server skipped: kafka_server, because {REASON}",
    ]
