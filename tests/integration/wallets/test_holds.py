"""Money that is set aside."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from billfold.kernel import clock, ids
from billfold.kernel.money import Money
from billfold.kernel.principal import MissingScope, Principal
from billfold.ledger import errors as ledger_errors
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.contracts import Balance, HoldChange, NewHold, Settlement
from tests.integration.wallets.support import SCOPES, wallet_of


async def place(
    wallets: Wallets, principal: Principal, wallet: str, amount: str = "4.00", key: str = "h"
) -> HoldChange:
    return await wallets.holds.place(
        principal=principal, new=NewHold(wallet=wallet, money=Money(amount, "USD"), reference="booking"), key=key
    )


async def balance(wallets: Wallets, principal: Principal, wallet: str) -> Balance:
    (found,) = await wallets.balances.now(principal=principal, wallet_id=ids.parse(wallet), asset="USD")
    return found


async def test_held_money_stays_and_cannot_be_spent(wallets: Wallets, ada: Principal) -> None:
    mine = await wallet_of(wallets, ada, holding="10.00")
    change = await place(wallets, ada, mine)
    assert (change.hold.wallet, change.hold.money, change.hold.status) == (mine, Money("4.00", "USD"), "active")
    assert (change.hold.settled, change.hold.remaining, change.hold.reference) == ("0.00", "4.00", "booking")
    now = await balance(wallets, ada, mine)
    assert (now.posted, now.held, now.available) == ("10.00", "4.00", "6.00")
    with pytest.raises(ledger_errors.InsufficientFunds):
        await place(wallets, ada, mine, "6.01", key="h-2")


async def test_a_hold_is_settled_in_parts_to_wallets_and_outside(
    wallets: Wallets, ada: Principal, bob: Principal
) -> None:
    mine, yours = await wallet_of(wallets, ada, holding="10.00"), await wallet_of(wallets, bob)
    hold_id = (await place(wallets, ada, mine)).hold.id
    first = await wallets.holds.settle(
        principal=ada, hold_id=hold_id, settlement=Settlement(target=yours, money=Money("1.00", "USD")), key="s-1"
    )
    assert first.transfer is not None
    assert (first.transfer.kind, first.transfer.from_balance, first.transfer.to_balance) == ("settlement", "9.00", None)
    assert (first.hold.status, first.hold.settled, first.hold.remaining) == ("active", "1.00", "3.00")
    last = await wallets.holds.settle(
        principal=ada,
        hold_id=hold_id,
        settlement=Settlement(target="outside", money=Money("2.00", "USD"), release_rest=True),
        key="s-2",
    )
    assert (last.hold.status, last.hold.settled, last.hold.remaining) == ("settled", "3.00", "0.00")
    now = await balance(wallets, ada, mine)
    assert (now.posted, now.held) == ("7.00", "0.00")
    again = await wallets.holds.settle(
        principal=ada, hold_id=hold_id, settlement=Settlement(target=yours, money=Money("1.00", "USD")), key="s-1"
    )
    assert again.replayed
    assert msgspec.json.encode((again.hold, again.transfer)) == msgspec.json.encode((first.hold, first.transfer))
    with pytest.raises(ledger_errors.HoldEnded):
        await wallets.holds.release(principal=ada, hold_id=hold_id, key="r-1")


async def test_a_released_hold_gives_its_money_back_once(wallets: Wallets, ada: Principal) -> None:
    mine = await wallet_of(wallets, ada, holding="10.00")
    hold_id = (await place(wallets, ada, mine)).hold.id
    outcomes = await asyncio.gather(
        *(wallets.holds.release(principal=ada, hold_id=hold_id, key=f"r-{number}") for number in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, HoldChange) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ledger_errors.HoldEnded) for outcome in outcomes) == 4
    assert (await balance(wallets, ada, mine)).available == "10.00"


async def test_a_hold_is_invisible_to_others(wallets: Wallets, ada: Principal, bob: Principal) -> None:
    mine = await wallet_of(wallets, ada, holding="10.00")
    hold_id = (await place(wallets, ada, mine)).hold.id
    with pytest.raises(errors.WalletUnknown):
        await place(wallets, bob, mine)
    for attempt in (
        wallets.holds.hold(principal=bob, hold_id=hold_id),
        wallets.holds.release(principal=bob, hold_id=hold_id, key="r"),
        wallets.holds.settle(principal=bob, hold_id=hold_id, settlement=Settlement(target="outside"), key="s"),
    ):
        with pytest.raises(ledger_errors.HoldUnknown):
            await attempt
    assert (await wallets.holds.holds(principal=bob)).items == []
    with pytest.raises(errors.WalletUnknown):
        await wallets.holds.holds(principal=bob, wallet=mine)


async def test_holds_are_listed_newest_first_by_wallet_and_status(wallets: Wallets, ada: Principal) -> None:
    mine, other = await wallet_of(wallets, ada, holding="10.00"), await wallet_of(wallets, ada, holding="10.00")
    made = [(await place(wallets, ada, mine, "1.00", key=f"h-{n}")).hold.id for n in range(3)]
    elsewhere = (await place(wallets, ada, other, "1.00", key="h-x")).hold.id
    await wallets.holds.release(principal=ada, hold_id=made[0], key="r")
    first = await wallets.holds.holds(principal=ada, wallet=mine, limit=2)
    rest = await wallets.holds.holds(principal=ada, wallet=mine, limit=2, cursor=first.next_cursor)
    assert [hold.id for hold in first.items + rest.items] == made[::-1]
    assert rest.next_cursor is None
    released = await wallets.holds.holds(principal=ada, status="released")
    assert [hold.id for hold in released.items] == made[:1]
    everything = await wallets.holds.holds(principal=ada)
    assert [hold.id for hold in everything.items] == [elsewhere, *made[::-1]]
    assert {hold.wallet for hold in everything.items} == {mine, other}


async def test_what_is_wrong_with_a_hold_is_said(wallets: Wallets, ada: Principal) -> None:
    mine, yesterday = await wallet_of(wallets, ada, holding="10.00"), datetime.now(UTC) - timedelta(days=1)
    money = Money("1.00", "USD")
    past = NewHold(wallet=mine, money=money, expires_at=clock.format(yesterday))
    for new, error in (
        (past, ledger_errors.ExpiryInPast),
        (NewHold(wallet=mine, money=money, expires_at="later"), clock.InvalidInstant),
        (NewHold(wallet="x", money=money), ids.InvalidId),
        (NewHold(wallet=mine, money=Money("1.00", "XXX")), ledger_errors.AssetUnknown),
        (NewHold(wallet=mine, money=Money("0", "USD")), ledger_errors.AmountNotPositive),
    ):
        with pytest.raises(error):
            await wallets.holds.place(principal=ada, new=new, key=str(ids.new()))
    hold_id = (await place(wallets, ada, mine)).hold.id
    for settlement, refusal in (
        (Settlement(target="outside", money=Money("4.01", "USD")), ledger_errors.SettlementExceedsHold),
        (Settlement(target="outside", money=Money("1.00", "EUR")), ledger_errors.AssetMismatch),
        (Settlement(target=str(ids.new())), errors.WalletUnknown),
        (Settlement(target="x"), ids.InvalidId),
        (Settlement(target=mine), errors.SameWallet),
    ):
        with pytest.raises(refusal):
            await wallets.holds.settle(principal=ada, hold_id=hold_id, settlement=settlement, key=str(ids.new()))
    with pytest.raises(MissingScope):
        await place(wallets, msgspec.structs.replace(ada, scopes=SCOPES - {contracts.HOLDS_WRITE}), mine)


async def test_a_hold_is_no_way_around_the_scopes_for_moving_money(wallets: Wallets, ada: Principal) -> None:
    mine, other = await wallet_of(wallets, ada, holding="10.00"), await wallet_of(wallets, ada)
    hold_id = (await place(wallets, ada, mine)).hold.id
    for kind, target in (("transfer", other), ("withdrawal", "outside")):
        lacking = msgspec.structs.replace(ada, scopes=SCOPES - {f"{kind}s:write"})
        with pytest.raises(MissingScope):
            await wallets.holds.settle(
                principal=lacking, hold_id=hold_id, settlement=Settlement(target=target), key="s"
            )
