"""What every history answers, the journal and its copy alike."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta

import pytest

from billfold.kernel import paging
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.wallets import errors
from billfold.wallets.contracts import HistorySource, Order, Transaction, TransactionFilter
from tests.integration.wallets.history.support import Histories, everything, grown_old
from tests.integration.wallets.support import move, wallet_of


async def test_pages_are_stable_while_others_are_posted(
    histories: Histories, ada: Principal, source: HistorySource
) -> None:
    posting = histories.journal
    mine, other = await wallet_of(posting, ada, holding="50.00"), await wallet_of(posting, ada)
    orders = [Order(source=mine, target=other, money=Money("1.00", "USD"), reference=f"n-{n}") for n in range(10)]
    await posting.bulk.move(principal=ada, orders=orders, atomic=False, key="b")
    seen: list[tuple[str, str]] = []
    cursor = None
    while True:
        reading = await histories.of(source)
        page = await reading.transactions.page(principal=ada, wanted=TransactionFilter(), cursor=cursor, limit=3)
        assert page.source == source
        seen += [(item.reference, item.direction) for item in page.items]
        await move(posting, ada, source=mine, target=other, amount="0.01")
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen[-1] == ("", "in")
    assert len(seen) == len(set(seen)) == 21
    assert {reference for reference, _ in seen[:-1]} == {f"n-{n}" for n in range(10)}


async def test_a_transfer_is_seen_from_ones_own_side_and_nothing_of_the_other(
    histories: Histories, ada: Principal, bob: Principal, source: HistorySource
) -> None:
    posting = histories.journal
    mine, yours = await wallet_of(posting, ada, holding="10.00"), await wallet_of(posting, bob, holding="7.00")
    await posting.movements.move(
        principal=ada,
        order=Order(
            source=mine,
            target=yours,
            money=Money("2.50", "USD"),
            reference="invoice 7",
            description="two\nlines",
            metadata={"order": "4711"},
            effective_at="2026-01-10",
        ),
        key="k",
    )
    reading = await histories.of(source)
    (sent,) = await everything(reading, ada, TransactionFilter(direction="out"), source=source)
    (received,) = await everything(reading, bob, TransactionFilter(wallet=yours, kind="transfer"), source=source)
    assert (sent.wallet, sent.counterparty, sent.balance, sent.direction) == (mine, yours, "7.50", "out")
    assert (received.wallet, received.counterparty, received.balance, received.direction) == (
        yours,
        mine,
        "9.50",
        "in",
    )
    for one in (sent, received):
        assert (one.reference, one.description, one.metadata) == ("invoice 7", "two\nlines", {"order": "4711"})
        assert (one.money, one.effective_at) == (Money("2.50", "USD"), datetime(2026, 1, 10, tzinfo=UTC))
    (deposit,) = await everything(reading, ada, TransactionFilter(kind="deposit"), source=source)
    assert deposit.counterparty == "outside"
    with pytest.raises(errors.WalletUnknown):
        await everything(reading, ada, TransactionFilter(wallet=yours))


async def test_amounts_of_any_size_come_back_as_they_are(
    histories: Histories, ada: Principal, source: HistorySource
) -> None:
    mine = await wallet_of(histories.journal, ada)
    huge = f"{10**40}.{'1' * 18}"
    await move(histories.journal, ada, "deposit", target=mine, amount=huge, asset="ETH")
    (found,) = await everything(await histories.of(source), ada, TransactionFilter(), source=source)
    assert (found.money, found.balance) == (Money(huge, "ETH"), huge)


async def test_a_wallet_without_transactions_has_an_empty_list(
    histories: Histories, ada: Principal, source: HistorySource
) -> None:
    wallet = await wallet_of(histories.journal, ada)
    assert await everything(await histories.of(source), ada, TransactionFilter(wallet=wallet), source=source) == []


async def test_a_cursor_that_is_none_is_refused(histories: Histories, ada: Principal, source: HistorySource) -> None:
    await wallet_of(histories.journal, ada, holding="1.00")
    reading = await histories.of(source)
    with pytest.raises(paging.InvalidCursor):
        await reading.transactions.page(principal=ada, wanted=TransactionFilter(), cursor=paging.encode("x"))


async def test_both_answer_the_same_questions_with_the_same_pages(
    histories: Histories, ada: Principal, bob: Principal
) -> None:
    """Months of deposits, then transfers both ways in two assets; all filters, all page sizes, either one's cursors."""
    posting, chance = histories.journal, random.Random(5)
    now = datetime.now(UTC)
    mine = await grown_old(histories, ada, [now - timedelta(days=days) for days in (400, 399, 190, 31, 30, 2, 1)])
    other = await grown_old(histories, ada, [now - timedelta(days=days, seconds=1) for days in (365, 31, 30, 1)])
    yours = await wallet_of(posting, bob, holding="500.00")
    for number in range(40):
        source, target = chance.sample((mine, other, yours), 2)
        order = Order(
            kind="transfer",
            source=source,
            target=target,
            money=Money(chance.choice(("0.01", "0.50")), "USD"),
            reference=chance.choice(("", "a", "b")),
        )
        whose = bob if source == yours else ada
        await posting.movements.move(principal=whose, order=order, key=f"k{number}")
    await move(posting, ada, "deposit", target=mine, amount="2", asset="ETH")
    await histories.keeping.rebuild(progress=lambda *_: None)
    await histories.catch_up()
    for wanted in _questions(mine, other, now):
        expected = await everything(posting, ada, wanted, source="postgresql")
        for limit in (1, 3, 7, 100):
            assert await everything(histories.copied, ada, wanted, limit=limit, source="cql") == expected, wanted
        assert await _by_turns(histories, ada, wanted) == expected, wanted


def _questions(mine: str, other: str, now: datetime) -> list[TransactionFilter]:
    month, year = now - timedelta(days=30), now - timedelta(days=365)
    return [
        TransactionFilter(),
        TransactionFilter(wallet=mine),
        TransactionFilter(wallet=other, asset="USD"),
        TransactionFilter(asset="ETH"),
        TransactionFilter(direction="in"),
        TransactionFilter(direction="out", reference="a"),
        TransactionFilter(kind="deposit", wallet=mine),
        TransactionFilter(asset="USD", amount_min="0.02", amount_max="0.99"),
        TransactionFilter(reference="nowhere"),
        TransactionFilter(since=month),
        TransactionFilter(until=month),
        TransactionFilter(since=year, until=month, kind="deposit"),
        TransactionFilter(until=now - timedelta(days=500)),
    ]


async def _by_turns(histories: Histories, principal: Principal, wanted: TransactionFilter) -> list[Transaction]:
    """All pages of a list, in turn from the journal and from the copy, each going on where the other one was."""
    found: list[Transaction] = []
    cursor = None
    for reading in itertools.cycle((histories.journal, histories.copied)):
        page = await reading.transactions.page(principal=principal, wanted=wanted, cursor=cursor, limit=4)
        assert page.source == ("cql" if reading is histories.copied else "postgresql")
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    return found
