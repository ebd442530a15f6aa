"""What chains hold, what the ledger owes, and what is on its way: three ways, and nothing left that nobody explains."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from billfold.custody import errors
from billfold.custody.service.reconciling import observing
from billfold.custody.store import crediting as store
from billfold.platform.postgres.database import DatabaseUnavailable
from tests.integration.reconciling.support import HOT, TOKEN_ASSET, Desk

one_chain = pytest.mark.parametrize("chain_name", ["ethereum"], indirect=True)
coins = pytest.mark.parametrize("chain_name", ["bitcoin"], indirect=True)


async def test_each_moment_of_a_deposit_and_a_withdrawal_is_explained(desk: Desk) -> None:
    assert await desk.names() == {}
    wallet, address = await desk.wallet()
    desk.chain.fund(address, 9_000)
    await desk.read()
    assert list(await desk.names()) == ["deposits_unconfirmed"]
    desk.chain.mine(3)
    await desk.read()
    assert await desk.names() == {}
    seen: set[str] = set()
    asked = await desk.withdraw(wallet, 5_000)
    for _ in range(12):
        await desk.work()
        seen |= (await desk.names()).keys()
        if (await desk.look(asked)).status == "settled":
            break
        desk.chain.mine()
        await desk.read()
        seen |= (await desk.names()).keys()
    assert {"withdrawals_not_mined", "withdrawals_not_settled"} <= seen
    # A sweep has cost the house its fee before the ledger knew.
    assert ("network_fees_not_settled" in seen) == (desk.chain.model != "coins")


@one_chain
async def test_small_and_vanished_deposits_are_explained(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    _, address = await desk.wallet()
    desk.chain.fund(address, 99)
    desk.chain.mine(3)
    await desk.read()
    assert list(await desk.names()) == ["deposits_below_minimum"]
    await desk.paid(700)
    await desk.names()

    async def dies(*_: Any, **__: Any) -> Any:
        raise DatabaseUnavailable

    desk.chain.forget(4)
    with monkeypatch.context() as patched:
        patched.setattr(store, "start_reverting", dies)
        with pytest.raises(DatabaseUnavailable):
            await desk.read()
        assert (await desk.names()).keys() == {"deposits_below_minimum", "deposits_to_be_taken_back"}
    await desk.read()
    assert (await desk.names()).keys() == {"deposits_below_minimum"}


@one_chain
async def test_a_token_is_compared_by_itself(desk: Desk) -> None:
    desk.chain.fund(HOT, 10_000)
    await desk.paid(700, asset=TOKEN_ASSET)
    assert (await desk.reconciled(TOKEN_ASSET)).places == {"deposit": "7.00"}
    for _ in range(6):
        await desk.work()
        desk.chain.mine()
        await desk.read()
        found = (await desk.custody.reconciling.run(chain="ethereum")).items
        assert {one.outcome for one in found} == {"clean"}
    assert (await desk.reconciled(TOKEN_ASSET)).places == {"hot": "7.00"}
    desk.chain.steal(HOT, 100, token="token-1")
    await desk.read()
    report = await desk.reconciled(TOKEN_ASSET)
    assert (report.outcome, report.difference) == ("break", "-1.00")
    assert (await desk.reconciled("ETH")).outcome == "clean"


@one_chain
async def test_money_that_the_ledger_alone_has_is_a_break_that_stops_withdrawals_until_it_is_gone(desk: Desk) -> None:
    wallet, _ = await desk.paid(9_000)
    waiting = await desk.withdraw(wallet, 1_000, "sim-first")
    await desk.invent(7)
    report = await desk.reconciled()
    assert (report.outcome, report.stopped, int(report.difference.replace(".", ""))) == ("break", True, -7)
    with pytest.raises(errors.WithdrawalsStopped):
        await desk.withdraw(wallet, 1_000)
    await desk.work()
    assert (await desk.look(waiting)).reason == "withdrawals_stopped"
    # Deposits go on.
    other, _ = await desk.paid(500)
    assert (await desk.ledger.accounts(ids=[other]))[0].posted == 500
    assert (await desk.reconciled()).outcome == "break"
    await desk.invent(-7)
    await desk.names()
    assert await desk.told() == [("break_found", True), ("reconciled", False)]
    for _ in range(8):
        await desk.work()
        desk.chain.mine()
        await desk.read()
    assert desk.chain.received("sim-first") == [1_000]


@one_chain
async def test_what_was_booked_from_outside_is_owed_and_on_no_chain(desk: Desk) -> None:
    wallet, _ = await desk.paid(9_000)
    await desk.book_from_outside(wallet, 70)
    report = await desk.reconciled()
    assert (report.outcome, report.stopped, int(report.difference.replace(".", ""))) == ("break", True, -70)
    assert int(report.ledger_owes.replace(".", "")) == 9_070
    await desk.book_from_outside(wallet, -70)
    assert (await desk.reconciled()).outcome == "clean"


@one_chain
async def test_what_is_signed_goes_its_way_through_a_stop(desk: Desk) -> None:
    wallet, _ = await desk.paid(9_000)
    for _ in range(4):
        await desk.work()
        desk.chain.mine()
        await desk.read()
    asked = await desk.withdraw(wallet, 1_000)
    await desk.work()
    assert (await desk.look(asked)).status == "sent"
    desk.chain.steal(HOT, 5)
    await desk.read()
    assert (await desk.reconciled()).stopped
    for _ in range(4):
        desk.chain.mine()
        await desk.read()
        await desk.work()
    assert (await desk.look(asked)).status == "settled"


@pytest.mark.parametrize("chain_name", ["bitcoin", "ethereum"], indirect=True)
async def test_stolen_money_is_a_break_and_an_operator_lets_the_rest_go_until_more_is_missing(desk: Desk) -> None:
    await desk.paid(9_000)
    _, address = await desk.paid(600)
    desk.chain.steal(address, 600)
    await desk.read()
    report = await desk.reconciled()
    assert (report.outcome, report.stopped, int(report.difference.replace(".", ""))) == ("break", True, -600)
    resume = partial(desk.custody.reconciling.resume, asset=desk.chain.coin, reason="ticket 7")
    with pytest.raises(errors.DifferenceChanged, match=report.difference):
        await resume(difference=report.difference.replace("6", "5"))
    resumed = await resume(difference=report.difference)
    assert resumed.difference == report.difference
    assert (await desk.reconciled()).stopped is False
    with pytest.raises(errors.WithdrawalsNotStopped):
        await resume(difference=report.difference)
    await desk.invent(1)
    assert (await desk.reconciled()).stopped is True
    assert [kind for kind, _ in await desk.told()] == ["break_found", "withdrawals_resumed", "break_found"]


@coins
async def test_a_coin_that_the_chain_does_not_have_is_missing_until_it_is_there(desk: Desk) -> None:
    await desk.paid(9_000)
    (coin,) = desk.chain.coins()[0]
    desk.chain.lost.add(coin)
    report = await desk.reconciled()
    assert (report.outcome, [one.ids for one in report.explained]) == ("break", [[":".join(coin)]])
    desk.chain.lost.clear()
    assert await desk.names() == {}


@one_chain
async def test_a_process_that_dies_between_the_ledger_and_its_row_leaves_no_break(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, address = await desk.wallet()
    desk.chain.fund(address, 9_000)
    desk.chain.mine(2)
    with monkeypatch.context() as patched:

        async def dies(*_: Any, **__: Any) -> Any:
            raise DatabaseUnavailable

        # Before the ledger is asked, and after it has answered.
        patched.setattr(desk.ledger, "post_many", dies)
        with pytest.raises(DatabaseUnavailable):
            await desk.read()
        patched.undo()
        assert list(await desk.names()) == ["deposits_being_credited"]
        patched.setattr(store, "credited", dies)
        with pytest.raises(DatabaseUnavailable):
            await desk.read()
        assert await desk.names() == {}
    await desk.read()
    assert await desk.names() == {}


@one_chain
async def test_a_settlement_that_is_half_done_is_no_break(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    wallet, _ = await desk.paid(9_000)
    for _ in range(4):
        await desk.work()
        desk.chain.mine()
        await desk.read()
    asked = await desk.withdraw(wallet, 1_000)
    settle = desk.ledger.settle_hold

    async def dies(**named: Any) -> Any:
        await settle(**named)
        raise DatabaseUnavailable

    monkeypatch.setattr(desk.ledger, "settle_hold", dies)
    for _ in range(6):
        await desk.work()
        desk.chain.mine()
        await desk.read()
        await desk.names()
    async with desk.database.connection() as connection:
        assert await connection.fetchval("SELECT state FROM custody.withdrawals WHERE id = $1", asked.id) == "settling"


@one_chain
async def test_a_run_that_dies_goes_on_where_it_was_and_asks_only_for_what_has_moved(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        _, address = await desk.wallet()
        desk.chain.fund(address, 300)
    desk.chain.mine(3)
    await desk.read()
    monkeypatch.setattr(observing, "ASKED_MAX", 3)
    report = await desk.reconciled()
    assert (report.outcome, report.reason) == ("unsettled", "much_has_moved")
    assert await desk.told() == []
    for _ in range(4):
        report = await desk.reconciled()
        if report.outcome == "clean":
            break
    assert report.outcome == "clean"
    before = desk.chain.asked
    await desk.custody.reconciling.run_after(chain="ethereum", last=None)
    # The house's address for both assets, and none of the six.
    assert desk.chain.asked - before == 2
    first = await desk.custody.reconciling.run(chain="ethereum")
    rest = await desk.custody.reconciling.run(chain="ethereum", since=first.since)
    assert (first.remaining, rest.remaining) == (3, 0)


@one_chain
async def test_a_silent_node_and_a_chain_that_is_not_read_decide_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.paid(9_000)
    await desk.invent(7)
    desk.chain.is_down = True
    assert (await desk.reconciled()).reason == "node_unavailable"
    desk.chain.is_down = False
    monkeypatch.setattr(observing, "READ_WITHIN_S", 0.2)
    desk.chain.mine()
    assert (await desk.reconciled()).reason == "chain_behind"
    assert await desk.told() == []
    async with desk.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM custody.standings") == 0


@one_chain
async def test_two_at_once_find_the_same_and_reports_are_kept(desk: Desk) -> None:
    await desk.paid(9_000)
    both = await asyncio.gather(*(desk.reconciled() for _ in range(2)))
    assert {one.outcome for one in both} == {"clean"}
    page = await desk.custody.reconciling.page(asset="ETH")
    assert {one.id for one in page.items} == {one.id for one in both}
