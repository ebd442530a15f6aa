"""What would become of a command if accounts were there that nobody has opened. Nothing is written."""

import pytest

from billfold.kernel import ids
from billfold.ledger import errors
from billfold.ledger.contracts import AccountStatus, Transfer, Unopened
from billfold.ledger.service.commands import Post, Rehearse, SettleHold
from tests.unit.ledger.books import Shelf, hold, new


def unopened(status: AccountStatus = "open") -> Unopened:
    return Unopened(id=ids.new(), asset="USD", status=status)


def test_a_rehearsal_follows_money_through_accounts_that_are_not_there_and_writes_nothing() -> None:
    shelf = Shelf()
    a, b, c = shelf.account(10), unopened(), unopened()
    book, before = shelf.book(), shelf.state()
    wanted = [new(b.id, c.id, 1), new(a, b.id, 10), new(b.id, c.id, 4), new(c.id, a, 5), new(a, b.id, 1)]
    results = Rehearse(Post(None, wanted, atomic=False), [b, c]).apply(book).results
    refused = [isinstance(result, errors.InsufficientFunds) for result in results]
    assert refused == [True, False, False, True, True]
    assert all(isinstance(result, Transfer) or refusal for result, refusal in zip(results, refused, strict=True))
    assert shelf.state() == before
    assert (book.transfers, book.links, book.touched()) == ([], [], [])
    assert {b.id, c.id}.isdisjoint(book.accounts)


def test_a_rehearsed_group_is_refused_as_a_whole_and_kept_so() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), unopened()
    book = shelf.book()
    results = Rehearse(Post(None, [new(a, b.id, 4), new(a, b.id, 7)], atomic=True), [b]).apply(book).results
    assert [result.code for result in results] == ["group_refused", "insufficient_funds"]
    assert Post(None, results, atomic=True).apply(book).results == results


@pytest.mark.parametrize(("status", "error"), [("frozen", errors.AccountFrozen), ("closed", errors.AccountClosed)])
def test_an_account_would_have_the_status_that_is_given(status: AccountStatus, error: type[errors.LedgerError]) -> None:
    shelf = Shelf()
    a, b = shelf.account(10), unopened(status)
    (result,) = Rehearse(Post(None, [new(a, b.id, 4)], atomic=True), [b]).apply(shelf.book()).results
    assert isinstance(result, error)


def test_a_rehearsed_settlement_leaves_the_hold_as_it_is() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), unopened()
    book = shelf.book()
    placed = hold(book, a, 5)
    before = shelf.state()
    settling = SettleHold(None, placed.id, credit_account=b.id, amount=2, release_rest=True)
    assert Rehearse(settling, [b]).apply(book).hold.status == "settled"
    assert book.holds[placed.id] == placed
    assert (shelf.state(), book.transfers, len(book.hold_steps)) == (before, [], 1)
