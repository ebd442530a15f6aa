"""Balances in time, held against adding everything up."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from billfold.kernel import clock
from billfold.ledger import errors
from billfold.ledger.contracts import BalancePoint, Transfer
from tests.integration.ledger.support import Bank, new

ENTRIES = 2_000
BLOCK = 250
SHIFTS = [46, 40, 34, 28]
BESIDE = timedelta(microseconds=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Moved:
    """An entry as it must be counted."""

    account: UUID
    amount: int
    recorded_at: datetime
    effective_at: datetime


class Dates:
    """Random value dates of the kinds that could go wrong."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def border(self) -> datetime:
        """The first instant of a period of some width, on either side of 1970."""
        shift = self.random.choice(SHIFTS)
        first = clock.microseconds(datetime(1900, 1, 2, tzinfo=UTC)) >> shift
        past = clock.microseconds(datetime(2026, 1, 1, tzinfo=UTC)) >> shift
        return clock.EPOCH + timedelta(microseconds=self.random.randrange(first + 1, past) << shift)

    def any(self) -> datetime | None:
        kind = self.random.randrange(8)
        if kind == 0:
            return None
        if kind < 3:
            return self.border() + self.random.choice([-BESIDE, 0 * BESIDE, 0 * BESIDE, BESIDE])
        if kind < 5:  # Many at the same instants.
            return datetime(self.random.choice([1950, 1969, 1970, 2020]), 12, 31, tzinfo=UTC)
        if kind == 5:  # Many within one smallest period.
            return datetime(2021, 6, 1, tzinfo=UTC) + self.random.randrange(1_000) * BESIDE
        return datetime(1900, 1, 1, tzinfo=UTC) + self.random.randrange(126 * 365 * 86_400_000_000) * BESIDE


async def moved(bank: Bank, accounts: Sequence[UUID], count: int, dates: Dates) -> list[Moved]:
    found: list[Moved] = []
    for _ in range(0, count, BLOCK):
        wanted = []
        for _ in range(BLOCK):
            debit, credit = dates.random.sample(accounts, 2)
            wanted.append(new(debit, credit, dates.random.randrange(1, 10**30), effective_at=dates.any()))
        for result in (await bank.post(*wanted, atomic=False)).results:
            assert isinstance(result, Transfer)
            for account, amount in ((result.debit_account, -result.amount), (result.credit_account, result.amount)):
                found.append(Moved(account, amount, result.recorded_at, result.effective_at))
    return found


def effective(entries: Sequence[Moved], account: UUID, at: datetime) -> int:
    return sum(entry.amount for entry in entries if entry.account == account and entry.effective_at <= at)


def recorded(entries: Sequence[Moved], account: UUID, at: datetime) -> int:
    return sum(entry.amount for entry in entries if entry.account == account and entry.recorded_at <= at)


def instants(entries: Sequence[Moved], dates: Dates, count: int) -> list[datetime]:
    """Those at which something changed, just beside them, borders, and the ends."""
    chosen = [entry.effective_at for entry in dates.random.sample(entries, count)]
    chosen += [entry.recorded_at for entry in dates.random.sample(entries, count)]
    beside = [instant + step for instant in chosen for step in (-BESIDE, BESIDE)]
    borders = [dates.border() for _ in range(count)]
    ends = [datetime(1, 1, 1, tzinfo=UTC), datetime(1899, 12, 31, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)]
    return [*chosen, *beside, *borders, *ends]


@pytest.mark.in_process("it asks about years that no caller is let in with")
async def test_back_dated_balances_are_the_sum_of_everything_effective_by_then(bank: Bank) -> None:
    dates = Dates(20261121)
    accounts = await bank.accounts(4, floor=None)
    entries = await moved(bank, accounts, ENTRIES, dates)
    asked = instants(entries, dates, 120)
    points = [(account, at) for account in accounts for at in asked]
    found = await bank.ledger.balances_effective(points=points)
    assert found == [BalancePoint(at=at, posted=effective(entries, account, at)) for account, at in points]
    as_recorded = await bank.ledger.balances_recorded(points=points)
    assert as_recorded == [BalancePoint(at=at, posted=recorded(entries, account, at)) for account, at in points]


@pytest.mark.in_process("it asks about years that no caller is let in with")
async def test_later_back_dating_changes_what_was_effective_and_never_what_was_recorded(bank: Bank) -> None:
    dates = Dates(7)
    accounts = await bank.accounts(3, floor=None)
    entries = await moved(bank, accounts, BLOCK, dates)
    points = [(account, at) for account in accounts for at in instants(entries, dates, 20)]
    before = await bank.ledger.balances_recorded(points=points)
    entries += await moved(bank, accounts, BLOCK, dates)
    assert await bank.ledger.balances_recorded(points=points) == before
    found = await bank.ledger.balances_effective(points=points)
    assert [point.posted for point in found] == [effective(entries, *point) for point in points]


async def test_what_is_not_back_dated_is_effective_when_it_is_recorded(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    paid = await bank.pay(a, b, 10)
    points = [(b, paid.recorded_at - BESIDE), (b, paid.recorded_at)]
    expected = [100, 110]
    assert [point.posted for point in await bank.ledger.balances_effective(points=points)] == expected
    assert [point.posted for point in await bank.ledger.balances_recorded(points=points)] == expected


async def test_an_account_without_entries_or_without_existence_was_always_at_zero(bank: Bank) -> None:
    empty = await bank.account()
    points = [(empty, datetime(2020, 1, 1, tzinfo=UTC)), (bank.outside, datetime(1800, 1, 1, tzinfo=UTC))]
    assert [point.posted for point in await bank.ledger.balances_effective(points=points)] == [0, 0]
    assert [point.posted for point in await bank.ledger.balances_recorded(points=points)] == [0, 0]
    assert await bank.ledger.balances_recorded(points=[]) == []


async def test_back_dated_sums_may_exceed_every_balance(bank: Bank) -> None:
    """Back-dated in, other money out, and again: each balance fits, the sum of what is back-dated does not."""
    a, b = await bank.accounts(2, floor=None)
    past = datetime(2020, 1, 1, tzinfo=UTC)
    amount = 9 * 10**77
    for _ in range(3):
        await bank.pay(a, b, amount, effective_at=past)
        await bank.pay(b, a, amount)
    (point,) = await bank.ledger.balances_effective(points=[(b, past)])
    assert point.posted == 3 * amount


async def test_a_history_has_a_point_at_every_step_and_at_the_end(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    for day in range(5):
        await bank.pay(a, b, 1, effective_at=start + day * DAY)
    until = start + 4 * DAY + timedelta(hours=12)
    history = await bank.ledger.balance_history(account_id=b, since=start - DAY, until=until, step=DAY, effective=True)
    assert [(point.at, point.posted) for point in history] == [
        *((start + day * DAY, day + 1) for day in range(-1, 5)),
        (until, 5),
    ]
    flat = await bank.ledger.balance_history(account_id=b, since=start - DAY, until=until, step=DAY, effective=False)
    assert [point.posted for point in flat] == [0] * 7
    single = await bank.ledger.balance_history(account_id=b, since=start, until=start, step=DAY, effective=True)
    assert [(point.at, point.posted) for point in single] == [(start, 1)]


async def test_a_history_of_too_many_points_is_refused(bank: Bank) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    hour = timedelta(hours=1)
    longest = await bank.ledger.balance_history(
        account_id=bank.outside, since=start, until=start + 998 * hour, step=hour, effective=True
    )
    assert len(longest) == 999
    with pytest.raises(errors.TooManyPoints):
        await bank.ledger.balance_history(
            account_id=bank.outside, since=start, until=start + 1_000 * hour, step=hour, effective=True
        )


async def test_the_future_is_not_told(bank: Bank) -> None:
    a = await bank.account(100)
    future = await bank.now() + timedelta(seconds=60)
    for read in (bank.ledger.balances_recorded, bank.ledger.balances_effective):
        with pytest.raises(errors.InstantInFuture):
            await read(points=[(a, future - DAY), (a, future)])
    with pytest.raises(errors.InstantInFuture):
        await bank.ledger.balance_history(account_id=a, since=future - DAY, until=future, step=DAY, effective=True)


async def test_money_moves_now_or_with_an_earlier_date_and_never_later(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    now = await bank.now()
    with pytest.raises(errors.EffectiveInFuture):
        await bank.pay(a, b, 1, effective_at=now + timedelta(seconds=60))
    with pytest.raises(errors.EffectiveTooEarly):
        await bank.pay(a, b, 1, effective_at=datetime(1899, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
    await bank.pay(a, b, 1, effective_at=datetime(1900, 1, 1, tzinfo=UTC))
    await bank.pay(a, b, 1, effective_at=now)
