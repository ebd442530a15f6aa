"""The copy of the history: never taken for whole when it is not, kept by events, made anew, and erased."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from billfold.kernel import ids
from billfold.kernel.clock import SystemClock
from billfold.kernel.principal import Principal
from billfold.ledger.contracts import EntryFilter
from billfold.platform.cql import Session
from billfold.wallets import CqlHistory, Wallets, errors
from billfold.wallets.adapters.history import cql as adapter
from billfold.wallets.contracts import HistorySource, Transaction, TransactionFilter, TransactionPage
from tests import facades
from tests.integration.requests.support import Watch
from tests.integration.wallets.history.support import Histories, closed, everything, grown_old
from tests.integration.wallets.support import move, wallet_of

ALL = TransactionFilter()


async def page(histories: Histories, principal: Principal, wanted: TransactionFilter = ALL) -> TransactionPage:
    return await histories.copied.transactions.page(principal=principal, wanted=wanted)


async def rows_of(keyspace: tuple[Session, str], wallet: str) -> list[tuple[Any, ...]]:
    """All that is in the copy about a wallet, with the times at which it counts as written."""
    session, name = keyspace
    months = await session.execute(
        f"SELECT month, account, version, WRITETIME(version) FROM {name}.months WHERE wallet = ?", ids.parse(wallet)
    )
    rows = list(months)
    for month in sorted({row[0] for row in months} | _recent_months()):
        rows += await session.execute(
            f"SELECT recorded_us, version, amount, kind, WRITETIME(amount) FROM {name}.transactions "
            "WHERE wallet = ? AND month = ?",
            ids.parse(wallet),
            month,
        )
    return rows


def _recent_months() -> set[int]:
    """Those that a test may have written in: one may end while it runs."""
    now = datetime.now(UTC)
    return {at.year * 100 + at.month for at in (now, now - timedelta(hours=1))}


async def test_what_was_just_paid_is_in_the_list_before_its_event_has_come(
    histories: Histories, ada: Principal
) -> None:
    mine = await wallet_of(histories.journal, ada, holding="10.00")
    await histories.catch_up()
    assert (await page(histories, ada)).source == "cql"
    paid = (await move(histories.journal, ada, "withdrawal", source=mine)).transfer.id
    at_once = await page(histories, ada)
    assert (at_once.source, at_once.items[0].id) == ("postgresql", paid)
    await histories.catch_up()
    later = await page(histories, ada)
    assert (later.source, later.items) == ("cql", at_once.items)
    # Of an account that the copy knows nothing of, a period shows no gap.
    await move(histories.journal, ada, "deposit", target=mine, asset="ETH")
    today = TransactionFilter(asset="ETH", since=datetime.now(UTC) - timedelta(days=1))
    first = await page(histories, ada, today)
    assert (first.source, len(first.items)) == ("postgresql", 1)


async def test_what_is_missing_in_the_middle_is_noticed_on_whichever_page(histories: Histories, ada: Principal) -> None:
    mine = await wallet_of(histories.journal, ada, holding="10.00")
    for _ in range(5):
        await move(histories.journal, ada, "withdrawal", source=mine)
    told = await histories.events()
    missing = told.pop(2)
    await histories.keeping.take(told)
    journal = await everything(histories.journal, ada, ALL)
    for limit in range(1, 7):
        sources: list[str] = []
        found: list[Transaction] = []
        cursor = None
        while not sources or cursor is not None:
            one = await histories.copied.transactions.page(principal=ada, wanted=ALL, cursor=cursor, limit=limit)
            sources.append(one.source)
            found += one.items
            cursor = one.next_cursor
        assert found == journal
        assert "postgresql" in sources
    await histories.keeping.take([missing])
    assert await everything(histories.copied, ada, ALL, limit=1, source="cql") == journal


async def test_a_lost_event_spoils_no_list_wherever_it_begins_and_ends(histories: Histories, ada: Principal) -> None:
    """All periods, cursors and sizes over an account of which any one or two entries are missing in the copy."""
    now = datetime.now(UTC)
    chance = random.Random(11)
    for number, missing in enumerate([set[int](), {1}, {2}, {3}, {5}, {6}, {2, 3}, {1, 4}]):
        instants = [now - timedelta(days=days, microseconds=number) for days in (70, 69, 40, 39, 8, 7)]
        person = msgspec.structs.replace(ada, owner_id=ids.new())
        wallet = await grown_old(histories, person, instants)
        (account,) = (await _accounts(histories, wallet)).values()
        async for entries in histories.ledger.stream_entries(account_ids=[account], filter=EntryFilter()):
            kept = [(ids.parse(wallet), one) for one in entries if one.version not in missing]
            await histories.copy.write(kept)
        edges = [None, *(at + shift for at in instants for shift in (timedelta(0), timedelta(microseconds=1)))]
        for _ in range(25):
            wanted = TransactionFilter(wallet=wallet, since=chance.choice(edges), until=chance.choice(edges))
            if wanted.since and wanted.until and wanted.since > wanted.until:
                continue
            journal = await everything(histories.journal, person, wanted)
            source: HistorySource | None = None if missing else "cql"
            found = await everything(histories.copied, person, wanted, limit=chance.randint(1, 7), source=source)
            assert found == journal, (missing, wanted)


async def test_a_copy_of_a_ledger_that_was_restored_to_an_earlier_instant_is_not_read(
    histories: Histories, ada: Principal
) -> None:
    mine = await wallet_of(histories.journal, ada, holding="10.00")
    await histories.catch_up()
    assert (await page(histories, ada)).source == "cql"
    (account,) = (await _accounts(histories, mine)).values()
    async for (entry,) in histories.ledger.stream_entries(account_ids=[account], filter=EntryFilter()):
        at = entry.recorded_at + timedelta(seconds=1)
        lost = msgspec.structs.replace(entry, transfer_id=ids.new(), version=2, recorded_at=at)
        await histories.copy.write([(ids.parse(mine), lost)])
    found = await page(histories, ada)
    assert (found.source, len(found.items)) == ("postgresql", 1)
    # The ledger has another second entry now.
    await move(histories.journal, ada, "withdrawal", source=mine)
    await histories.catch_up()
    found = await page(histories, ada)
    assert (found.source, len(found.items)) == ("postgresql", 2)


async def test_events_in_any_order_and_any_number_leave_the_same_rows(
    histories: Histories, ada: Principal, cql_keyspace: tuple[Session, str]
) -> None:
    mine = await wallet_of(histories.journal, ada, holding="10.00")
    for _ in range(7):
        await move(histories.journal, ada, "withdrawal", source=mine)
    told = await histories.events()
    await histories.keeping.take(told)
    rows = await rows_of(cql_keyspace, mine)
    assert len(rows) == 1 + 8
    chance = random.Random(7)
    for _ in range(3):
        again = chance.sample(told * 2, len(told) * 2)
        await asyncio.gather(*(histories.keeping.take([event]) for event in again))
    assert await rows_of(cql_keyspace, mine) == rows


async def test_an_event_can_not_say_what_is_not_so(histories: Histories, ada: Principal, bob: Principal) -> None:
    """Whoever can write to the broker names another's wallet, another amount, or a transfer that never was."""
    mine, yours = await wallet_of(histories.journal, ada, holding="10.00"), await wallet_of(histories.journal, bob)
    (deposit,) = [event for event in await histories.events() if event.subject]
    assert isinstance(deposit.data, msgspec.Struct | msgspec.Raw)
    hostile = {"id": deposit.subject, "money": {"amount": "1000000.00", "asset": "USD"}, "credit_account": yours}
    await histories.keeping.take([msgspec.structs.replace(deposit, data=hostile)])
    (found,) = (await page(histories, ada)).items
    assert (found.wallet, found.money.amount) == (mine, "10.00")
    assert (await page(histories, bob)).items == []
    with pytest.raises(errors.TransferNotPosted):
        await histories.keeping.take([msgspec.structs.replace(deposit, subject=str(ids.new()))])
    with pytest.raises(ids.InvalidId):
        await histories.keeping.take([msgspec.structs.replace(deposit, subject="'; DROP TABLE transactions; --")])


async def test_a_copy_that_was_never_completed_is_not_read(histories: Histories, ada: Principal) -> None:
    await wallet_of(histories.journal, ada, holding="10.00")
    await histories.catch_up()
    await histories.copy.tables.mark(complete=False, rebuild=ids.new())
    assert (await page(histories, ada)).source == "postgresql"


async def test_a_list_of_a_period_that_ended_just_now_waits_for_what_is_being_posted(
    histories: Histories, ada: Principal
) -> None:
    await wallet_of(histories.journal, ada, holding="10.00")
    await histories.catch_up()
    now = datetime.now(UTC)
    assert (await page(histories, ada, TransactionFilter(until=now))).source == "postgresql"
    assert (await page(histories, ada, TransactionFilter(until=now - timedelta(hours=1)))).source == "cql"


async def test_a_list_that_would_take_many_reads_comes_from_the_journal(
    histories: Histories, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = await wallet_of(histories.journal, ada, holding="10.00")
    await wallet_of(histories.journal, ada, holding="10.00")
    for _ in range(3):
        await move(histories.journal, ada, "withdrawal", source=mine)
    await histories.catch_up()
    rare = TransactionFilter(wallet=mine, reference="nowhere")
    assert (await page(histories, ada, rare)).source == "cql"
    monkeypatch.setattr(adapter, "SCANNED_MAX", 3)
    assert (await page(histories, ada, rare)).source == "postgresql"
    monkeypatch.undo()
    monkeypatch.setattr(adapter, "ACCOUNTS_MAX", 1)
    assert (await page(histories, ada, TransactionFilter(wallet=mine))).source == "cql"
    assert (await page(histories, ada)).source == "postgresql"


async def test_the_copy_is_made_anew_while_money_moves(histories: Histories, ada: Principal) -> None:
    posting = histories.journal
    mine, other = await wallet_of(posting, ada, holding="50.00"), await wallet_of(posting, ada)
    for _ in range(20):
        await move(posting, ada, source=mine, target=other, amount="0.10")
    # These events are lost.
    await histories.events()
    shown: list[tuple[int, int]] = []
    ended = asyncio.Event()

    async def pay() -> None:
        while not ended.is_set():
            await move(posting, ada, source=mine, target=other, amount="0.01")
            await histories.catch_up()
            assert (await page(histories, ada)).items

    paying = asyncio.create_task(pay())
    done = await histories.keeping.rebuild(progress=lambda now, total: shown.append((now.accounts, total)))
    ended.set()
    await paying
    await histories.catch_up()
    assert done.accounts == 2
    assert done.entries >= 41
    assert shown[-1] == (2, 2)
    journal = await everything(posting, ada, ALL)
    assert await everything(histories.copied, ada, ALL, source="cql") == journal


async def test_of_two_who_make_the_copy_anew_the_later_one_completes_it(histories: Histories, ada: Principal) -> None:
    await wallet_of(histories.journal, ada, holding="50.00")
    first = asyncio.create_task(histories.keeping.rebuild(progress=lambda *_: None))
    while (await histories.copy.tables.state()).complete:  # noqa: ASYNC110 - the server tells
        await asyncio.sleep(0.01)
    await histories.keeping.rebuild(progress=lambda *_: None)
    with pytest.raises(errors.RebuildOvertaken):
        await first
    assert (await histories.copy.tables.state()).complete


async def test_the_history_of_an_owner_who_leaves_is_erased_for_good(
    histories: Histories,
    ada: Principal,
    bob: Principal,
    operator: Principal,
    cql_keyspace: tuple[Session, str],
) -> None:
    posting = histories.journal
    mine, yours = await wallet_of(posting, ada, holding="10.00"), await wallet_of(posting, bob)
    await move(posting, ada, source=mine, target=yours, amount="10.00")
    told = await histories.events()
    await histories.keeping.take(told)
    assert len(await rows_of(cql_keyspace, mine)) == 1 + 2
    # It was closed long before.
    await posting.registry.close(principal=ada, wallet_id=ids.parse(mine))
    await histories.leave(ada)
    await histories.catch_up()
    assert await rows_of(cql_keyspace, mine) == []
    await histories.keeping.take(told)
    assert await rows_of(cql_keyspace, mine) == []
    # Even by somebody who does not know that the owner has left.
    async for entries in histories.ledger.stream_entries(
        account_ids=list((await _accounts(histories, mine)).values()), filter=EntryFilter()
    ):
        await histories.copy.write([(ids.parse(mine), entry) for entry in entries])
    assert await rows_of(cql_keyspace, mine) == []
    await histories.keeping.rebuild(progress=lambda *_: None)
    assert await rows_of(cql_keyspace, mine) == []
    # The other side keeps theirs, and the record is the ledger.
    assert len(await everything(histories.copied, bob, ALL, source="cql")) == 1
    assert len(await everything(histories.copied, operator, TransactionFilter(wallet=mine))) == 2


async def test_a_worker_whose_clock_is_behind_erases_all_the_same(
    histories: Histories, ada: Principal, bob: Principal, cql_keyspace: tuple[Session, str]
) -> None:
    posting, behind = histories.journal, Watch()
    behind.ahead = -timedelta(hours=1)
    keeping = histories.kept_by(cql_keyspace, behind)
    mine, yours = await wallet_of(posting, ada, holding="10.00"), await wallet_of(posting, bob)
    empty = await wallet_of(posting, ada)
    await move(posting, ada, source=mine, target=yours, amount="10.00")
    told = await histories.events()
    await keeping.take(told)
    assert len(await rows_of(cql_keyspace, mine)) == 1 + 2
    await histories.leave(ada)
    await keeping.take(await histories.events())
    assert await rows_of(cql_keyspace, mine) == await rows_of(cql_keyspace, empty) == []
    # Even by somebody who does not know that the owner has left.
    async for entries in histories.ledger.stream_entries(
        account_ids=list((await _accounts(histories, mine)).values()), filter=EntryFilter()
    ):
        await histories.copy.write([(ids.parse(mine), entry) for entry in entries])
    assert await rows_of(cql_keyspace, mine) == []
    assert len(await rows_of(cql_keyspace, yours)) == 1 + 1


async def test_a_closed_wallet_of_an_owner_who_stays_keeps_its_history(histories: Histories, ada: Principal) -> None:
    """Whatever an event says of them."""
    posting = histories.journal
    mine = await wallet_of(posting, ada, holding="10.00")
    await move(posting, ada, "withdrawal", source=mine, amount="10.00")
    await posting.registry.close(principal=ada, wallet_id=ids.parse(mine))
    await histories.catch_up()
    await histories.keeping.take([closed(ada)])
    assert len(await everything(histories.copied, ada, ALL, source="cql")) == 2


async def test_what_the_copy_keeps_no_longer_is_read_in_the_ledger(
    histories: Histories, ada: Principal, cql_keyspace: tuple[Session, str]
) -> None:
    session, keyspace = cql_keyspace
    now = datetime.now(UTC)
    mine = await grown_old(histories, ada, [now - timedelta(days=days) for days in (400, 40, 31, 20, 10)])
    copy = CqlHistory(session=session, ledger=histories.ledger, keyspace=keyspace, ttl_days=30, clock=SystemClock())
    identity = facades.identity(histories.database)
    short = Wallets(database=histories.database, ledger=histories.ledger, identity=identity, history=copy)
    assert short.history is not None
    assert (await histories.keeping.rebuild(progress=lambda *_: None)).entries == 5
    # For another time than the copy was made for, it can't be taken, however much of it is there.
    assert (await histories.copied.transactions.page(principal=ada, wanted=ALL, limit=1)).source == "cql"
    assert (await short.transactions.page(principal=ada, wanted=ALL, limit=1)).source == "postgresql"
    assert (await short.history.rebuild(progress=lambda *_: None)).entries == 2
    journal = await everything(histories.journal, ada, ALL)
    assert await everything(short, ada, ALL, limit=1) == journal
    assert (await short.transactions.page(principal=ada, wanted=ALL, limit=1)).source == "cql"
    assert (await histories.copied.transactions.page(principal=ada, wanted=ALL, limit=1)).source == "postgresql"
    assert (await short.transactions.page(principal=ada, wanted=ALL)).source == "postgresql"
    recent = TransactionFilter(since=now - timedelta(days=25))
    assert await everything(short, ada, recent, source="cql") == journal[:2]
    ((left_s,),) = await session.execute(
        f"SELECT TTL(version) FROM {keyspace}.months WHERE wallet = ? LIMIT 1", ids.parse(mine)
    )
    assert 19 < left_s / 86_400 < 20.01


async def _accounts(histories: Histories, wallet: str) -> dict[str, Any]:
    async with histories.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT asset, account_id FROM wallets.accounts WHERE wallet_id = $1", ids.parse(wallet)
        )
    return {row["asset"]: row["account_id"] for row in rows}
