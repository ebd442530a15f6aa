"""Opening, freezing, closing and floors, while others post."""

import asyncio
from uuid import UUID

import pytest

from billfold.kernel import ids
from billfold.kernel.assets import Asset
from billfold.kernel.errors import BillfoldError
from billfold.ledger import errors
from billfold.ledger.contracts import AccountStatus, NewAccount
from tests.integration.ledger.support import Bank, eventually, key, names, new


async def test_opening_an_account_again_leaves_it_as_it_is(bank: Bank) -> None:
    a = await bank.account(100, floor=-50)
    await bank.ledger.open_accounts(accounts=[NewAccount(id=a, asset="EUR", floor=0)])
    (account,) = await bank.ledger.accounts(ids=[a])
    assert (account.asset, account.floor, account.posted) == ("USD", -50, 100)


async def test_an_account_in_no_asset_is_not_opened(bank: Bank) -> None:
    made = ids.new()
    with pytest.raises(errors.AssetUnknown):
        await bank.ledger.open_accounts(accounts=[NewAccount(id=made, asset="NONE")])
    assert await bank.ledger.accounts(ids=[made]) == []


async def test_an_asset_can_be_added_twice_and_not_changed(bank: Bank) -> None:
    token = Asset(code="TOK", scale=6, kind="token", name="Token", chain="ethereum", contract="0x1")
    for _ in range(2):
        await bank.ledger.add_asset(asset=token)
    with pytest.raises(errors.AssetExists):
        await bank.ledger.add_asset(asset=Asset(code="TOK", scale=7, kind="token", name="Token"))
    assert (await bank.ledger.assets())["TOK"] == token
    outside = await bank.ledger.external_account(asset="TOK")
    (account,) = await bank.ledger.accounts(ids=[outside])
    assert (account.kind, account.floor, account.asset) == ("external", None, "TOK")


async def test_processes_that_add_an_asset_at_once_add_one(bank: Bank, other_bank: Bank) -> None:
    token = Asset(code="ONCE", scale=6, kind="native", name="Once")
    both = (bank, other_bank)
    await asyncio.gather(*[process.ledger.add_asset(asset=token) for process in both * 2])
    outside = [await process.ledger.external_account(asset="ONCE") for process in both]
    assert outside[0] == outside[1]
    assert await bank.count("SELECT count(*) FROM ledger.accounts WHERE asset = 'ONCE'") == 1


@pytest.mark.parametrize(("status", "error"), [("frozen", errors.AccountFrozen), ("closed", errors.AccountClosed)])
async def test_nothing_enters_or_leaves_an_account_that_is_not_open(
    bank: Bank, status: AccountStatus, error: type[BillfoldError]
) -> None:
    a, b = await bank.accounts(2)
    await bank.ledger.set_status(account_ids=[a], status=status)
    for debit, credit in ((a, b), (bank.outside, a)):
        with pytest.raises(error):
            await bank.pay(debit, credit, 1)
    with pytest.raises(error):
        await bank.hold(a, 1)


async def test_what_was_frozen_can_be_opened_again(bank: Bank) -> None:
    a = await bank.account(100)
    await bank.ledger.set_status(account_ids=[a], status="frozen")
    await bank.ledger.set_status(account_ids=[a], status="open")
    await bank.pay(a, bank.outside, 100)


async def test_an_account_with_money_or_holds_can_not_be_closed(bank: Bank) -> None:
    a, b = await bank.account(100), await bank.account(floor=-10)
    hold = await bank.hold(b, 10)
    for account in (a, b):
        with pytest.raises(errors.AccountNotEmpty):
            await bank.ledger.set_status(account_ids=[account], status="closed")
    await bank.pay(a, bank.outside, 100)
    await bank.ledger.release_hold(key=key(), hold_id=hold)
    await bank.ledger.set_status(account_ids=[a, b], status="closed")


async def test_what_is_closed_stays_closed(bank: Bank) -> None:
    a = await bank.account()
    await bank.ledger.set_status(account_ids=[a], status="closed")
    await bank.ledger.set_status(account_ids=[a], status="closed")
    statuses: list[AccountStatus] = ["open", "frozen"]
    for status in statuses:
        with pytest.raises(errors.AccountClosed):
            await bank.ledger.set_status(account_ids=[a], status=status)


async def test_an_unknown_account_among_several_changes_none(bank: Bank) -> None:
    a = await bank.account()
    with pytest.raises(errors.AccountUnknown):
        await bank.ledger.set_status(account_ids=[a, ids.new()], status="frozen")
    (account,) = await bank.ledger.accounts(ids=[a])
    assert account.status == "open"
    with pytest.raises(errors.AccountUnknown):
        await bank.ledger.set_floor(account_id=ids.new(), floor=0)


async def test_a_floor_is_a_credit_limit_and_is_never_set_above_what_is_available(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    await bank.ledger.set_floor(account_id=a, floor=-50)
    await bank.pay(a, b, 130)
    await bank.hold(a, 20)
    with pytest.raises(errors.InsufficientFunds):
        await bank.pay(a, b, 1)
    for floor in (-49, 0, 1):
        with pytest.raises(errors.InsufficientFunds):
            await bank.ledger.set_floor(account_id=a, floor=floor)
    await bank.ledger.set_floor(account_id=a, floor=None)
    await bank.pay(a, b, 1_000)


async def test_once_a_freeze_is_answered_nothing_more_is_posted_by_any_process(bank: Bank, other_bank: Bank) -> None:
    a, b = await bank.accounts(2, 10_000)
    posted = 0
    over = False

    async def post(process: Bank) -> None:
        nonlocal posted
        while not over:
            posting = await process.post(new(a, b, 1), new(b, a, 1))
            posted += names(posting.results) == ["Transfer", "Transfer"]

    async def enough() -> bool:
        return posted >= 50

    async with asyncio.TaskGroup() as group:
        for process in (bank, other_bank) * 4:
            group.create_task(post(process))
        await eventually(enough)
        await bank.ledger.set_status(account_ids=[a], status="frozen")
        (at_freeze,) = await bank.ledger.accounts(ids=[a])
        for _ in range(20):
            with pytest.raises(errors.AccountFrozen):
                await other_bank.pay(b, a, 1)
        over = True
    (at_end,) = await bank.ledger.accounts(ids=[a])
    assert at_end == at_freeze
    assert at_end.version == 2 * posted + 1


async def test_closing_while_others_deposit_either_closes_an_empty_account_or_not_at_all(
    bank: Bank, other_bank: Bank
) -> None:
    for _ in range(15):
        a = await bank.account()
        outcomes = await asyncio.gather(
            bank.ledger.set_status(account_ids=[a], status="closed"),
            other_bank.pay(bank.outside, a, 5),
            bank.pay(bank.outside, a, 5),
            return_exceptions=True,
        )
        (account,) = await bank.ledger.accounts(ids=[a])
        if account.status == "closed":
            assert outcomes[0] is None
            assert account.posted == 0
            assert all(isinstance(outcome, errors.AccountClosed) for outcome in outcomes[1:])
        else:
            assert isinstance(outcomes[0], errors.AccountNotEmpty)
            assert account.posted == 10


async def test_a_change_in_a_transaction_of_the_caller_is_undone_with_it(bank: Bank) -> None:
    a = await bank.account()
    with pytest.raises(ZeroDivisionError):
        async with bank.database.transaction() as transaction:
            await bank.ledger.set_status(account_ids=[a], status="frozen", transaction=transaction)
            await bank.ledger.set_floor(account_id=a, floor=-5, transaction=transaction)
            made = ids.new()
            await bank.ledger.open_accounts(accounts=[NewAccount(id=made, asset="USD")], transaction=transaction)
            assert len(await bank.ledger.accounts(ids=[made], transaction=transaction)) == 1
            raise ZeroDivisionError
    (account,) = await bank.ledger.accounts(ids=[a])
    assert (account.status, account.floor) == ("open", 0)
    assert await bank.ledger.accounts(ids=[made]) == []


async def test_whatever_a_balance_shows_is_counted_when_it_changes(bank: Bank) -> None:
    a, b = await bank.accounts(2)
    seen = [await changes(bank, a)]
    await bank.pay(bank.outside, a, 100)
    seen.append(await changes(bank, a))
    hold = await bank.hold(a, 30)
    seen.append(await changes(bank, a))
    await bank.ledger.settle_hold(key=key(), hold_id=hold, credit_account=b, amount=10, release_rest=False)
    seen.append(await changes(bank, a))
    await bank.ledger.release_hold(key=key(), hold_id=hold)
    seen.append(await changes(bank, a))
    await bank.ledger.set_floor(account_id=a, floor=-5)
    seen.append(await changes(bank, a))
    assert seen == [0, 1, 2, 3, 4, 5]
    # What was refused, and what a balance does not show, is no change of it.
    with pytest.raises(errors.InsufficientFunds):
        await bank.pay(a, b, 1_000)
    await bank.ledger.set_status(account_ids=[a], status="frozen")
    assert await changes(bank, a) == 5
    assert await changes(bank, b) == 1


async def test_changes_at_once_are_all_counted(bank: Bank, other_bank: Bank) -> None:
    a, b = await bank.accounts(2, 1_000)
    before = await changes(bank, a)
    for _ in range(10):
        await asyncio.gather(bank.pay(a, b, 1), other_bank.hold(a, 1), other_bank.pay(b, a, 1))
    (account,) = await bank.ledger.accounts(ids=[a])
    assert (account.held, account.version) == (10, 21)
    # Those that were posted together count together.
    assert 20 <= account.changes - before <= 30


async def changes(bank: Bank, account_id: UUID) -> int:
    (account,) = await bank.ledger.accounts(ids=[account_id])
    return account.changes
