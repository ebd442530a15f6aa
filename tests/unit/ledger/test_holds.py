from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from billfold.kernel import clock, ids, money
from billfold.ledger import errors
from billfold.ledger.contracts import AccountStatus, NewHold
from billfold.ledger.domain import holds, transfers
from tests.unit.ledger.books import NOW_US, Shelf, hold, new, pay

NOW = clock.EPOCH + timedelta(microseconds=NOW_US)


def test_held_money_is_not_available() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), shelf.account()
    book = shelf.book()
    hold(book, a, 7)
    with pytest.raises(errors.InsufficientFunds):
        pay(book, a, b, 4)
    with pytest.raises(errors.InsufficientFunds):
        hold(book, a, 4)
    pay(book, a, b, 3)
    assert (shelf.accounts[a].posted, shelf.accounts[a].held) == (7, 7)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"amount": 0}, errors.AmountNotPositive),
        ({"amount": -5}, errors.AmountNotPositive),
        ({"amount": 11}, errors.InsufficientFunds),
        ({"asset": "EUR"}, errors.AssetMismatch),
        ({"account": ids.new()}, errors.AccountUnknown),
        ({"expires_at": NOW}, errors.ExpiryInPast),
        ({"reference": "\x00"}, errors.InvalidText),
        ({"description": "\ud800"}, errors.InvalidText),
        ({"description": "d" * 501}, errors.InvalidText),
    ],
)
def test_a_hold_that_can_not_be_is_refused(changes: dict[str, object], error: type[errors.LedgerError]) -> None:
    shelf = Shelf()
    wanted = NewHold(account=shelf.account(10), amount=1, asset="USD")
    book = shelf.book()
    with pytest.raises(error):
        holds.place(book, replace(wanted, **changes), ids.new())
    assert not book.touched()
    assert not book.hold_steps


@pytest.mark.parametrize(("status", "error"), [("frozen", errors.AccountFrozen), ("closed", errors.AccountClosed)])
def test_nothing_is_held_on_an_account_that_is_not_open(status: AccountStatus, error: type[errors.LedgerError]) -> None:
    shelf = Shelf()
    account = shelf.account(10, status=status)
    with pytest.raises(error):
        hold(shelf.book(), account, 1)


def test_what_is_held_never_outgrows_its_column() -> None:
    shelf = Shelf()
    account = shelf.account(0, floor=None)
    book = shelf.book()
    hold(book, account, money.UNITS_MAX)
    with pytest.raises(errors.BalanceTooLarge):
        hold(book, account, 1)


def test_it_settles_in_parts_and_ends_with_the_last() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), shelf.account()
    book = shelf.book()
    placed = hold(book, a, 10)
    first, transfer = holds.settle(book, placed, credit_account=b, amount=4, release_rest=False)
    assert (first.status, first.settled, first.remaining, first.ended_at) == ("active", 4, 6, None)
    assert (transfer.kind, transfer.amount) == ("settlement", 4)
    assert shelf.accounts[a].held == 6
    last, _ = holds.settle(book, first, credit_account=b, amount=None, release_rest=False)
    assert (last.status, last.settled, last.remaining, last.ended_at) == ("settled", 10, 0, NOW)
    assert (shelf.balances(a, b), shelf.accounts[a].held) == ([0, 10], 0)
    assert [step for step, _ in book.hold_steps] == ["placed", "settled", "settled"]
    assert [link.target for link in book.links] == [placed.id, placed.id]


def test_settling_may_give_the_rest_back() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), shelf.account()
    book = shelf.book()
    ended, _ = holds.settle(book, hold(book, a, 10), credit_account=b, amount=4, release_rest=True)
    assert (ended.status, ended.settled, ended.remaining) == ("settled", 4, 0)
    assert (shelf.balances(a, b), shelf.accounts[a].held) == ([6, 4], 0)


@pytest.mark.parametrize(
    ("amount", "error"),
    [(11, errors.SettlementExceedsHold), (0, errors.AmountNotPositive), (-1, errors.AmountNotPositive)],
)
def test_a_settlement_that_can_not_be_changes_nothing(amount: int, error: type[errors.LedgerError]) -> None:
    shelf = Shelf()
    a, b = shelf.account(20), shelf.account()
    book = shelf.book()
    placed = hold(book, a, 10)
    before = shelf.state()
    with pytest.raises(error):
        holds.settle(book, placed, credit_account=b, amount=amount, release_rest=True)
    assert shelf.state() == before
    assert book.hold_steps == [("placed", placed)]


def test_a_settlement_to_a_frozen_account_leaves_the_money_held() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), shelf.account(status="frozen")
    book = shelf.book()
    placed = hold(book, a, 10)
    with pytest.raises(errors.AccountFrozen):
        holds.settle(book, placed, credit_account=b, amount=None, release_rest=False)
    assert (shelf.accounts[a].posted, shelf.accounts[a].held) == (10, 10)


def test_a_hold_can_be_released_although_its_account_is_frozen() -> None:
    shelf = Shelf()
    a = shelf.account(10)
    book = shelf.book()
    placed = hold(book, a, 10)
    shelf.accounts[a].status = "frozen"
    assert holds.release(book, placed).status == "released"
    assert shelf.accounts[a].held == 0


def test_an_ended_hold_can_not_end_again() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), shelf.account()
    book = shelf.book()
    released = holds.release(book, hold(book, a, 4))
    settled, _ = holds.settle(book, hold(book, a, 4), credit_account=b, amount=None, release_rest=False)
    for ended in (released, settled):
        with pytest.raises(errors.HoldEnded):
            holds.release(book, ended)
        with pytest.raises(errors.HoldEnded):
            holds.expire(book, ended)
        with pytest.raises(errors.HoldEnded):
            holds.settle(book, ended, credit_account=b, amount=1, release_rest=False)
        with pytest.raises(errors.AmountNotPositive):
            holds.settle(book, ended, credit_account=b, amount=0, release_rest=False)
    assert shelf.accounts[a].held == 0


def test_an_overdue_hold_can_not_be_spent_even_if_nobody_has_marked_it() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), shelf.account()
    wanted = NewHold(account=a, amount=10, asset="USD", expires_at=NOW + clock.MICROSECOND)
    placed = holds.place(shelf.book(), wanted, ids.new())
    shelf.now_us += 1
    book = shelf.book()
    with pytest.raises(errors.HoldEnded):
        holds.settle(book, placed, credit_account=b, amount=1, release_rest=False)
    expired = holds.expire(book, placed)
    assert (expired.status, expired.ended_at, shelf.accounts[a].held) == ("expired", book.now, 0)
    with pytest.raises(errors.HoldEnded):
        holds.release(book, expired)


def test_an_overdue_hold_that_nobody_has_marked_gives_its_money_back_when_it_is_released() -> None:
    shelf = Shelf()
    a = shelf.account(10)
    wanted = NewHold(account=a, amount=10, asset="USD", expires_at=NOW + clock.MICROSECOND)
    placed = holds.place(shelf.book(), wanted, ids.new())
    shelf.now_us += 1
    book = shelf.book()
    released = holds.release(book, placed)
    assert (released.status, released.ended_at, shelf.accounts[a].held) == ("released", book.now, 0)
    with pytest.raises(errors.HoldEnded):
        holds.expire(book, released)


def test_a_hold_expires_no_moment_too_early() -> None:
    shelf = Shelf()
    wanted = NewHold(account=shelf.account(10), amount=10, asset="USD", expires_at=NOW + clock.MICROSECOND)
    book = shelf.book()
    placed = holds.place(book, wanted, ids.new())
    with pytest.raises(AssertionError):
        holds.expire(book, placed)


@given(st.lists(st.tuples(st.sampled_from(["place", "settle", "release", "pay"]), st.integers(1, 30)), max_size=30))
def test_what_is_held_is_always_the_sum_of_what_remains(steps: list[tuple[str, int]]) -> None:
    shelf = Shelf()
    a, b = shelf.account(100), shelf.account()
    book = shelf.book()
    for step, number in steps:
        active = [found for found in book.holds.values() if found.status == "active"]
        chosen = active[number % len(active)] if active else None
        try:
            if step == "place":
                hold(book, a, number)
            elif step == "pay":
                pay(book, a, b, number)
            elif step == "settle" and chosen is not None:
                holds.settle(book, chosen, credit_account=b, amount=number, release_rest=number % 2 == 0)
            elif chosen is not None:
                holds.release(book, chosen)
        except errors.LedgerError:
            continue
        account = shelf.accounts[a]
        assert account.held == sum(found.remaining for found in book.holds.values())
        assert account.posted - account.held >= 0
        assert sum(shelf.balances(a, b)) == 100


def test_a_batch_that_only_holds_touches_the_account_without_an_entry() -> None:
    shelf = Shelf()
    a = shelf.account(10)
    book = shelf.book()
    hold(book, a, 1)
    assert [account.id for account in book.touched()] == [a]
    assert not book.transfers
    assert shelf.accounts[a].version == 0


def test_a_group_that_is_rolled_back_leaves_what_was_held() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), shelf.account()
    book = shelf.book()
    hold(book, a, 5)
    transfers.post_group(book, [new(a, b, 5), new(a, b, 1)])
    assert (shelf.accounts[a].posted, shelf.accounts[a].held) == (10, 5)


def test_what_has_happened_already_is_settled_from_a_frozen_account_and_below_its_floor() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), shelf.account()
    book = shelf.book()
    held = hold(book, a, 4)
    account = shelf.accounts[a]
    # A chain has taken back what was there.
    account.status, account.posted = "frozen", 1
    settled, _ = holds.settle(book, held, credit_account=b, amount=None, release_rest=True, forced=True)
    assert (settled.status, shelf.balances(a, b), account.held) == ("settled", [-3, 4], 0)
