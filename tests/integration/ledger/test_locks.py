"""The order in which a batch takes what others may want too: deadlock is impossible."""

import asyncio

import pytest

from billfold.kernel import ids
from billfold.kernel.idempotency import Key
from billfold.ledger.contracts import NewAccount
from tests import servers
from tests.integration.ledger.blocker import blocker
from tests.integration.ledger.support import Bank, key, new


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
