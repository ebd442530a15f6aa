"""The order in which a batch takes what others may want too: deadlock is impossible."""

import asyncio

import pytest
import structlog.testing

from billfold.kernel import ids
from billfold.kernel.idempotency import Key
from billfold.ledger.contracts import NewAccount
from billfold.ledger.service import posting
from billfold.platform.postgres.database import RowsLocked
from tests import servers
from tests.integration.ledger.blocker import blocker
from tests.integration.ledger.support import PATIENCE_S, Bank, key, names, new


async def test_accounts_are_locked_in_the_order_of_their_ids_wherever_they_lie(
    bank: Bank, shared_database: servers.TestDatabase
) -> None:
    accounts = ids.many(6)
    for account in reversed(accounts):  # So they lie on the disk the other way round.
        await bank.ledger.open_accounts(accounts=[NewAccount(id=account, asset="USD", floor=None)])
    async with blocker(shared_database.owner_dsn) as first, blocker(shared_database.owner_dsn) as second:
        await first.lock_row(accounts[0])
        wanted = [new(debit, credit, 1) for debit, credit in zip(accounts[1:], accounts, strict=False)]
        posting = asyncio.create_task(bank.post(*wanted[::-1]))
        await first.waiting(1)
        free = await second.connection.fetch(
            "SELECT id FROM ledger.accounts WHERE id = ANY($1) FOR UPDATE SKIP LOCKED", accounts
        )
        assert {row["id"] for row in free} == set(accounts[1:])
    assert len((await posting).results) == 5


@pytest.mark.parametrize("direction", [1, -1])
async def test_keys_are_written_in_the_order_of_their_digests_whatever_order_they_came_in(
    bank: Bank, shared_database: servers.TestDatabase, direction: int
) -> None:
    a, b = await bank.accounts(2, 100)
    keys = sorted((key() for _ in range(6)), key=lambda own: own.digest)[::direction]
    lowest, *others = sorted(own.digest for own in keys)
    async with blocker(shared_database.owner_dsn) as first, blocker(shared_database.owner_dsn) as second:
        await first.claim_key(lowest)
        posting = asyncio.gather(*[bank.ledger.post(key=own, transfers=[new(a, b, 1)]) for own in keys])
        await first.waiting(1)
        await second.connection.execute("SET LOCAL lock_timeout = '1s'")
        for digest in others:
            await second.claim_key(digest)
    assert len(await posting) == 6


async def test_holders_of_the_same_keys_and_other_accounts_wait_and_then_find_the_answer(
    bank: Bank, other_bank: Bank
) -> None:
    a, b, c, d = await bank.accounts(4, 1_000)
    keys: list[Key] = [key() for _ in range(20)]
    one = [bank.ledger.post(key=own, transfers=[new(a, b, 1)]) for own in keys]
    other = [other_bank.ledger.post(key=own, transfers=[new(c, d, 1)]) for own in reversed(keys)]
    answers = await asyncio.gather(*one, *other)
    assert sum(answer.replayed for answer in answers) == len(keys)
    for mine, theirs in zip(answers[:20], reversed(answers[20:]), strict=True):
        assert mine.results == theirs.results


async def test_a_session_that_holds_an_account_keeps_nobody_waiting_who_does_not_need_it(
    bank: Bank, shared_database: servers.TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "RETRY_FOR_S", 4 * PATIENCE_S)
    a, b, c, d, e = await bank.accounts(5, 1_000)
    hold = await bank.hold(a, 5)
    paid = await bank.pay(a, b, 1)
    async with blocker(shared_database.owner_dsn) as stranger:
        await stranger.lock_row(a)
        alone = asyncio.create_task(bank.pay(c, d, 1))  # The writer takes this one, and then all the others together.
        kept_waiting = [
            asyncio.create_task(one)
            for one in (
                bank.post(new(a, b, 1)),
                bank.post(new(c, d, 1), new(d, a, 1)),
                bank.ledger.release_hold(key=key(), hold_id=hold),
                bank.ledger.reverse(key=key(), transfer_id=paid.id, amount=None),
            )
        ]
        free = [asyncio.create_task(bank.post(new(*pair, 1))) for pair in ((c, d), (d, e), (b, c)) for _ in range(50)]
        # It is held until this block ends.
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(alone, *free)
        assert not any(task.done() for task in kept_waiting)
    await asyncio.gather(*kept_waiting)
    assert await bank.balances(a, b) == [1_000, 951]


async def test_once_it_is_known_that_a_session_holds_an_account_no_batch_waits_for_it_again(
    bank: Bank, shared_database: servers.TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "RETRY_FOR_S", 4 * PATIENCE_S)
    a, b, c, d = await bank.accounts(4, 1_000)
    async with blocker(shared_database.owner_dsn) as stranger:
        await stranger.lock_row(a)
        with structlog.testing.capture_logs() as logs:
            kept_waiting = [asyncio.create_task(bank.pay(a, b, 1))]
            while not logs:  # noqa: ASYNC110 - the writer finds it out
                await asyncio.sleep(0.01)
            for _ in range(20):
                kept_waiting.append(asyncio.create_task(bank.pay(b, a, 1)))
                await bank.pay(c, d, 1)
        assert [line["event"] for line in logs] == ["another session holds what requests need"]
        assert not any(task.done() for task in kept_waiting)
    await asyncio.gather(*kept_waiting)
    assert await bank.balances(a, b, c, d) == [1_019, 981, 980, 1_020]


async def test_whoever_needs_an_account_that_another_session_never_gives_free_is_told_and_can_ask_again(
    bank: Bank, shared_database: servers.TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "LOCK_WAIT_S", 0.05)
    monkeypatch.setattr(posting, "RETRY_FOR_S", 0.5)
    a, b, c, d = await bank.accounts(4, 1_000)
    async with blocker(shared_database.owner_dsn) as stranger:
        await stranger.lock_row(a)
        outcomes = await asyncio.gather(
            bank.post(new(a, b, 1), text="held"), bank.post(new(c, d, 1)), return_exceptions=True
        )
        assert names(outcomes) == ["RowsLocked", "Posting"]
        assert isinstance(outcomes[0], RowsLocked)
        assert outcomes[0].retryable
    assert not (await bank.post(new(a, b, 1), text="held")).replayed
    assert await bank.balances(a, b) == [999, 1_001]


async def test_a_lock_on_the_whole_journal_holds_everybody_up_and_refuses_nobody(
    bank: Bank, shared_database: servers.TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "LOCK_WAIT_S", 0.05)
    a, b = await bank.accounts(2, 1_000)
    async with blocker(shared_database.owner_dsn) as stranger:
        await stranger.connection.execute("LOCK TABLE ledger.transfers")
        tasks = [asyncio.create_task(bank.post(new(a, b, 1))) for _ in range(10)]
        done, _ = await asyncio.wait(tasks, timeout=10 * posting.LOCK_WAIT_S)
        assert not done
    assert names(await asyncio.gather(*tasks)) == ["Posting"] * 10


async def test_a_key_that_another_process_has_answered_meanwhile_refuses_no_neighbour_however_late_it_is(
    own_bank: Bank, own_database: servers.TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "RETRY_FOR_S", 0)
    monkeypatch.setattr(posting, "RETRY_AT_LEAST_S", 0)
    a, b = await own_bank.accounts(2, 100)
    both = [key(), key()]
    async with blocker(own_database.owner_dsn) as other:
        await other.claim_key(both[0].digest)
        answers = asyncio.gather(
            *[own_bank.ledger.post(key=own, transfers=[new(a, b, 1)]) for own in both], return_exceptions=True
        )
        await other.waiting(1)
        await other.connection.execute("COMMIT")
        assert names(await answers) == ["IdempotencyKeyReused", "Posting"]
    assert await own_bank.balances(a, b) == [99, 101]
