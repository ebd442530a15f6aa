"""When a wallet gets an account for an asset that it has never had: when money arrives, and at nothing else."""

from collections.abc import Awaitable
from typing import Any

import msgspec
import pytest

from billfold.kernel import ids
from billfold.kernel.errors import BillfoldError
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import errors as ledger_errors
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets
from billfold.wallets.contracts import ConfirmedTransaction, Moved, NewHold, Order, OrderKind, Settlement, Transfer
from tests.integration.wallets.support import move, wallet_of


def euros(amount: str, source: str | None = None, target: str | None = None, *, key: str | None = None) -> Order:
    kind: OrderKind = "deposit" if source is None else "withdrawal" if target is None else "transfer"
    return Order(kind=kind, source=source, target=target, money=Money(amount, "EUR"), idempotency_key=key)


def codes(results: list[Moved | BillfoldError]) -> list[str]:
    return [result.code if isinstance(result, BillfoldError) else "ok" for result in results]


async def assets(wallets: Wallets, principal: Principal, *named: str) -> list[list[str]]:
    found = [await wallets.registry.wallet(principal=principal, wallet_id=ids.parse(wallet)) for wallet in named]
    return [wallet.assets for wallet in found]


async def refused(attempt: Awaitable[Any]) -> tuple[str, bool]:
    with pytest.raises(BillfoldError) as found:
        await attempt
    return found.value.code, found.value.replayed


@pytest.mark.parametrize("kind", ["withdrawal", "transfer", "hold"])
async def test_money_that_a_wallet_has_never_had_is_refused_and_that_is_kept(
    wallets: Wallets, ada: Principal, bob: Principal, database: Database, kind: str
) -> None:
    mine, yours = await wallet_of(wallets, ada), await wallet_of(wallets, bob)
    before = await accounts(database)

    def attempt() -> Awaitable[Any]:
        if kind == "hold":
            return wallets.holds.place(principal=ada, new=NewHold(wallet=mine, money=Money("1.00", "EUR")), key="k")
        order = euros("1.00", mine, yours if kind == "transfer" else None)
        return wallets.movements.move(principal=ada, order=order, key="k")

    assert await refused(attempt()) == ("insufficient_funds", False)
    assert await accounts(database) == before
    await move(wallets, ada, "deposit", target=mine, asset="EUR", amount="5.00")
    assert await refused(attempt()) == ("insufficient_funds", True)
    assert await assets(wallets, ada, mine) == [["EUR"]]
    assert await assets(wallets, bob, yours) == [[]]


async def test_a_frozen_wallet_says_so_before_it_says_that_it_is_empty(
    wallets: Wallets, ada: Principal, database: Database
) -> None:
    mine, other = await wallet_of(wallets, ada), await wallet_of(wallets, ada)
    await move(wallets, ada, "deposit", target=other, asset="EUR", amount="5.00")
    await wallets.registry.freeze(principal=ada, wallet_id=ids.parse(mine))
    before = await accounts(database)
    for attempt in (
        wallets.movements.move(principal=ada, order=euros("1.00", mine), key="k-1"),
        wallets.movements.move(principal=ada, order=euros("1.00", mine, other), key="k-2"),
        wallets.movements.move(principal=ada, order=euros("1.00", other, mine), key="k-3"),
        wallets.holds.place(principal=ada, new=NewHold(wallet=mine, money=Money("1.00", "EUR")), key="k-4"),
    ):
        assert await refused(attempt) == ("wallet_frozen", False)
    assert await accounts(database) == before


async def test_a_transfer_opens_the_payees_account_only_if_it_is_paid(
    wallets: Wallets, ada: Principal, bob: Principal, database: Database
) -> None:
    mine, yours = await wallet_of(wallets, ada), await wallet_of(wallets, bob)
    await move(wallets, ada, "deposit", target=mine, asset="EUR", amount="5.00")
    before = await accounts(database)
    for amount, effective_at, code in (
        ("5.01", None, "insufficient_funds"),
        ("1.00", "2999-01-01", "effective_in_future"),
        ("1.00", "1899-12-31", "effective_too_early"),
    ):
        order = Order(source=mine, target=yours, money=Money(amount, "EUR"), effective_at=effective_at)
        for replayed in (False, True):
            attempt = wallets.movements.move(principal=ada, order=order, key=f"{amount} {code}".replace(" ", "-"))
            assert await refused(attempt) == (code, replayed)
    await move(wallets, ada, "deposit", target=mine, asset="EUR", amount="5.00")
    again = wallets.movements.move(principal=ada, order=euros("5.01", mine, yours), key="5.01-insufficient_funds")
    assert await refused(again) == ("insufficient_funds", True)
    reused = wallets.movements.move(principal=ada, order=euros("1.00", mine, yours), key="5.01-insufficient_funds")
    assert (await refused(reused))[0] == "idempotency_key_reused"
    assert await accounts(database) == before
    await wallets.movements.move(principal=ada, order=euros("1.00", mine, yours), key="paid")
    assert await assets(wallets, bob, yours) == [["EUR"]]


@pytest.mark.parametrize("keyed", [False, True])
async def test_orders_of_one_request_see_what_those_before_them_brought(
    wallets: Wallets, ada: Principal, bob: Principal, *, keyed: bool
) -> None:
    mine, yours, other = await wallet_of(wallets, ada), await wallet_of(wallets, bob), await wallet_of(wallets, ada)
    wanted = [
        euros("1.00", mine, yours, key="1"),
        euros("5.00", None, mine, key="2"),
        euros("6.00", mine, other, key="3"),
        euros("2.00", mine, yours, key="4"),
        euros("1.00", yours, mine, key="5"),
        euros("1.00", mine, str(ids.new()), key="6"),
        euros("3.00", mine, key="7"),
    ]
    if not keyed:
        wanted = [euros(order.money.amount, order.source, order.target) for order in wanted]
    for _ in range(2):
        results = await wallets.bulk.move(principal=ada, orders=wanted, atomic=False, key="b")
        unknown = "wallet_unknown"
        assert codes(results) == ["insufficient_funds", "ok", "insufficient_funds", "ok", unknown, unknown, "ok"]
    assert await assets(wallets, ada, mine, other) == [["EUR"], []]
    assert await assets(wallets, bob, yours) == [["EUR"]]


async def test_an_atomic_request_that_is_refused_opens_nothing(
    wallets: Wallets, ada: Principal, bob: Principal, database: Database
) -> None:
    mine, yours = await wallet_of(wallets, ada, holding="5.00"), await wallet_of(wallets, bob)
    before = await accounts(database)
    wanted = [
        euros("5.00", None, mine),
        euros("2.00", mine, yours),
        Order(source=mine, target=yours, money=Money("5.01", "USD")),
    ]
    for replayed in (False, True):
        with pytest.raises(ledger_errors.InsufficientFunds) as found:
            await wallets.bulk.move(principal=ada, orders=wanted, atomic=True, key="b")
        assert (found.value.pointer, found.value.replayed) == ("/items/2", replayed)
    assert await accounts(database) == before
    assert codes(await wallets.bulk.move(principal=ada, orders=wanted[:2], atomic=True, key="b-2")) == ["ok", "ok"]
    assert await assets(wallets, bob, yours) == [["EUR"]]


async def test_confirmed_debits_open_nothing_and_credits_do(
    wallets: Wallets, ada: Principal, database: Database
) -> None:
    mine, closed = await wallet_of(wallets, ada), await wallet_of(wallets, ada)
    await wallets.registry.close(principal=ada, wallet_id=ids.parse(closed))
    before = await accounts(database)
    base = ConfirmedTransaction(source="/bank", id="1", wallet=mine, direction="debit", amount="1.00", asset="EUR")
    credit = msgspec.structs.replace(base, id="2", direction="credit")
    late = msgspec.structs.replace(credit, id="3", wallet=closed)
    found = await wallets.apply_confirmed(transactions=[base, late])
    assert [outcome.code for outcome in found if isinstance(outcome, BillfoldError)] == [
        "insufficient_funds",
        "wallet_closed",
    ]
    assert await accounts(database) == before
    (applied,) = await wallets.apply_confirmed(transactions=[credit])
    assert isinstance(applied, Transfer)
    assert await assets(wallets, ada, mine, closed) == [["EUR"], []]


async def test_a_hold_opens_the_payees_account_only_if_it_is_settled(
    wallets: Wallets, ada: Principal, bob: Principal, database: Database
) -> None:
    mine, yours = await wallet_of(wallets, ada, holding="5.00"), await wallet_of(wallets, bob)
    new = NewHold(wallet=mine, money=Money("2.00", "USD"))
    hold_id = (await wallets.holds.place(principal=ada, new=new, key="h")).hold.id
    before = await accounts(database)
    too_much = Settlement(target=yours, money=Money("2.01", "USD"))
    for replayed in (False, True):
        attempt = wallets.holds.settle(principal=ada, hold_id=hold_id, settlement=too_much, key="s-1")
        assert await refused(attempt) == ("settlement_exceeds_hold", replayed)
    assert await accounts(database) == before
    await wallets.holds.settle(principal=ada, hold_id=hold_id, settlement=Settlement(target=yours), key="s-2")
    assert await assets(wallets, bob, yours) == [["USD"]]
    third = await wallet_of(wallets, bob)
    with pytest.raises(ledger_errors.HoldEnded):
        await wallets.holds.settle(principal=ada, hold_id=hold_id, settlement=Settlement(target=third), key="s-3")
    assert await assets(wallets, bob, third) == [[]]


async def test_where_all_accounts_are_known_nothing_is_rehearsed(
    wallets: Wallets, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = await wallet_of(wallets, ada, holding="5.00"), await wallet_of(wallets, ada, holding="5.00")
    for asked in ("rehearse", "answered", "refusal_of_hold", "refusal_of_settlement"):
        monkeypatch.delattr(Ledger, asked)
    order = Order(source=mine, target=other, money=Money("1.00", "USD"))
    await wallets.movements.move(principal=ada, order=order, key="k")
    assert codes(await wallets.bulk.move(principal=ada, orders=[order, order], atomic=True, key="b")) == ["ok", "ok"]
    new = NewHold(wallet=mine, money=Money("2.00", "USD"))
    hold_id = (await wallets.holds.place(principal=ada, new=new, key="h")).hold.id
    await wallets.holds.settle(principal=ada, hold_id=hold_id, settlement=Settlement(target=other), key="s")
    with pytest.raises(AttributeError):
        await move(wallets, ada, "deposit", target=mine, asset="EUR")


async def accounts(database: Database) -> int:
    async with database.connection() as connection:
        count: int = await connection.fetchval(
            "SELECT (SELECT count(*) FROM wallets.accounts) + (SELECT count(*) FROM ledger.accounts)"
        )
    return count
