"""An account that is followed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import pytest

from billfold.kernel import ids
from billfold.ledger import errors
from billfold.ledger.contracts import Account, Watched
from billfold.ledger.store import accounts as account_store
from billfold.platform.postgres.database import Connection
from tests.integration.ledger.support import PATIENCE_S, Bank, key


class Follower:
    """Somebody who reads what is told of an account."""

    def __init__(self, told: AsyncIterator[Watched]) -> None:
        self._told = told

    async def next(self) -> Watched:
        async with asyncio.timeout(PATIENCE_S):
            return await anext(self._told)

    async def entries(self, count: int) -> list[tuple[int, int, int]]:
        """(version, amount, balance) of the next so many."""
        found: list[tuple[int, int, int]] = []
        while len(found) < count:
            found += [(entry.version, entry.amount, entry.balance) for entry in (await self.next()).entries]
        return found


@asynccontextmanager
async def following(bank: Bank, account: UUID, *, after: datetime | None = None) -> AsyncIterator[Follower]:
    told = bank.ledger.watch(account_id=account, after=after)
    try:
        yield Follower(told)
    finally:
        await told.aclose()  # type: ignore[attr-defined]


async def test_an_account_is_told_as_it_is_and_then_each_of_its_entries_once(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    async with following(bank, a) as follower:
        first = await follower.next()
        assert (first.account.posted, first.account.version, first.entries) == (100, 1, [])
        await bank.pay(a, b, 10)
        await bank.pay(b, a, 3)
        assert await follower.entries(2) == [(2, -10, 90), (3, 3, 93)]


async def test_what_another_process_posts_is_told_too(bank: Bank, other_bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    async with following(bank, a) as follower:
        await follower.next()
        await other_bank.pay(a, b, 10)
        assert await follower.entries(1) == [(2, -10, 90)]


async def test_a_hold_is_told_without_an_entry(bank: Bank) -> None:
    account = await bank.account(100)
    async with following(bank, account) as follower:
        await follower.next()
        hold = await bank.hold(account, 40)
        told = await follower.next()
        assert (told.account.held, told.account.available, told.entries) == (40, 60, [])
        await bank.ledger.release_hold(key=key(), hold_id=hold)
        assert (await follower.next()).account.held == 0


async def test_whoever_comes_back_gets_what_was_missed(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    seen = await bank.pay(a, b, 1)
    for amount in (2, 3, 4):
        await bank.pay(a, b, amount)
    async with following(bank, a, after=seen.recorded_at) as follower:
        assert [amount for _, amount, _ in await follower.entries(3)] == [-2, -3, -4]
        await bank.pay(a, b, 5)
        assert [amount for _, amount, _ in await follower.entries(1)] == [-5]


async def test_whoever_falls_behind_gets_everything_in_its_order(bank: Bank) -> None:
    a, b = await bank.accounts(2, 10_000)
    async with following(bank, a) as follower:
        await follower.next()
        for _ in range(3):
            await asyncio.gather(*[bank.pay(a, b, 1) for _ in range(50)])
        assert [version for version, _, _ in await follower.entries(150)] == list(range(2, 152))


@pytest.mark.in_process("it comes between two reads")
async def test_what_is_posted_between_the_reads_of_the_account_and_of_its_entries_is_told_with_what_comes_of_it(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await bank.accounts(2, 100)
    seen = await bank.pay(a, b, 1)
    read = account_store.accounts

    async def posted_behind(connection: Connection, ids: Sequence[UUID]) -> list[Account]:
        found = await read(connection, ids)
        monkeypatch.setattr(account_store, "accounts", read)
        await bank.pay(a, b, 3)
        return found

    await bank.pay(a, b, 2)
    async with following(bank, a, after=seen.recorded_at) as follower:
        monkeypatch.setattr(account_store, "accounts", posted_behind)
        for version, amount, posted in ((3, -2, 97), (4, -3, 94)):
            told = await follower.next()
            assert (told.account.version, told.account.posted) == (version, posted)
            assert [(entry.version, entry.amount, entry.balance) for entry in told.entries] == [
                (version, amount, posted)
            ]


async def test_an_account_that_is_not_there_cannot_be_followed(bank: Bank) -> None:
    async with following(bank, ids.new()) as follower:
        with pytest.raises(errors.AccountUnknown):
            await follower.next()


async def test_too_many_who_follow_are_sent_away(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billfold.ledger.service.watching.WATCHERS_MAX", 1)
    account = await bank.account(1)
    async with following(bank, account) as first:
        await first.next()
        async with following(bank, account) as second:
            with pytest.raises(errors.Overloaded, match="Too many accounts"):
                await second.next()
    async with following(bank, account) as third:
        assert (await third.next()).account.posted == 1
