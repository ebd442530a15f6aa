"""What an order must say by itself."""

import pytest

from billfold.kernel import clock, errors, ids, money
from billfold.kernel.assets import Asset
from billfold.kernel.money import Money
from billfold.ledger import errors as ledger_errors
from billfold.wallets import domain
from billfold.wallets import errors as wallet_errors
from billfold.wallets.contracts import ConfirmedTransaction, NewWallet, Order

ADA = "019aa2c6-7a00-7000-8000-00000000a001"
BOB = "019aa2c6-7a00-7000-8000-00000000a002"
ASSETS = {
    "USD": Asset(code="USD", scale=2, kind="fiat", name="US dollar"),
    "ETH": Asset(code="ETH", scale=18, kind="native", name="Ether", chain="ethereum"),
}


def usd(amount: str) -> Money:
    return Money(amount, "USD")


def test_a_transfer_is_drafted_in_smallest_units() -> None:
    draft = domain.draft(Order(source=ADA, target=BOB, money=usd("12.30"), effective_at="2026-01-31"), ASSETS)
    assert (draft.units, draft.scale) == (1230, 2)
    assert draft.effective_at == clock.parse("2026-01-31T00:00:00Z")


@pytest.mark.parametrize(
    "order",
    [
        Order(kind="transfer", source=ADA, money=usd("1")),
        Order(kind="transfer", target=ADA, money=usd("1")),
        Order(kind="deposit", source=ADA, target=BOB, money=usd("1")),
        Order(kind="deposit", source=ADA, money=usd("1")),
        Order(kind="withdrawal", source=ADA, target=BOB, money=usd("1")),
        Order(kind="withdrawal", target=BOB, money=usd("1")),
        Order(kind="deposit", money=usd("1")),
    ],
)
def test_each_kind_has_its_own_sides(order: Order) -> None:
    with pytest.raises(wallet_errors.SidesWrong):
        domain.draft(order, ASSETS)


@pytest.mark.parametrize(
    ("order", "error", "pointer"),
    [
        (Order(source=ADA, target=ADA, money=usd("1")), wallet_errors.SameWallet, "/to"),
        (Order(source="me", target=ADA, money=usd("1")), ids.InvalidId, "/from"),
        (Order(source=ADA, target="outside", money=usd("1")), ids.InvalidId, "/to"),
        (Order(source=ADA, target=BOB, money=Money("1", "XXX")), ledger_errors.AssetUnknown, "/money/asset"),
        (Order(source=ADA, target=BOB, money=usd("1.234")), money.AmountTooPrecise, "/money/amount"),
        (Order(source=ADA, target=BOB, money=usd("0")), ledger_errors.AmountNotPositive, "/money/amount"),
        (Order(source=ADA, target=BOB, money=usd("-1")), ledger_errors.AmountNotPositive, "/money/amount"),
        (Order(source=ADA, target=BOB, money=usd("1e3")), money.InvalidAmount, "/money/amount"),
        (Order(source=ADA, target=BOB, money=usd("NaN")), money.InvalidAmount, "/money/amount"),
        (Order(source=ADA, target=BOB, money=usd("1" + "0" * 80)), money.AmountTooLarge, "/money/amount"),
        (
            Order(source=ADA, target=BOB, money=usd("1"), effective_at="yesterday"),
            clock.InvalidInstant,
            "/effective_at",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place(order: Order, error: type[errors.BillfoldError], pointer: str) -> None:
    with pytest.raises(error) as found:
        domain.draft(order, ASSETS)
    assert type(found.value) is error
    assert found.value.pointer == pointer


def test_the_same_order_has_the_same_content_however_its_metadata_is_sorted() -> None:
    one = Order(source=ADA, target=BOB, money=usd("1"), metadata={"a": "1", "b": "2"})
    same = Order(source=ADA, target=BOB, money=usd("1"), metadata={"b": "2", "a": "1"}, idempotency_key="k")
    assert domain.content(one) == domain.content(same)


@pytest.mark.parametrize(
    "other",
    [
        Order(source=BOB, target=ADA, money=usd("1")),
        Order(source=ADA, target=BOB, money=usd("1.0")),
        Order(source=ADA, target=BOB, money=Money("1", "ETH")),
        Order(source=ADA, target=BOB, money=usd("1"), reference="x"),
        Order(source=ADA, target=BOB, money=usd("1"), description="x"),
        Order(source=ADA, target=BOB, money=usd("1"), metadata={"x": ""}),
        Order(source=ADA, target=BOB, money=usd("1"), effective_at="2026-01-01"),
    ],
)
def test_any_other_order_has_another_content(other: Order) -> None:
    assert domain.content(other) != domain.content(Order(source=ADA, target=BOB, money=usd("1")))


def test_a_wallet_created_with_other_metadata_is_another_wallet() -> None:
    plain = domain.created_with(NewWallet(name="Ada"))
    assert plain == domain.created_with(NewWallet(name="Ada", external_id="customer-1"))
    assert plain != domain.created_with(NewWallet(name="Ada", metadata={"a": "b"}))
    assert plain != domain.created_with(NewWallet(name="Eve"))


def confirmed(**changes: object) -> ConfirmedTransaction:
    given = {"source": "bank", "id": "7", "wallet": ADA, "direction": "credit", "amount": "1.00", "asset": "USD"}
    return ConfirmedTransaction(**(given | changes))  # type: ignore[arg-type]


def test_a_confirmed_credit_is_a_deposit_and_a_debit_a_withdrawal() -> None:
    assert domain.order_of(confirmed()) == Order(kind="deposit", target=ADA, money=usd("1.00"))
    assert domain.order_of(confirmed(direction="debit")) == Order(kind="withdrawal", source=ADA, money=usd("1.00"))


@pytest.mark.parametrize("wrong", [{"reference": "x" * 141}, {"description": "a\0b"}])
def test_a_confirmed_transaction_that_cannot_be_stored_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(errors.Invalid):
        domain.order_of(confirmed(**wrong))


def test_senders_ids_never_meet() -> None:
    keys = [
        domain.sender_key(confirmed()),
        domain.sender_key(confirmed(source="bank7", id="")),
        domain.sender_key(confirmed(source="", id="bank7")),
        domain.sender_key(confirmed(id='7",0],["')),
        domain.sender_key(confirmed(attempt=1)),
    ]
    assert len(set(keys)) == len(keys)
    assert domain.sender_key(confirmed()) == domain.sender_key(confirmed(reference="other content, same id"))
