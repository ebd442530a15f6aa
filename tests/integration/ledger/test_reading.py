"""Entries in pages and streams, filters and summaries."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from billfold.kernel import ids
from billfold.ledger import Ledger, errors
from billfold.ledger.contracts import Entry, EntryFilter, EntrySummary, Transfer
from billfold.ledger.store import reading
from tests.integration.ledger.support import Bank, key, new

ALL = EntryFilter()


async def pages(
    ledger: Ledger, accounts: list[UUID], *, limit: int, chosen: EntryFilter = ALL
) -> AsyncIterator[list[Entry]]:
    after = None
    while page := await ledger.entries(account_ids=accounts, filter=chosen, after=after, limit=limit):
        yield page
        after = (page[-1].recorded_at, page[-1].account)


async def streamed(ledger: Ledger, accounts: list[UUID], chosen: EntryFilter = ALL) -> list[Entry]:
    return [entry async for block in ledger.stream_entries(account_ids=accounts, filter=chosen) for entry in block]


async def test_an_entry_is_its_transfer_as_the_account_sees_it(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    past = datetime(2020, 2, 29, tzinfo=UTC)
    posting = await bank.post(
        new(a, b, 30, kind="fee", reference="R", description="D", metadata={"k": "v"}, effective_at=past)
    )
    paid = posting.single()
    for account, amount, balance, version, other in ((a, -30, 70, 2, b), (b, 30, 130, 2, a)):
        (entry, _) = await bank.ledger.entries(account_ids=[account], filter=ALL, after=None, limit=10)
        assert entry == Entry(
            transfer_id=paid.id,
            account=account,
            version=version,
            amount=amount,
            balance=balance,
            counterparty=other,
            kind="fee",
            reference="R",
            description="D",
            metadata={"k": "v"},
            effective_at=past,
            recorded_at=paid.recorded_at,
        )
    assert await bank.ledger.transfer(transfer_id=paid.id) == paid


async def test_pages_are_stable_while_more_is_posted(bank: Bank) -> None:
    a, b, c = await bank.accounts(3, 1_000)
    await bank.post(*[new(*pair, 1) for pair in [(a, b), (b, c), (c, a)] * 20])
    before = [entry async for page in pages(bank.ledger, [a, b, c], limit=1_000) for entry in page]
    found: list[Entry] = []
    async for page in pages(bank.ledger, [a, b, c], limit=7):
        found += page
        await bank.post(new(a, b, 1), new(c, a, 1))
    assert found == before
    assert len(found) == 123


async def test_both_sides_of_a_transfer_between_the_accounts_asked_for_are_told(bank: Bank) -> None:
    a, b = await bank.accounts(2, 10)
    await bank.post(*[new(a, b, 1)] * 3)
    for limit in (1, 2, 3, 100):
        found = [entry async for page in pages(bank.ledger, [a, b], limit=limit) for entry in page]
        assert len(found) == 8
        assert [(entry.recorded_at, entry.account) for entry in found] == sorted(
            ((entry.recorded_at, entry.account) for entry in found), reverse=True
        )


async def test_a_stream_is_oldest_first_and_whole_across_its_blocks(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = await bank.accounts(3, 1_000)
    await bank.post(*[new(*pair, 1) for pair in [(a, b), (b, c), (c, a)] * 40])
    expected = [entry async for page in pages(bank.ledger, [a, b, c], limit=1_000) for entry in page][::-1]
    for size in (1, 2, 7, 243, 2_000):
        monkeypatch.setattr(reading, "STREAM_BLOCK", size)
        assert await streamed(bank.ledger, [a, b, c]) == expected


async def test_a_stream_takes_the_same_memory_however_long_it_is(bank: Bank) -> None:
    a, b = await bank.accounts(2, 10**6)
    for _ in range(24):
        await bank.post(*[new(a, b, 1, reference="x" * 100)] * 1_000)

    async def peak(chosen: EntryFilter) -> tuple[int, int]:
        tracemalloc.start()
        count = 0
        async for block in bank.ledger.stream_entries(account_ids=[a], filter=chosen):
            count += len(block)
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return count, memory

    entries = await bank.ledger.entries(account_ids=[a], filter=ALL, after=None, limit=20_001)
    few, little = await peak(EntryFilter(recorded_from=entries[3_999].recorded_at))
    many, much = await peak(ALL)
    assert (few, many) == (4_000, 24_001)
    assert much < 1.5 * little


@pytest.fixture
async def furnished(bank: Bank) -> tuple[Bank, UUID, list[Transfer]]:
    a, b = await bank.accounts(2)
    wanted = [
        new(bank.outside, a, 1_000, kind="deposit", reference="salary"),
        new(a, b, 100, reference="rent"),
        new(a, b, 7, kind="fee"),
        new(b, a, 50, reference="rent"),
        new(a, bank.outside, 300, kind="withdrawal", reference="cash"),
    ]
    posted = [await bank.ledger.post(key=key(), transfers=[one]) for one in wanted]
    return bank, a, [posting.single() for posting in posted]


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({}, [0, 1, 2, 3, 4]),
        pytest.param({"kinds": frozenset({"fee", "withdrawal"})}, [2, 4], id="kinds"),
        ({"kinds": frozenset()}, []),
        ({"direction": "in"}, [0, 3]),
        ({"direction": "out"}, [1, 2, 4]),
        ({"reference": "rent"}, [1, 3]),
        ({"reference": "Rent"}, []),
        ({"reference": ""}, [2]),
        ({"amount_min": 100}, [0, 1, 4]),
        ({"amount_max": 100}, [1, 2, 3]),
        ({"amount_min": 50, "amount_max": 100, "direction": "out"}, [1]),
        ({"amount_min": 10**78}, []),
    ],
    ids=str,
)
async def test_every_filter_narrows_pages_streams_and_summaries_alike(
    furnished: tuple[Bank, UUID, list[Transfer]], fields: dict[str, Any], places: list[int]
) -> None:
    bank, account, posted = furnished
    chosen = EntryFilter(**fields)
    expected = [posted[place].id for place in places]
    found = [entry async for page in pages(bank.ledger, [account], limit=2, chosen=chosen) for entry in page]
    assert [entry.transfer_id for entry in found] == expected[::-1]
    assert [entry.transfer_id for entry in await streamed(bank.ledger, [account], chosen)] == expected
    amounts = [entry.amount for entry in found]
    assert await bank.ledger.summary(account_ids=[account], filter=chosen) == EntrySummary(
        count=len(amounts),
        credited=sum(amount for amount in amounts if amount > 0),
        debited=-sum(amount for amount in amounts if amount < 0),
    )


async def test_a_period_has_its_start_and_not_its_end(furnished: tuple[Bank, UUID, list[Transfer]]) -> None:
    bank, account, posted = furnished
    chosen = EntryFilter(recorded_from=posted[1].recorded_at, recorded_to=posted[3].recorded_at)
    found = await streamed(bank.ledger, [account], chosen)
    assert [entry.transfer_id for entry in found] == [posted[1].id, posted[2].id]


async def test_a_page_costs_two_index_seeks_and_no_sort_of_the_whole(bank: Bank) -> None:
    a, b = await bank.accounts(2, 10_000)
    for _ in range(3):
        await bank.post(*[new(a, b, 1)] * 1_000)
    async with bank.database.connection() as connection:
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = await connection.fetch(
            "EXPLAIN SELECT * FROM ledger.entries AS entry WHERE entry.account = $1 ORDER BY recorded_at DESC LIMIT 25",
            a,
        )
    text = "\n".join(row[0] for row in plan)
    assert "transfers_debit" in text
    assert "transfers_credit" in text
    assert "Sort  (" not in text


async def test_accounts_come_in_the_order_asked_for_and_unknown_ones_are_left_out(bank: Bank) -> None:
    a, b = await bank.accounts(2, 5)
    found = await bank.ledger.accounts(ids=[b, ids.new(), a])
    assert [account.id for account in found] == [b, a]
    assert [(account.posted, account.available, account.version, account.status) for account in found] == [
        (5, 5, 1, "open")
    ] * 2


async def test_what_is_not_there_is_said_so(bank: Bank) -> None:
    with pytest.raises(errors.TransferUnknown):
        await bank.ledger.transfer(transfer_id=ids.new())
    with pytest.raises(errors.HoldUnknown):
        await bank.ledger.hold(hold_id=ids.new())
    with pytest.raises(errors.AssetUnknown):
        await bank.ledger.external_account(asset="NONE")
    assert await bank.ledger.entries(account_ids=[ids.new()], filter=ALL, after=None, limit=10) == []
    assert await streamed(bank.ledger, [ids.new()]) == []


async def test_a_read_in_a_writers_way_is_not_in_it(bank: Bank) -> None:
    a, b = await bank.accounts(2, 10**6)
    writing = asyncio.gather(*[bank.pay(a, b, 1) for _ in range(300)])
    seen = []
    while not writing.done():
        entries = await bank.ledger.entries(account_ids=[b], filter=ALL, after=None, limit=1_000)
        seen.append([entry.version for entry in entries])
    await writing
    # Whatever is seen is whole: every version up to the newest.
    assert all(versions == list(range(len(versions), 0, -1)) for versions in seen)
    assert timedelta(0) < timedelta(seconds=len(seen))
