"""Many orders at once, and confirmed transactions from a queue."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from billfold.kernel import idempotency, ids, money
from billfold.kernel.errors import BillfoldError
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import errors as ledger_errors
from billfold.wallets import Wallets, errors
from billfold.wallets.contracts import ConfirmedTransaction, Moved, Order, Transfer
from tests.integration.wallets.support import wallet_of


def order(source: str, target: str, amount: str = "1.00", *, key: str | None = None, asset: str = "USD") -> Order:
    return Order(source=source, target=target, money=Money(amount, asset), idempotency_key=key)


def codes(results: Sequence[Moved | Transfer | BillfoldError]) -> list[str]:
    return [result.code if isinstance(result, BillfoldError) else "ok" for result in results]


async def posted(wallets: Wallets, principal: Principal, wallet: str) -> str:
    (balance,) = await wallets.balances.now(principal=principal, wallet_id=ids.parse(wallet), asset="USD")
    return balance.posted


async def test_each_item_is_answered_at_its_place_and_a_refusal_fails_no_neighbour(
    wallets: Wallets, ada: Principal, bob: Principal
) -> None:
    mine, yours = await wallet_of(wallets, ada, holding="5.00"), await wallet_of(wallets, bob, holding="5.00")
    orders = [
        order(mine, yours, "2.00"),
        order(mine, yours, "4.00"),
        order(yours, mine),
        order(mine, str(ids.new())),
        Order(kind="deposit", target=mine, money=Money("1.00", "USD")),
        Order(kind="withdrawal", source=mine, money=Money("4.00", "USD")),
    ]
    results = await wallets.bulk.move(principal=ada, orders=orders, atomic=False, key="b-1")
    assert codes(results) == ["ok", "insufficient_funds", "wallet_unknown", "wallet_unknown", "ok", "ok"]
    assert await posted(wallets, ada, mine) == "0.00"
    assert await posted(wallets, bob, yours) == "7.00"
    balances = [(r.transfer.from_balance, r.transfer.to_balance) for r in results if isinstance(r, Moved)]
    assert balances == [("3.00", None), (None, "4.00"), ("0.00", None)]


async def test_a_repeated_bulk_request_gets_the_same_answers_refusals_included(
    wallets: Wallets, ada: Principal
) -> None:
    mine, other = await wallet_of(wallets, ada, holding="5.00"), await wallet_of(wallets, ada)
    orders = [order(mine, other, "4.00"), order(mine, other, "2.00"), order(mine, str(ids.new()))]
    first = await wallets.bulk.move(principal=ada, orders=orders, atomic=False, key="b-1")
    await wallets.bulk.move(principal=ada, orders=[order(other, mine, "4.00")], atomic=False, key="b-2")
    again = await wallets.bulk.move(principal=ada, orders=orders, atomic=False, key="b-1")
    assert codes(again) == codes(first) == ["ok", "insufficient_funds", "wallet_unknown"]
    assert isinstance(first[0], Moved)
    assert isinstance(again[0], Moved)
    assert (first[0].replayed, again[0].replayed) == (False, True)
    assert msgspec.json.encode(first[0].transfer) == msgspec.json.encode(again[0].transfer)
    assert await posted(wallets, ada, mine) == "5.00"
    with pytest.raises(idempotency.IdempotencyKeyReused):
        await wallets.bulk.move(principal=ada, orders=orders[:2], atomic=False, key="b-1")
    with pytest.raises(idempotency.IdempotencyKeyReused):
        await wallets.bulk.move(principal=ada, orders=orders, atomic=True, key="b-1")


async def test_an_atomic_request_posts_all_or_nothing(wallets: Wallets, ada: Principal) -> None:
    mine, other = await wallet_of(wallets, ada, holding="5.00"), await wallet_of(wallets, ada)
    orders = [order(mine, other, "4.00"), order(mine, other, "2.00"), order(other, mine)]
    for replayed in (False, True):
        with pytest.raises(ledger_errors.InsufficientFunds) as found:
            await wallets.bulk.move(principal=ada, orders=orders, atomic=True, key="b-1")
        assert (found.value.pointer, found.value.replayed) == ("/items/1", replayed)
    assert await posted(wallets, ada, mine) == "5.00"
    done = await wallets.bulk.move(
        principal=ada, orders=[order(mine, other, "4.00"), order(other, mine, "2.00")], atomic=True, key="b-2"
    )
    assert codes(done) == ["ok", "ok"]
    assert await posted(wallets, ada, mine) == "3.00"


async def test_one_malformed_item_refuses_a_request_with_one_key_and_says_which(
    wallets: Wallets, ada: Principal
) -> None:
    mine, other = await wallet_of(wallets, ada, holding="5.00"), await wallet_of(wallets, ada)
    with pytest.raises(money.AmountTooPrecise) as found:
        await wallets.bulk.move(
            principal=ada, orders=[order(mine, other), order(mine, other, "1.001")], atomic=False, key="b-1"
        )
    assert found.value.pointer == "/items/1/money/amount"
    assert await posted(wallets, ada, mine) == "5.00"


async def test_items_with_keys_of_their_own_are_separate_requests(wallets: Wallets, ada: Principal) -> None:
    mine, other = await wallet_of(wallets, ada, holding="5.00"), await wallet_of(wallets, ada)
    single = await wallets.movements.move(principal=ada, order=order(mine, other), key="row-1")
    results = await wallets.bulk.move(
        principal=ada,
        orders=[
            order(mine, other, key="row-1"),
            order(mine, other, key="row-2"),
            order(mine, other, "1.001", key="row-3"),
            order(mine, other, "1.00", key="row-4", asset="XXX"),
            order(mine, other, "2.00", key="row-1"),
            order(mine, other, key=""),
            order(mine, other, "100.00", key="row-6"),
        ],
        atomic=False,
        key="not used",
    )
    assert codes(results) == [
        "ok",
        "ok",
        "amount_too_precise",
        "asset_unknown",
        "idempotency_key_in_use",
        "invalid_idempotency_key",
        "insufficient_funds",
    ]
    assert isinstance(results[0], Moved)
    assert results[0].replayed
    assert results[0].transfer == single.transfer
    assert await posted(wallets, ada, mine) == "3.00"


async def test_keys_are_given_to_all_items_or_to_none_and_never_to_an_atomic_request(
    wallets: Wallets, ada: Principal
) -> None:
    mine, other = await wallet_of(wallets, ada, holding="5.00"), await wallet_of(wallets, ada)
    move = wallets.bulk.move
    with pytest.raises(errors.ItemKeysMixed):
        await move(principal=ada, orders=[order(mine, other, key="a"), order(mine, other)], atomic=False, key="b")
    with pytest.raises(errors.ItemKeysAtomic):
        await move(principal=ada, orders=[order(mine, other, key="a")], atomic=True, key="b")


def confirmed(number: int, wallet: str, *, direction: str = "credit", **changes: object) -> ConfirmedTransaction:
    given = {"source": "bank", "id": f"t-{number}", "wallet": wallet, "amount": "1.00", "asset": "USD"}
    return ConfirmedTransaction(**(given | {"direction": direction} | changes))  # type: ignore[arg-type]


async def test_a_confirmed_transaction_is_applied_once_however_often_and_by_whomever_it_is_delivered(
    wallets: Wallets, ada: Principal, ledger: Ledger
) -> None:
    mine = await wallet_of(wallets, ada)
    batch = [confirmed(number, mine) for number in range(20)]
    for _ in range(2):
        results = await wallets.apply_confirmed(transactions=batch)
        assert codes(results) == ["ok"] * 20
    overlapping = await asyncio.gather(*(wallets.apply_confirmed(transactions=batch[::-1]) for _ in range(3)))
    assert {code for results in overlapping for code in codes(results)} <= {"ok", "idempotency_key_in_use"}
    assert await posted(wallets, ada, mine) == "20.00"
    assert (await ledger.verify()).faults == []


async def test_what_cannot_be_applied_is_an_error_at_its_place(wallets: Wallets, ada: Principal) -> None:
    mine, frozen = await wallet_of(wallets, ada), await wallet_of(wallets, ada, holding="1.00")
    await wallets.registry.freeze(principal=ada, wallet_id=ids.parse(frozen))
    results = await wallets.apply_confirmed(
        transactions=[
            confirmed(1, mine, amount="5.00", effective_at="2026-01-31"),
            confirmed(2, mine, direction="debit", amount="6.00"),
            confirmed(3, str(ids.new())),
            confirmed(4, "not an id"),
            confirmed(5, mine, asset="XXX"),
            confirmed(6, mine, amount="1.234"),
            confirmed(7, frozen),
            confirmed(8, mine, reference="x" * 141),
            confirmed(9, mine, effective_at="soon"),
            confirmed(1, mine, amount="6.00"),
            confirmed(10, mine, direction="debit", amount="2.00"),
        ]
    )
    assert codes(results) == [
        "ok",
        "insufficient_funds",
        "wallet_unknown",
        "invalid_id",
        "asset_unknown",
        "amount_too_precise",
        "wallet_frozen",
        "invalid_request",
        "invalid_instant",
        "idempotency_key_in_use",
        "ok",
    ]
    assert await posted(wallets, ada, mine) == "3.00"
    assert await wallets.apply_confirmed(transactions=[]) == []


async def test_a_refused_transaction_can_be_tried_again_as_another_attempt(wallets: Wallets, ada: Principal) -> None:
    mine = await wallet_of(wallets, ada)
    debit = confirmed(1, mine, direction="debit")
    assert codes(await wallets.apply_confirmed(transactions=[debit])) == ["insufficient_funds"]
    await wallets.apply_confirmed(transactions=[confirmed(2, mine)])
    assert codes(await wallets.apply_confirmed(transactions=[debit])) == ["insufficient_funds"]
    retry = msgspec.structs.replace(debit, attempt=1)
    assert codes(await wallets.apply_confirmed(transactions=[retry])) == ["ok"]
    assert codes(await wallets.apply_confirmed(transactions=[retry])) == ["ok"]
    assert await posted(wallets, ada, mine) == "0.00"


async def test_the_same_id_with_other_content_is_found_out(wallets: Wallets, ada: Principal) -> None:
    mine = await wallet_of(wallets, ada)
    await wallets.apply_confirmed(transactions=[confirmed(1, mine)])
    results = await wallets.apply_confirmed(transactions=[confirmed(1, mine, amount="2.00")])
    assert codes(results) == ["idempotency_key_reused"]
    assert await posted(wallets, ada, mine) == "1.00"
