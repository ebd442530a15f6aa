from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from billfold.kernel import clock, ids, money
from billfold.ledger import contracts, errors
from billfold.ledger.contracts import NewTransfer, Transfer
from billfold.ledger.domain import transfers
from billfold.ledger.domain.book import Book
from tests.unit.ledger.books import NOW_US, Shelf, new, pay

NOW = clock.EPOCH + timedelta(microseconds=NOW_US)


def refusal(book: Book, wanted: NewTransfer) -> str:
    with pytest.raises(errors.LedgerError) as refused:
        transfers.post(book, wanted)
    return type(refused.value).__name__


# Refusals


class Faulty:
    """A request with every fault at once, and the repair of each."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.debit = self.shelf.account(asset="EUR", status="closed")
        self.credit = self.shelf.account(asset="EUR", status="frozen")
        self.wanted = replace(
            new(ids.new(), self.credit, 0, reference="\x00"), effective_at=datetime(1899, 12, 31, tzinfo=UTC)
        )
        self.wanted = replace(self.wanted, credit_account=self.wanted.debit_account)

    def change(self, **changes: object) -> None:
        self.wanted = replace(self.wanted, **changes)

    def fill(self, posted: int) -> None:
        self.shelf.accounts[self.debit].posted = posted


#: In the order in which they are found: what is refused, and the repair that brings the next one to light.
ORDER: list[tuple[str, Callable[[Faulty], object]]] = [
    ("AmountNotPositive", lambda fault: fault.change(amount=10)),
    ("SameAccount", lambda fault: fault.change(credit_account=ids.new())),
    ("InvalidText", lambda fault: fault.change(reference="invoice 7")),
    ("AccountUnknown", lambda fault: fault.change(debit_account=fault.debit)),
    ("AccountUnknown", lambda fault: fault.change(credit_account=fault.credit)),
    ("AssetMismatch", lambda fault: fault.change(asset="EUR")),
    ("AccountClosed", lambda fault: setattr(fault.shelf.accounts[fault.debit], "status", "open")),
    ("AccountFrozen", lambda fault: setattr(fault.shelf.accounts[fault.credit], "status", "open")),
    ("EffectiveTooEarly", lambda fault: fault.change(effective_at=NOW + clock.MICROSECOND)),
    ("EffectiveInFuture", lambda fault: fault.change(effective_at=NOW)),
    ("InsufficientFunds", lambda fault: fault.fill(10)),
]


def test_refusals_are_found_in_their_order() -> None:
    fault = Faulty()
    for name, repair in ORDER:
        before = fault.shelf.state()
        book = fault.shelf.book()
        assert refusal(book, fault.wanted) == name
        assert not book.touched()
        assert fault.shelf.state() == before
        repair(fault)
    posted = transfers.post(fault.shelf.book(), fault.wanted)
    assert (posted.amount, posted.effective_at) == (10, NOW)


def test_the_balance_that_is_too_large_is_found_last() -> None:
    shelf = Shelf()
    debit, credit = shelf.account(), shelf.account(money.UNITS_MAX)
    assert refusal(shelf.book(), new(debit, credit, 1)) == "InsufficientFunds"
    shelf.accounts[debit].posted = 1
    assert refusal(shelf.book(), new(debit, credit, 1)) == "BalanceTooLarge"


@pytest.mark.parametrize(
    ("debit_posted", "credit_posted", "amount", "fits"),
    [
        (0, 0, money.UNITS_MAX, True),
        (0, 0, money.UNITS_MAX + 1, False),
        (-1, 0, money.UNITS_MAX, False),
        (0, 1, money.UNITS_MAX, False),
        (money.UNITS_MAX, -money.UNITS_MAX, money.UNITS_MAX, True),
        # Both balances would fit, but no column could hold the amount between them.
        (money.UNITS_MAX, -money.UNITS_MAX, money.UNITS_MAX + 1, False),
        (money.UNITS_MAX, -money.UNITS_MAX, 2 * money.UNITS_MAX, False),
    ],
)
def test_no_amount_or_balance_outgrows_its_column(
    debit_posted: int, credit_posted: int, amount: int, *, fits: bool
) -> None:
    shelf = Shelf()
    wanted = new(shelf.account(debit_posted, floor=None), shelf.account(credit_posted, floor=None), amount)
    if fits:
        transfers.post(shelf.book(), wanted)
    else:
        assert refusal(shelf.book(), wanted) == "BalanceTooLarge"


@given(
    posted=st.integers(-50, 50),
    held=st.integers(0, 50),
    floor=st.none() | st.integers(-50, 50),
    amount=st.integers(1, 100),
)
def test_money_leaves_exactly_if_what_is_available_after_it_is_not_below_the_floor(
    posted: int, held: int, floor: int | None, amount: int
) -> None:
    shelf = Shelf()
    debit, credit = shelf.account(posted, floor=floor, held=held), shelf.account()
    if floor is None or posted - held - amount >= floor:
        pay(shelf.book(), debit, credit, amount)
        assert shelf.balances(debit, credit) == [posted - amount, amount]
    else:
        assert refusal(shelf.book(), new(debit, credit, amount)) == "InsufficientFunds"
        assert shelf.balances(debit, credit) == [posted, 0]


@pytest.mark.parametrize(
    "texts",
    [
        {"reference": "r" * contracts.REFERENCE_MAX, "description": "d" * contracts.DESCRIPTION_MAX},
        {"reference": "tab\t, line\n, return\r, back\\slash, \\N, \\., \x01, \x7f"},
        {"description": "Grüße, 你好, \N{PILE OF POO}"},
        {"metadata": {str(n): "v" * contracts.METADATA_VALUE_MAX for n in range(contracts.METADATA_ENTRIES_MAX)}},
    ],
)
def test_any_text_within_its_length_is_taken(texts: dict[str, object]) -> None:
    shelf = Shelf()
    wanted = replace(new(shelf.account(1), shelf.account(), 1), **texts)
    posted = transfers.post(shelf.book(), wanted)
    assert (posted.reference, posted.description, posted.metadata) == (
        wanted.reference,
        wanted.description,
        wanted.metadata,
    )


@pytest.mark.parametrize(
    "texts",
    [
        {"reference": "r" * (contracts.REFERENCE_MAX + 1)},
        {"description": "d" * (contracts.DESCRIPTION_MAX + 1)},
        {"metadata": {str(n): "v" for n in range(contracts.METADATA_ENTRIES_MAX + 1)}},
        {"metadata": {"k" * (contracts.METADATA_KEY_MAX + 1): ""}},
        {"metadata": {"key": "v" * (contracts.METADATA_VALUE_MAX + 1)}},
        {"reference": "\x00"},
        {"description": "half a pair: \ud83d"},
        {"metadata": {"\x00": "value"}},
        {"metadata": {"key": "\udca9"}},
    ],
)
def test_a_text_that_is_too_long_or_can_not_be_stored_is_refused(texts: dict[str, object]) -> None:
    shelf = Shelf()
    assert refusal(shelf.book(), replace(new(shelf.account(1), shelf.account(), 1), **texts)) == "InvalidText"


# Entries in order


def test_each_side_counts_its_own_versions_and_balances() -> None:
    shelf = Shelf()
    a, b, c = shelf.account(10), shelf.account(), shelf.account()
    book = shelf.book()
    first, second = pay(book, a, b, 7), pay(book, b, c, 3)
    assert (first.debit_version, first.credit_version) == (1, 1)
    assert (second.debit_version, second.credit_version) == (2, 1)
    assert (first.debit_balance, first.credit_balance) == (3, 7)
    assert (second.debit_balance, second.credit_balance) == (4, 3)
    assert shelf.balances(a, b, c) == [3, 4, 3]


def test_entries_are_recorded_a_microsecond_apart_from_the_clock_on() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), shelf.account()
    book = shelf.book()
    recorded = [clock.microseconds(pay(book, a, b, 1).recorded_at) for _ in range(3)]
    assert recorded == [NOW_US, NOW_US + 1, NOW_US + 2] == book.recorded_us


def test_an_entry_is_recorded_after_the_last_one_even_if_the_clock_has_gone_back() -> None:
    shelf = Shelf()
    a, b = shelf.account(10, recorded_us=NOW_US + 5_000_000), shelf.account()
    posted = pay(shelf.book(), a, b, 1)
    assert clock.microseconds(posted.recorded_at) == NOW_US + 5_000_001
    assert posted.effective_at == posted.recorded_at


def test_without_a_value_date_it_is_effective_when_it_is_recorded() -> None:
    shelf = Shelf()
    posted = pay(shelf.book(), shelf.account(10), shelf.account(), 1)
    assert posted.effective_at is posted.recorded_at


# Groups


def test_a_group_posts_wholly_and_its_members_point_at_the_first() -> None:
    shelf = Shelf()
    a, b, fees = shelf.account(10), shelf.account(), shelf.account()
    book = shelf.book()
    first, second = transfers.post_group(book, [new(a, b, 9), new(a, fees, 1, kind="fee")])
    assert isinstance(first, Transfer)
    assert isinstance(second, Transfer)
    assert shelf.balances(a, b, fees) == [0, 9, 1]
    assert [(link.transfer_id, link.relation, link.target) for link in book.links] == [(second.id, "group", first.id)]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_refusal_anywhere_rolls_its_group_back_wholly(place: int) -> None:
    shelf = Shelf()
    a, b, c = shelf.account(10), shelf.account(), shelf.account()
    book = shelf.book()
    pay(book, a, c, 1)
    before, journal, links = shelf.state(), list(book.transfers), list(book.links)
    wanted = [new(a, b, 2), new(b, c, 1), new(a, c, 2)]
    wanted[place] = replace(wanted[place], amount=1_000)
    results = transfers.post_group(book, wanted)
    assert [type(result).__name__ for result in results] == [
        "InsufficientFunds" if at == place else "GroupRefused" for at in range(3)
    ]
    assert (shelf.state(), book.transfers, book.links) == (before, journal, links)
    assert len(book.recorded_us) == len(book.transfers)


def test_a_group_may_pass_on_what_it_brings() -> None:
    shelf = Shelf()
    a, b, c = shelf.account(5), shelf.account(), shelf.account()
    results = transfers.post_group(shelf.book(), [new(a, b, 5), new(b, c, 5)])
    assert all(isinstance(result, Transfer) for result in results)
    assert shelf.balances(a, b, c) == [0, 0, 5]


def test_after_a_group_was_rolled_back_time_and_versions_go_on_without_a_gap_or_repeat() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), shelf.account()
    book = shelf.book()
    first = pay(book, a, b, 1)
    transfers.post_group(book, [new(a, b, 1), new(a, b, 1_000)])
    second = pay(book, a, b, 1)
    assert (second.debit_version, second.credit_version) == (2, 2)
    assert second.recorded_at > first.recorded_at
    assert second.id > first.id


def test_refused_alone_the_neighbours_are_posted() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), shelf.account()
    results = transfers.post_each(shelf.book(), [new(a, b, 6), new(a, b, 6), new(a, b, 4), new(a, ids.new(), 1)])
    assert [type(result).__name__ for result in results] == [
        "Transfer",
        "InsufficientFunds",
        "Transfer",
        "AccountUnknown",
    ]
    assert shelf.balances(a, b) == [0, 10]


# Reversals


class Reversible:
    def __init__(self, amount: int) -> None:
        self.shelf = Shelf()
        self.a, self.b = self.shelf.account(amount), self.shelf.account()
        self.book = self.shelf.book()
        self.original = pay(self.book, self.a, self.b, amount)

    def reverse(self, amount: int | None, transfer: Transfer | None = None) -> Transfer:
        return transfers.reverse(self.book, transfer or self.original, amount)


def test_a_reversal_is_the_opposite_transfer_and_says_of_what() -> None:
    case = Reversible(10)
    back = case.reverse(None)
    assert (back.debit_account, back.credit_account, back.amount, back.kind) == (case.b, case.a, 10, "reversal")
    assert case.shelf.balances(case.a, case.b) == [10, 0]
    assert (case.book.links[-1].relation, case.book.links[-1].target) == ("reversal", case.original.id)


@given(parts=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_parts_may_be_reversed_until_nothing_is_left(parts: list[int]) -> None:
    case = Reversible(100)
    left = 100
    for part in parts:
        if part <= left:
            case.reverse(part)
            left -= part
        else:
            with pytest.raises(errors.ReversalExceedsTransfer):
                case.reverse(part)
        assert case.shelf.balances(case.a, case.b) == [100 - left, left]
    if left:
        assert case.reverse(None).amount == left
    with pytest.raises(errors.ReversalExceedsTransfer):
        case.reverse(None)


def test_a_reversal_can_not_be_reversed() -> None:
    case = Reversible(10)
    back = case.reverse(None)
    case.book.reversals.add(back.id)
    with pytest.raises(errors.TransferNotReversible):
        case.reverse(None, back)


def test_a_refused_reversal_leaves_all_that_may_be_reversed() -> None:
    case = Reversible(10)
    pay(case.book, case.b, case.a, 6)
    with pytest.raises(errors.InsufficientFunds):
        case.reverse(None)
    assert case.reverse(4).amount == 4


@pytest.mark.parametrize("amount", [0, -1])
def test_a_reversal_of_nothing_is_refused_as_such(amount: int) -> None:
    case = Reversible(10)
    with pytest.raises(errors.AmountNotPositive):
        case.reverse(amount)
    case.reverse(None)
    with pytest.raises(errors.AmountNotPositive):
        case.reverse(amount)


def test_what_has_happened_already_is_posted_on_a_frozen_account_and_below_its_floor() -> None:
    shelf = Shelf()
    frozen, other = shelf.account(5, status="frozen"), shelf.account()
    posted = transfers.post(shelf.book(), replace(new(frozen, other, 7), forced=True))
    assert (posted.debit_balance, posted.credit_balance) == (-2, 7)


def test_nothing_is_forced_upon_a_closed_account() -> None:
    shelf = Shelf()
    closed, other = shelf.account(status="closed"), shelf.account(9)
    with pytest.raises(errors.AccountClosed):
        transfers.post(shelf.book(), replace(new(other, closed, 7), forced=True))
