"""A role is started only where nobody else can answer in its place."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from billfold.app import settings
from billfold.app.supervisor import roles
from billfold.platform import host


@pytest.fixture
def foreign_port() -> Iterator[int]:
    """Where another program answers 200 to whatever it is asked."""
    port = host.free_port()
    command = [sys.executable, str(Path(__file__).with_name("role.py")), "PORT"]
    with subprocess.Popen(command, env={**os.environ, "PORT": str(port)}, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"listening\n"
        yield port
        other.terminate()


async def test_another_program_that_answers_at_a_roles_address_is_not_taken_for_the_role(
    tmp_path: Path, foreign_port: int
) -> None:
    # It never answers itself; so whoever says that it is ready has asked the other program.
    command = ("/bin/sh", "-c", "echo started; exec sleep 1000")
    role = roles.Role(
        name="api",
        command=command,
        ready_url=lambda _: f"http://127.0.0.1:{foreign_port}/readyz",
        ports=lambda _: [foreign_port],
    )
    heard: list[str] = []
    process = roles.RoleProcess(role, settings.Settings(data_dir=tmp_path), on_line=heard.append)
    with pytest.raises(host.PortTaken, match=f"Port {foreign_port} is taken by another program"):
        child = await process.start()
        await child.stop()
    assert list(tmp_path.iterdir()) == [], "it was started"
    assert heard == []
