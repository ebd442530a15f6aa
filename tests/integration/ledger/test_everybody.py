"""What is read of all user accounts at once, whose number must not matter."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from billfold.ledger.contracts import Entry, EntryFilter, Hold, NewHold
from billfold.ledger.store import everybody
from tests import servers
from tests.integration.ledger.blocker import blocker
from tests.integration.ledger.support import Bank, execute, key, new

ALL = EntryFilter()


@pytest.fixture
def bank(own_bank: Bank) -> Bank:
    """Alone in its database: here everybody's is asked for."""
    return own_bank


async def whole(bank: Bank, chosen: EntryFilter = ALL, *, limit: int = 1_000) -> list[Entry]:
    """All pages."""
    found: list[Entry] = []
    after = None
    while page := await bank.ledger.entries_of_all(filter=chosen, after=after, limit=limit):
        found += page
        after = (page[-1].transfer_id, page[-1].account)
    return found


async def test_the_entries_of_all_users_are_told_newest_first_and_those_of_the_world_outside_are_not(
    bank: Bank,
) -> None:
    a, b = await bank.accounts(2, 100)
    paid = (await bank.post(new(a, b, 30))).single()
    found = await whole(bank)
    assert [(entry.account, entry.amount) for entry in found[:2]] == sorted([(a, -30), (b, 30)], reverse=True)
    assert {entry.transfer_id for entry in found[:2]} == {paid.id}
    assert bank.outside not in {entry.account for entry in found}
    one_by_one = await bank.ledger.entries(account_ids=[a, b], filter=ALL, after=None, limit=100)
    assert [entry for entry in found if entry.account in (a, b)] == one_by_one


async def test_pages_of_everybodys_entries_are_stable_while_more_is_posted(bank: Bank) -> None:
    a, b = await bank.accounts(2, 1_000)
    await bank.post(*[new(a, b, 1)] * 10)
    before = await whole(bank)
    for limit in (1, 3, 7):
        found: list[Entry] = []
        after = None
        while page := await bank.ledger.entries_of_all(filter=ALL, after=after, limit=limit):
            found += page
            after = (page[-1].transfer_id, page[-1].account)
            await bank.post(new(a, b, 1))
        assert found == before
        before = await whole(bank)


@pytest.mark.parametrize(
    ("fields", "amounts"),
    [
        ({"reference": "rent"}, [50, -50, 100, -100]),
        ({"reference": "rent", "direction": "in"}, [50, 100]),
        ({"asset": "EUR"}, [9]),
        ({"asset": "USD", "amount_min": 100, "amount_max": 100}, [100, -100]),
        ({"kinds": frozenset({"withdrawal"})}, [-300]),
    ],
    ids=str,
)
async def test_every_filter_narrows_everybodys_entries_and_their_sums_alike(
    bank: Bank, fields: dict[str, Any], amounts: list[int]
) -> None:
    start = await bank.now()
    a, b = await bank.accounts(2, 1_000)
    euro = await bank.account(asset="EUR")
    outside = await bank.ledger.external_account(asset="EUR")
    await bank.post(new(outside, euro, 9, asset="EUR", kind="deposit"))
    await bank.post(new(a, b, 100, reference="rent"))
    await bank.post(new(b, a, 50, reference="rent"))
    await bank.post(new(a, bank.outside, 300, kind="withdrawal"))
    chosen = EntryFilter(recorded_from=start, **fields)
    found = await whole(bank, chosen)
    assert sorted(entry.amount for entry in found) == sorted(amounts)
    sums = (await bank.ledger.summaries_of_all(filter=chosen)).values()
    assert sum(one.count for one in sums) == len(amounts)
    assert sum(one.credited - one.debited for one in sums) == sum(amounts)


async def test_a_period_of_everybodys_entries_is_exact_to_the_microsecond(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    first, second, third = [(await bank.post(new(a, b, amount))).single() for amount in (1, 2, 3)]
    period = EntryFilter(recorded_from=second.recorded_at, recorded_to=third.recorded_at)
    assert {entry.transfer_id for entry in await whole(bank, period)} == {second.id}
    assert first.recorded_at < second.recorded_at
    assert await whole(bank, EntryFilter(recorded_to=second.recorded_at - timedelta(days=400))) == []


async def test_everybodys_entries_of_a_period_that_is_over_wait_for_a_batch_that_may_still_belong_to_it(
    bank: Bank, own_database: servers.TestDatabase
) -> None:
    a, b = await bank.accounts(2, 100)
    own = key()
    async with blocker(own_database.owner_dsn) as other:
        await other.claim_key(own.digest)
        posting = asyncio.create_task(bank.ledger.post(key=own, transfers=[new(a, b, 10)]))
        await other.waiting(1)
        over = EntryFilter(recorded_to=await bank.now())
        page = asyncio.create_task(bank.ledger.entries_of_all(filter=over, after=None, limit=2))
        sums = asyncio.create_task(bank.ledger.summaries_of_all(filter=over))
        # What has no end is told as it is now.
        live = await bank.ledger.entries_of_all(filter=ALL, after=None, limit=1)
        assert live[0].amount == 100
        assert await asyncio.wait([page, sums], timeout=0.3) == (set(), {page, sums})
    paid = (await posting).single()
    assert {entry.transfer_id for entry in await page} == {paid.id}
    assert (await sums)["USD"].debited >= 10


async def test_everybodys_holds_are_told_newest_first_and_in_pages(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    placed = [
        (await bank.ledger.place_hold(key=key(), hold=NewHold(account=one, amount=1, asset="USD"))).hold
        for one in (a, b, a)
    ]
    await bank.ledger.release_hold(key=key(), hold_id=placed[1].id)
    found: list[Hold] = []
    after: UUID | None = None
    while len(found) < 3:
        (hold,) = await bank.ledger.holds_of_all(status=None, after=after, limit=1)
        found.append(hold)
        after = hold.id
    assert [hold.id for hold in found] == [hold.id for hold in placed[::-1]]
    (released,) = await bank.ledger.holds_of_all(status="released", after=None, limit=1)
    assert released.id == placed[1].id


class _Explaining:
    """In place of a connection: what would be fetched is explained, by a plan that serves any parameters too."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.plans: list[Any] = []

    async def fetch(self, sql: str, *arguments: object) -> list[Any]:
        given = ", ".join("NULL" if argument is None else f"'{argument}'" for argument in arguments)
        await self._connection.execute(f"PREPARE asked AS {sql}")
        for mode in ("force_custom_plan", "force_generic_plan"):
            await self._connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
            explained = await self._connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked ({given})")
            self.plans.append(json.loads(explained)[0]["Plan"])
        await self._connection.execute("DEALLOCATE asked")
        return []


def _rows_read(plan: dict[str, Any]) -> int:
    """By the node of the plan that reads most of the journal or the holds. (Of the few accounts all may be read.)"""
    own = 0
    if plan.get("Relation Name") != "accounts":
        own = int((plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"])
    return max([own, *(_rows_read(part) for part in plan.get("Plans", []))])


async def test_a_page_of_everybodys_entries_or_holds_reads_no_more_than_it_tells_of(
    bank: Bank, own_database: servers.TestDatabase
) -> None:
    a, b = await bank.accounts(2, 10**6)
    for _ in range(10):
        await bank.post(*[new(a, b, 1)] * 1_000)
    holds = [NewHold(account=b, amount=1, asset="USD") for _ in range(1_000)]
    await asyncio.gather(*(bank.ledger.place_hold(key=key(), hold=hold) for hold in holds))
    last_hold = (await bank.ledger.holds_of_all(status=None, after=None, limit=50))[-1]
    last = (await bank.ledger.entries_of_all(filter=ALL, after=None, limit=5_000))[-1]
    long_ago = EntryFilter(recorded_to=last.recorded_at - timedelta(days=2))
    await execute(own_database.owner_dsn, "ANALYZE")
    async with bank.database.transaction() as connection:
        explaining: Any = _Explaining(connection)
        await everybody.entries(explaining, ALL, after=None, limit=26)
        await everybody.entries(explaining, ALL, after=(last.transfer_id, last.account), limit=26)
        await everybody.entries(explaining, long_ago, after=None, limit=26)
        await everybody.holds(explaining, status=None, after=None, limit=26)
        await everybody.holds(explaining, status="active", after=last_hold.id, limit=26)
    assert len(explaining.plans) == 10
    for plan in explaining.plans:
        assert _rows_read(plan) < 100, json.dumps(plan, indent=1)
