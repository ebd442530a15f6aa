"""A disk that fills up under load: it is said, nothing acknowledged is lost, and when there is room it goes on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.crash.clients import under_load
from tests.crash.tally import SEED
from tests.crash.trial import answered, audited

#: Room for an empty database, its write-ahead log, and a little work.
DISK = "420m"
#: What the filler leaves is less than one segment of the log.
LEFT_BYTES = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def _fill(place: Path) -> Path:
    """Take all room that is left but a little."""
    filler = place / "filler"
    found = os.statvfs(place)
    with filler.open("wb") as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, max(found.f_bavail * found.f_frsize - LEFT_BYTES, 1))
    return filler


async def test_a_full_disk_loses_nothing_and_room_makes_it_go_on(small_disk: Path, tmp_path: Path) -> None:
    with under_load(small_disk, seed=SEED, notes=tmp_path) as (running, clients):
        answered(running, clients)
        filler = _fill(small_disk)
        with running.client() as http:

            def refused() -> bool:
                source, target = clients.plan.wallets[:2]
                # More than anybody has: with room it is refused too, but for want of funds.
                money = {"amount": "1000000.00", "asset": "USD"}
                order = {"from": source, "to": target, "money": money}
                headers = {"idempotency-key": uuid.uuid4().hex}
                answer = http.post("/api/v1/transfers", json=order, headers=headers, timeout=30.0)
                return answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE and answer.json()["retryable"]

            running.wait(refused, "it says that it can't take the transfer now")
        filler.unlink()
        answered(running, clients)
        # How often PostgreSQL comes up in vain while there is no room is nobody's promise.
        await audited(running, clients, outages=None)
