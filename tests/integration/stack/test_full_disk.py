"""A full disk stops nothing for ever: what can't go on waits for room, and all is there again when there is some."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import nats
import nats.errors
import pytest

from tests.integration.stack import support

DISK_MB = 350


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only a root that may mount can make a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1_000_000, 1):
            with suppress(OSError):
                while file.write(b"x" * size):
                    pass
    return filler


async def insert(running: support.Up) -> int:
    """Write a row, and say how many there are."""
    connection = await asyncpg.connect(running.first["postgres_owner_dsn"])
    try:
        return int(await connection.fetchval("INSERT INTO seen DEFAULT VALUES RETURNING (SELECT count(*) FROM seen)"))
    finally:
        await connection.close()


async def publish(running: support.Up) -> int:
    """Publish a message, and say its number in the stream."""
    record = running.first
    client = await nats.connect(
        record["nats_url"], user=record["nats_user"], password=record["nats_password"], connect_timeout=5
    )
    try:
        await client.jetstream().add_stream(name="events", subjects=["events"])
        return (await client.jetstream().publish("events", b"x" * 100_000, timeout=5)).seq
    finally:
        await client.close()


async def test_servers_that_die_of_a_full_disk_come_back_when_there_is_room(small_disk: Path) -> None:
    with support.up(small_disk / "data") as running:
        rows, number = await insert(running), await publish(running)
        filler = fill(small_disk)
        with pytest.raises(nats.errors.TimeoutError):
            await publish(running)
        os.kill(running.pid("postgres"), signal.SIGKILL)
        support.eventually(lambda: running.log.count("waits until 32 MB are free") == 2, "both servers to wait")
        assert running.process.poll() is None
        filler.unlink()
        support.eventually(lambda: running.log.count("is ready again") == 2, "both servers")
        assert await insert(running) == rows + 1
        assert await publish(running) == number + 1
