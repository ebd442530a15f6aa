from collections import defaultdict
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from billfold.kernel import clock, ids
from billfold.ledger.contracts import NewTransfer
from billfold.ledger.domain import backdating, transfers
from tests.unit.ledger.books import Shelf, new

BORDERS = [1 << shift for shift in backdating.SHIFTS[:-1]]

#: Instants near each other, far from each other, on both sides of 1970 and of every border.
instants = st.one_of(
    st.integers(-(2**53), 2**53),
    st.integers(-70, 70),
    st.builds(
        lambda border, times, off: border * times + off,
        st.sampled_from(BORDERS),
        st.integers(-70, 70),
        st.integers(-2, 2),
    ),
)


def held_by(span: backdating.Range, instant: int) -> bool:
    return span.first <= instant >> span.shift < span.end


@given(instants, instants)
@example(0, 0)
@example(-1, -1)
@example(0, -1)
@example(-1, 0)
def test_an_instant_is_in_exactly_one_range_if_it_is_not_later_and_else_in_none(at: int, instant: int) -> None:
    assert sum(held_by(span, instant) for span in backdating.ranges(at)) == (1 if instant <= at else 0)


@given(st.lists(st.tuples(instants, st.integers(-(10**30), 10**30))), st.lists(instants, min_size=1))
def test_the_buckets_in_range_add_up_to_all_that_was_effective_by_then(
    entries: list[tuple[int, int]], asked: list[int]
) -> None:
    buckets: dict[tuple[int, int], int] = defaultdict(int)
    for instant, amount in entries:
        for shift in backdating.SHIFTS:
            buckets[shift, instant >> shift] += amount
    for at in [*asked, *(instant for instant, _ in entries)]:
        found = sum(
            amount
            for span in backdating.ranges(at)
            for (shift, bucket), amount in buckets.items()
            if shift == span.shift and span.first <= bucket < span.end
        )
        assert found == sum(amount for instant, amount in entries if instant <= at)


@given(instants)
def test_no_width_but_the_widest_and_the_exact_needs_more_than_64_buckets(at: int) -> None:
    widest, *nested, exact = backdating.ranges(at)
    assert all(0 <= span.end - span.first < 64 for span in nested)
    assert 1 <= exact.end - exact.first <= 1 << backdating.SHIFTS[-2]
    assert widest.first < -(1 << 62) >> 46


def dated(wanted: NewTransfer, instant: datetime) -> NewTransfer:
    return replace(wanted, effective_at=instant)


def test_only_what_is_effective_before_it_was_recorded_is_back_dated() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), shelf.account()
    book = shelf.book()
    on_time = transfers.post(book, new(a, b, 1))
    assert backdating.collect([on_time]) is None


def test_both_sides_are_summed_by_every_width_and_entry_by_entry() -> None:
    shelf = Shelf()
    a, b = shelf.account(100), shelf.account()
    book = shelf.book()
    early, late = datetime(1950, 6, 1, tzinfo=UTC), datetime(2020, 6, 1, tzinfo=UTC)
    posted = [
        transfers.post(book, dated(new(a, b, 1), early)),
        transfers.post(book, new(a, b, 20)),
        transfers.post(book, dated(new(a, b, 4), late)),
        transfers.post(book, dated(new(b, a, 2), late)),
    ]
    found = backdating.collect(posted)
    assert found is not None
    for shift in backdating.SHIFTS:
        assert found.periods[b, shift, clock.microseconds(early) >> shift] == 1
        assert found.periods[b, shift, clock.microseconds(late) >> shift] == 2
        assert found.periods[a, shift, clock.microseconds(late) >> shift] == -2
    first, _, third, fourth = (transfer.recorded_at for transfer in posted)
    assert [total for total in found.totals if total[0] == b] == [(b, first, 1), (b, third, 5), (b, fourth, 3)]
    assert [total for total in found.totals if total[0] == a] == [(a, first, -1), (a, third, -5), (a, fourth, -3)]


def test_a_transfer_dated_to_its_own_instant_is_not_back_dated() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), shelf.account()
    book = shelf.book()
    transfer = transfers.post(book, dated(new(a, b, 1), book.now))
    assert transfer.recorded_at == book.now
    assert backdating.collect([transfer]) is None
    one_before = transfers.post(book, dated(new(a, b, 1), book.now - timedelta(microseconds=1)))
    assert backdating.collect([one_before]) is not None


def test_ids_of_a_batch_increase_whatever_it_posts() -> None:
    shelf = Shelf()
    a, b = shelf.account(10), shelf.account()
    book = shelf.book()
    made = [transfers.post(book, new(a, b, 1)).id for _ in range(5)]
    assert made == sorted(made)
    assert made[-1] < ids.new()
