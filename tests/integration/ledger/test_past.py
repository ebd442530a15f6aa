"""An answer about an instant stays as it is (I15), with batches in flight and whatever clocks do."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from billfold.kernel import clock, ids
from billfold.ledger.contracts import Entry, EntryFilter
from tests import servers
from tests.integration.ledger.blocker import blocker
from tests.integration.ledger.support import PATIENCE_S, Bank, execute, key, new

INSTANT = timedelta(microseconds=1)


@pytest.fixture
def bank_and_owner(bank: Bank, bank_database: servers.TestDatabase) -> tuple[Bank, str]:
    return bank, bank_database.owner_dsn


async def whole(stream: AsyncIterator[list[Entry]]) -> list[Entry]:
    return [entry async for block in stream for entry in block]


async def test_a_batch_that_waits_for_its_locks_is_recorded_after_every_instant_asked_about_meanwhile(
    bank_and_owner: tuple[Bank, str],
) -> None:
    bank, owner_dsn = bank_and_owner
    a, b = await bank.accounts(2, 100)
    assert a < b, "locked in this order"
    async with blocker(owner_dsn) as other:
        await other.lock_row(b)
        posting = asyncio.create_task(bank.pay(a, b, 10))
        await other.waiting(1)
        asked_at = await bank.now()
        answer = asyncio.create_task(bank.ledger.balances_recorded(points=[(a, asked_at)]))
        # The batch has locked a and not yet b. Whether it will be recorded by then is open, so the answer waits.
        await other.waiting(2)
        assert not answer.done()
    paid = await posting
    (balance,) = await answer
    assert paid.recorded_at > asked_at
    assert balance.posted == 100
    assert await bank.ledger.balances_recorded(points=[(a, asked_at)]) == [balance]


async def test_an_answer_waits_for_a_batch_that_is_recorded_but_not_yet_committed(
    bank_and_owner: tuple[Bank, str],
) -> None:
    bank, owner_dsn = bank_and_owner
    a, b = await bank.accounts(2, 100)
    own = key()
    async with blocker(owner_dsn) as other:
        await other.claim_key(own.digest)
        posting = asyncio.create_task(bank.ledger.post(key=own, transfers=[new(a, b, 10)]))
        await other.waiting(1)
        # By now the batch has read its clock, and holds its locks until COMMIT.
        asked_at = await bank.now()
        points = [(a, asked_at), (b, asked_at)]
        recorded = asyncio.create_task(bank.ledger.balances_recorded(points=points))
        effective = asyncio.create_task(bank.ledger.balances_effective(points=points))
        await other.waiting(3)
        assert not recorded.done()
        assert not effective.done()
    paid = (await posting).single()
    assert paid.recorded_at <= asked_at
    assert [point.posted for point in await recorded] == [90, 110]
    assert [point.posted for point in await effective] == [90, 110]


async def test_the_entries_of_a_period_that_is_over_wait_for_a_batch_that_may_still_belong_to_it(
    bank_and_owner: tuple[Bank, str],
) -> None:
    bank, owner_dsn = bank_and_owner
    a, b = await bank.accounts(2, 100)
    own = key()
    async with blocker(owner_dsn) as other:
        await other.claim_key(own.digest)
        posting = asyncio.create_task(bank.ledger.post(key=own, transfers=[new(a, b, 10)]))
        await other.waiting(1)
        over = EntryFilter(recorded_to=await bank.now())
        page = asyncio.create_task(bank.ledger.entries(account_ids=[b], filter=over, after=None, limit=10))
        summary = asyncio.create_task(bank.ledger.summary(account_ids=[b], filter=over))
        stream = asyncio.create_task(whole(bank.ledger.stream_entries(account_ids=[b], filter=over)))
        await other.waiting(4)
        # What has no end is told as it is now.
        live = await bank.ledger.entries(account_ids=[b], filter=EntryFilter(), after=None, limit=10)
        assert [entry.amount for entry in live] == [100]
    assert (await posting).single().recorded_at < await bank.now()
    assert [entry.amount for entry in await page] == [10, 100]
    assert [entry.amount for entry in await stream] == [100, 10]
    assert (await summary).credited == 110


async def test_an_old_past_is_told_without_waiting(bank_and_owner: tuple[Bank, str]) -> None:
    bank, owner_dsn = bank_and_owner
    a = await bank.account(100)
    async with blocker(owner_dsn) as other:
        await other.lock_row(a)
        old = await bank.now() - timedelta(minutes=6)
        (point,) = await asyncio.wait_for(bank.ledger.balances_recorded(points=[(a, old)]), PATIENCE_S)
        assert point.posted == 0


async def test_readers_of_the_recent_past_do_not_keep_their_locks(bank_and_owner: tuple[Bank, str]) -> None:
    bank, owner_dsn = bank_and_owner
    a = await bank.account(100)
    seen: list[int] = []

    async def read_while_others_may_lock(connection: Any, points: Any) -> list[int]:
        seen.append(await free_rows())
        return [0] * len(points)

    async def free_rows() -> int:
        async with blocker(owner_dsn) as other:
            sql = "SELECT count(*) FROM (SELECT FROM ledger.accounts WHERE id = $1 FOR UPDATE SKIP LOCKED) AS free"
            found: int = await other.connection.fetchval(sql, a)
            return found

    await bank.ledger._balances([(a, await bank.now())], read_while_others_may_lock)
    assert seen == [1]


async def test_answers_given_while_two_processes_post_are_the_same_afterwards(bank: Bank, other_bank: Bank) -> None:
    accounts = await bank.accounts(4, 10_000)
    given: list[tuple[UUID, datetime, int]] = []
    done = asyncio.Event()

    async def post(process: Bank, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(60):
            debit, credit = chance.sample(accounts, 2)
            await process.post(*[new(debit, credit, 1)] * chance.randrange(1, 50))

    async def ask(process: Bank, seed: int) -> None:
        chance = random.Random(seed)
        while not done.is_set():
            at = await process.now() - timedelta(microseconds=chance.randrange(1, 3_000))
            points = [(account, at) for account in accounts]
            for (account, instant), point in zip(
                points, await process.ledger.balances_recorded(points=points), strict=True
            ):
                given.append((account, instant, point.posted))

    async with asyncio.TaskGroup() as readers:
        for seed, process in enumerate((bank, other_bank, bank, other_bank)):
            readers.create_task(ask(process, seed))
        async with asyncio.TaskGroup() as posters:
            for seed, process in enumerate((bank, other_bank, bank, other_bank)):
                posters.create_task(post(process, seed))
        done.set()
    assert len(given) > 100
    again = await bank.ledger.balances_recorded(points=[(account, at) for account, at, _ in given])
    assert [point.posted for point in again] == [posted for _, _, posted in given]


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
async def test_a_clock_of_a_process_that_jumps_changes_nothing(
    bank: Bank, jump_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await bank.accounts(2, 100)
    before = await bank.pay(a, b, 1)
    real, real_ns = time.time, time.time_ns
    # Ids never go back: without this, those of all later tests would be dated by the jump.
    monkeypatch.setattr(ids._source, "_ms", ids._source._ms)
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + int(jump_s * 1e9))
    after = [await bank.pay(a, b, 1) for _ in range(3)]
    monkeypatch.undo()
    after.append(await bank.pay(a, b, 1))
    recorded = [before.recorded_at, *(paid.recorded_at for paid in after)]
    assert recorded == sorted(set(recorded))
    assert recorded[-1] - recorded[0] < timedelta(minutes=1)
    assert [paid.debit_version for paid in after] == [3, 4, 5, 6]


async def test_the_clock_of_the_database_may_go_back_without_a_repeat(bank_and_owner: tuple[Bank, str]) -> None:
    """As after a failover to a server whose clock is behind: the account remembers its last instant."""
    bank, owner_dsn = bank_and_owner
    a, b = await bank.accounts(2, 100)
    ahead = clock.microseconds(await bank.now()) + 3_600_000_000
    await execute(owner_dsn, f"UPDATE ledger.accounts SET last_recorded_us = {ahead} WHERE id = '{a}'")
    first, second = await bank.pay(a, b, 1), await bank.pay(a, b, 1)
    assert clock.microseconds(first.recorded_at) == ahead + 1
    assert second.recorded_at == first.recorded_at + INSTANT
    third = await bank.pay(b, await bank.account(), 1)
    assert third.recorded_at > second.recorded_at
    (point,) = await bank.ledger.balances_recorded(points=[(a, await bank.now() - INSTANT)])
    assert point.posted == 100
    await bank.verified()


async def test_entries_of_one_instant_never_share_it_on_an_account(bank: Bank) -> None:
    a, b = await bank.accounts(2, 10_000)
    await asyncio.gather(*[bank.post(*[new(a, b, 1)] * 200) for _ in range(10)])
    entries = await bank.ledger.entries(account_ids=[b], filter=EntryFilter(), after=None, limit=5_000)
    recorded = [entry.recorded_at for entry in reversed(entries)]
    assert len(recorded) == 2_001
    assert recorded == sorted(set(recorded))
