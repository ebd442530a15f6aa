"""Balances in time, transactions, sums and statements."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from billfold.kernel import clock, ids, paging
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.contracts import NewHold, Order, Transaction, TransactionFilter
from tests.integration.wallets.support import move, wallet_of


async def lines(wallets: Wallets, principal: Principal, wallet: str, **given: datetime | str) -> list[Transaction]:
    _, blocks = await wallets.transactions.statement(
        principal=principal,
        wallet_id=ids.parse(wallet),
        **given,  # type: ignore[arg-type]
    )
    return [line async for block in blocks for line in block]


async def test_a_balance_of_an_asset_never_held_is_zero_and_of_no_asset_is_none(
    wallets: Wallets, ada: Principal
) -> None:
    wallet_id = ids.parse(await wallet_of(wallets, ada))
    assert await wallets.balances.now(principal=ada, wallet_id=wallet_id) == []
    (nothing,) = await wallets.balances.now(principal=ada, wallet_id=wallet_id, asset="BTC")
    assert (nothing.posted, nothing.held, nothing.available) == ("0.00000000",) * 3
    (then,) = await wallets.balances.at(
        principal=ada, wallet_id=wallet_id, at=datetime(2020, 1, 1, tzinfo=UTC), basis="recorded", asset="BTC"
    )
    assert then.posted == "0.00000000"
    with pytest.raises(ledger_errors.AssetUnknown):
        await wallets.balances.now(principal=ada, wallet_id=wallet_id, asset="XXX")


async def test_a_balance_at_an_instant_is_as_recorded_or_as_effective(wallets: Wallets, ada: Principal) -> None:
    wallet = await wallet_of(wallets, ada)
    wallet_id = ids.parse(wallet)
    first = await move(wallets, ada, "deposit", target=wallet, amount="1.00", effective_at="2026-01-10")
    await move(wallets, ada, "deposit", target=wallet, amount="2.00")
    between = first.transfer.recorded_at
    january = datetime(2026, 1, 15, tzinfo=UTC)

    async def posted(at: datetime, basis: str) -> str:
        (found,) = await wallets.balances.at(principal=ada, wallet_id=wallet_id, at=at, basis=basis)  # type: ignore[arg-type]
        return found.posted

    assert await posted(january, "recorded") == "0.00"
    assert await posted(january, "effective") == "1.00"
    assert await posted(between, "recorded") == "1.00"
    with pytest.raises(ledger_errors.InstantInFuture):
        await posted(datetime.now(UTC) + timedelta(hours=1), "recorded")


async def test_a_chart_ends_with_what_is_there_now(wallets: Wallets, ada: Principal) -> None:
    wallet = await wallet_of(wallets, ada)
    wallet_id = ids.parse(wallet)
    for day, amount in ((1, "1.00"), (3, "2.00")):
        await move(wallets, ada, "deposit", target=wallet, amount=amount, effective_at=f"2026-01-0{day}T12:00:00Z")
    chart = await wallets.balances.chart(
        principal=ada,
        wallet_id=wallet_id,
        since=clock.parse("2026-01-01"),
        until=clock.parse("2026-01-05"),
        step="1d",
    )
    assert (chart.asset, chart.basis) == ("USD", "effective")
    assert [point.posted for point in chart.points] == ["0.00", "1.00", "1.00", "3.00", "3.00"]
    recorded = await wallets.balances.chart(
        principal=ada,
        wallet_id=wallet_id,
        since=clock.parse("2026-01-01"),
        until=clock.parse("2026-01-05"),
        basis="recorded",
    )
    assert {point.posted for point in recorded.points} == {"0.00"}
    open_end = await wallets.balances.chart(principal=ada, wallet_id=wallet_id, basis="recorded")
    assert open_end.points[-1].posted == "3.00"
    assert len(open_end.points) == 32


async def test_a_chart_is_bounded_and_its_mistakes_are_named(wallets: Wallets, ada: Principal) -> None:
    wallet = await wallet_of(wallets, ada, holding="1.00")
    chart = wallets.balances.chart
    wallet_id = ids.parse(wallet)
    long_ago, yesterday = datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC) - timedelta(days=1)
    with pytest.raises(ledger_errors.TooManyPoints):
        await chart(principal=ada, wallet_id=wallet_id, since=long_ago, until=yesterday, step="1s")
    with pytest.raises(errors.StepWrong):
        await chart(principal=ada, wallet_id=wallet_id, step="fortnight")
    with pytest.raises(errors.PeriodWrong):
        await chart(principal=ada, wallet_id=wallet_id, since=yesterday, until=long_ago)
    with pytest.raises(ledger_errors.InstantInFuture):
        await chart(principal=ada, wallet_id=wallet_id, until=datetime.now(UTC) + timedelta(days=1))
    await move(wallets, ada, "deposit", target=wallet, asset="EUR")
    with pytest.raises(errors.AssetNeeded) as found:
        await chart(principal=ada, wallet_id=wallet_id)
    assert "EUR, USD" in found.value.detail


async def test_pages_of_transactions_are_stable_while_others_are_posted(wallets: Wallets, ada: Principal) -> None:
    mine, other = await wallet_of(wallets, ada, holding="50.00"), await wallet_of(wallets, ada)
    orders = [Order(source=mine, target=other, money=Money("1.00", "USD"), reference=f"n-{n}") for n in range(10)]
    await wallets.bulk.move(principal=ada, orders=orders, atomic=False, key="b")
    # Both wallets are mine: each transfer is there twice, once for each side, and no page may split or lose them.
    seen: list[tuple[str, str]] = []
    cursor = None
    while True:
        page = await wallets.transactions.page(principal=ada, wanted=TransactionFilter(), cursor=cursor, limit=3)
        seen += [(item.reference, item.direction) for item in page.items]
        await move(wallets, ada, source=mine, target=other, amount="0.01")
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen[-1] == ("", "in")
    assert len(seen) == len(set(seen)) == 21
    assert {reference for reference, _ in seen[:-1]} == {f"n-{n}" for n in range(10)}
    with pytest.raises(paging.InvalidCursor):
        await wallets.transactions.page(principal=ada, wanted=TransactionFilter(), cursor=paging.encode("x"))
    with pytest.raises(paging.InvalidLimit):
        await wallets.transactions.page(principal=ada, wanted=TransactionFilter(), limit=101)


async def test_filters_narrow_and_the_summary_counts_the_same(wallets: Wallets, ada: Principal, bob: Principal) -> None:
    mine, yours = await wallet_of(wallets, ada, holding="10.00"), await wallet_of(wallets, bob, holding="10.00")
    await move(wallets, ada, source=mine, target=yours, amount="3.00")
    await move(wallets, bob, source=yours, target=mine, amount="1.50")
    await move(wallets, ada, "withdrawal", source=mine, amount="0.50")
    await move(wallets, ada, "deposit", target=mine, amount="2", asset="ETH")
    await wallets.movements.move(
        principal=ada,
        order=Order(source=mine, target=yours, money=Money("0.25", "USD"), reference="invoice 7"),
        key="k",
    )

    async def amounts(wanted: TransactionFilter) -> list[str]:
        page = await wallets.transactions.page(principal=ada, wanted=wanted)
        sums = await wallets.transactions.summary(principal=ada, wanted=wanted)
        assert sum(one.count for one in sums) == len(page.items)
        return [item.money.amount for item in page.items if item.money.asset == "USD"]

    assert await amounts(TransactionFilter()) == ["0.25", "0.50", "1.50", "3.00", "10.00"]
    assert await amounts(TransactionFilter(direction="in")) == ["1.50", "10.00"]
    assert await amounts(TransactionFilter(kind="withdrawal")) == ["0.50"]
    assert await amounts(TransactionFilter(reference="invoice 7")) == ["0.25"]
    assert await amounts(TransactionFilter(asset="USD", amount_min="0.50", amount_max="3.00")) == [
        "0.50",
        "1.50",
        "3.00",
    ]
    assert await amounts(TransactionFilter(wallet=mine, asset="ETH")) == []
    (third,) = [
        item.recorded_at
        for item in (await wallets.transactions.page(principal=ada, wanted=TransactionFilter())).items
        if item.money.amount == "1.50"
    ]
    assert await amounts(TransactionFilter(asset="USD", since=third)) == ["0.25", "0.50", "1.50"]
    assert await amounts(TransactionFilter(asset="USD", until=third)) == ["3.00", "10.00"]
    eth, usd = await wallets.transactions.summary(principal=ada, wanted=TransactionFilter(wallet=mine))
    assert (eth.asset, eth.count, eth.received) == ("ETH", 1, "2.000000000000000000")
    assert (usd.received, usd.sent, usd.net) == ("11.50", "3.75", "7.75")
    with pytest.raises(errors.AssetNeeded):
        await amounts(TransactionFilter(amount_min="1"))
    with pytest.raises(errors.WalletUnknown):
        await amounts(TransactionFilter(wallet=yours))


async def test_a_transaction_is_seen_from_ones_own_side(wallets: Wallets, ada: Principal, bob: Principal) -> None:
    mine, other = await wallet_of(wallets, ada, holding="10.00"), await wallet_of(wallets, ada)
    yours = await wallet_of(wallets, bob, holding="5.00")
    paid = (await move(wallets, ada, source=mine, target=yours)).transfer.id
    see = wallets.transactions.transaction
    sent = await see(principal=ada, transaction_id=paid)
    assert (sent.direction, sent.wallet, sent.counterparty, sent.balance) == ("out", mine, yours, "9.00")
    received = await see(principal=bob, transaction_id=paid)
    assert (received.direction, received.wallet, received.counterparty, received.balance) == (
        "in",
        yours,
        mine,
        "6.00",
    )
    between = (await move(wallets, ada, source=mine, target=other)).transfer.id
    assert (await see(principal=ada, transaction_id=between)).wallet == mine
    assert (await see(principal=ada, transaction_id=between, wallet=other)).wallet == other
    for hidden in (between, ids.new()):
        with pytest.raises(errors.TransactionUnknown):
            await see(principal=bob, transaction_id=hidden)
    with pytest.raises(errors.TransactionUnknown):
        await see(principal=ada, transaction_id=paid, wallet=yours)


async def test_a_statement_adds_up_from_its_opening_balance(wallets: Wallets, ada: Principal) -> None:
    mine, other = await wallet_of(wallets, ada, holding="10.00"), await wallet_of(wallets, ada)
    for amount in ("1.00", "2.00", "3.00"):
        await move(wallets, ada, source=mine, target=other, amount=amount)
    everything = await lines(wallets, ada, mine)
    assert [line.balance for line in everything] == ["10.00", "9.00", "7.00", "4.00"]
    head, blocks = await wallets.transactions.statement(
        principal=ada,
        wallet_id=ids.parse(mine),
        since=everything[1].recorded_at,
        until=everything[3].recorded_at,
    )
    part = [line.balance async for block in blocks for line in block]
    assert (head.opening_balance, part) == ("10.00", ["9.00", "7.00"])
    head, _ = await wallets.transactions.statement(
        principal=ada, wallet_id=ids.parse(mine), since=everything[3].recorded_at + clock.MICROSECOND
    )
    assert head.opening_balance == "4.00"
    with pytest.raises(ledger_errors.InstantInFuture):
        await lines(wallets, ada, mine, until=datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(errors.PeriodWrong):
        await lines(wallets, ada, mine, since=everything[2].recorded_at, until=everything[1].recorded_at)
    empty = await wallet_of(wallets, ada)
    with pytest.raises(errors.AssetNeeded):
        await lines(wallets, ada, empty)
    assert await lines(wallets, ada, empty, asset="EUR") == []


async def test_a_statement_ends_at_the_instant_that_its_head_says(wallets: Wallets, ada: Principal) -> None:
    mine, other = await wallet_of(wallets, ada, holding="10.00"), await wallet_of(wallets, ada)
    await move(wallets, ada, source=mine, target=other, amount="1.00")
    head, blocks = await wallets.transactions.statement(principal=ada, wallet_id=ids.parse(mine))
    await move(wallets, ada, source=mine, target=other, amount="2.00")
    found = [line async for block in blocks for line in block]
    assert [line.balance for line in found] == ["10.00", "9.00"]
    assert found[-1].recorded_at < head.until
    assert await lines(wallets, ada, mine, until=head.until) == found


async def test_whoever_has_too_many_accounts_names_a_wallet(
    wallets: Wallets, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"{contracts.ACCOUNTS_LISTED_MAX:,}" in errors.WalletNeeded().detail
    monkeypatch.setattr(contracts, "ACCOUNTS_LISTED_MAX", 2)
    owned = [await wallet_of(wallets, ada, holding="1.00") for _ in range(3)]
    with pytest.raises(errors.WalletNeeded):
        await wallets.transactions.page(principal=ada, wanted=TransactionFilter())
    with pytest.raises(errors.WalletNeeded):
        await wallets.holds.holds(principal=ada)
    page = await wallets.transactions.page(principal=ada, wanted=TransactionFilter(wallet=owned[0]))
    assert len(page.items) == 1


async def test_an_operator_lists_everybodys_however_many_wallets_there_are(
    wallets: Wallets, ada: Principal, bob: Principal, operator: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contracts, "ACCOUNTS_LISTED_MAX", 2)
    mine = [await wallet_of(wallets, ada, holding="5.00") for _ in range(3)]
    yours = await wallet_of(wallets, bob)
    for wallet in mine:
        await move(wallets, ada, source=wallet, target=yours, amount="2.00")
        await wallets.holds.place(principal=ada, new=NewHold(wallet=wallet, money=Money("1.00", "USD")), key=wallet)

    seen: list[tuple[str, str]] = []
    cursor = None
    while True:
        page = await wallets.transactions.page(principal=operator, wanted=TransactionFilter(), cursor=cursor, limit=2)
        seen += [(item.wallet, item.balance) for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(
        [*((wallet, balance) for wallet in mine for balance in ("5.00", "3.00"))]
        + [(yours, balance) for balance in ("2.00", "4.00", "6.00")]
    )
    (sums,) = await wallets.transactions.summary(principal=operator, wanted=TransactionFilter(asset="USD"))
    assert (sums.count, sums.received, sums.sent) == (9, "21.00", "6.00")
    first = await wallets.holds.holds(principal=operator, status="active", limit=2)
    rest = await wallets.holds.holds(principal=operator, status="active", cursor=first.next_cursor)
    assert [hold.wallet for hold in (*first.items, *rest.items)] == mine[::-1]
    with pytest.raises(ledger_errors.AssetUnknown):
        await wallets.transactions.page(principal=operator, wanted=TransactionFilter(asset="XXX"))
    with pytest.raises(paging.InvalidCursor):
        await wallets.transactions.page(principal=operator, wanted=TransactionFilter(), cursor=paging.encode("x"))


async def test_statements_of_wallets_do_not_mix_under_load(wallets: Wallets, ada: Principal) -> None:
    owned = [await wallet_of(wallets, ada, holding="10.00") for _ in range(4)]
    await asyncio.gather(
        *(move(wallets, ada, source=owned[n % 4], target=owned[(n + 1) % 4], amount="0.01") for n in range(100))
    )
    for wallet in owned:
        found = await lines(wallets, ada, wallet)
        assert len(found) == 51
        assert {line.wallet for line in found} == {wallet}
        running = 0
        for line in found:
            cents = int(line.money.amount.replace(".", ""))
            running += cents if line.direction == "in" else -cents
            assert int(line.balance.replace(".", "")) == running
