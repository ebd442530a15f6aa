"""The worker verifies again and again, leaves most of the time to others, and tells what it has found."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from prometheus_client import REGISTRY

from billfold.app.roles import worker
from billfold.ledger.contracts import Verification
from billfold.ledger.service import verification
from billfold.platform.postgres.database import Connection, Database
from tests import servers
from tests.integration.ledger.support import Bank, eventually, execute


@pytest.fixture
async def shares(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Which part of the time each verification was given."""
    given: list[float] = []
    verify = verification.verify

    async def seen(database: object, progress: object, *, share: float) -> Verification:
        given.append(share)
        return await verify(database, progress, share=share)  # type: ignore[arg-type]

    monkeypatch.setattr(verification, "verify", seen)
    monkeypatch.setattr(worker, "VERIFY_PAUSE_S", 0)
    return given


async def test_the_worker_tells_what_each_round_has_found_and_when(
    own_bank: Bank, own_database: servers.TestDatabase, shares: list[float]
) -> None:
    a, b = await own_bank.accounts(2, 100)
    await own_bank.pay(a, b, 1)
    before = (await own_bank.now()).timestamp()
    async with _verifying(own_bank):
        await _until("billfold_ledger_verified_transfers", 3)
        await _until("billfold_ledger_faults", 0)
        assert _told("billfold_ledger_verified_timestamp_seconds") >= before
        await execute(own_database.owner_dsn, f"UPDATE ledger.accounts SET posted = posted + 1 WHERE id = '{a}'")
        await _until("billfold_ledger_faults", 2)  # The account's own, and the sum of its asset.
        await execute(own_database.owner_dsn, f"UPDATE ledger.accounts SET posted = posted - 1 WHERE id = '{a}'")
        await _until("billfold_ledger_faults", 0)
    assert set(shares) == {worker.VERIFY_SHARE}
    assert worker.VERIFY_SHARE <= 0.1


class Slow(Database):
    """Each look takes a while; how long all of them took."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.busy_s = 0.0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        began = monotonic()
        async with self._database.transaction() as connection:
            await connection.execute("SELECT pg_sleep(0.02)")
            yield connection
        self.busy_s += monotonic() - began


@pytest.mark.parametrize("share", [0.1, 0.5])
async def test_it_takes_no_more_of_the_time_than_it_may(own_bank: Bank, share: float) -> None:
    await own_bank.accounts(2, 100)
    slow = Slow(own_bank.database)
    began = monotonic()
    found = await verification.verify(slow, None, share=share)
    assert not found.faults
    assert slow.busy_s >= 0.02 * 7
    assert slow.busy_s / (monotonic() - began) <= share


async def test_at_full_speed_it_does_not_rest(own_bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", rest)
        await verification.verify(own_bank.database, None)
    assert set(rests) == {0}


@asynccontextmanager
async def _verifying(bank: Bank) -> AsyncIterator[None]:
    worker.FAULTS.set(math.nan)
    task = asyncio.create_task(worker._verify(bank.ledger))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


def _told(metric: str) -> float:
    found = REGISTRY.get_sample_value(metric)
    assert found is not None
    return found


async def _until(metric: str, value: float) -> None:
    async def is_told() -> bool:
        return _told(metric) == value

    await eventually(is_told)
