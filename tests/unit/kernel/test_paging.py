import base64
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.kernel import paging


class Position(msgspec.Struct, frozen=True):
    at: datetime
    last: UUID


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_leads_back_to_its_position(at: datetime, last: UUID) -> None:
    cursor = paging.encode(Position(at, last))
    assert paging.decode(cursor, Position) == Position(at, last)
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), "it fits into a URL"


@given(st.text(max_size=100))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(paging.InvalidCursor):
        paging.decode(text, Position)


@given(st.binary(max_size=100))
def test_any_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(paging.InvalidCursor):
        paging.decode(base64.urlsafe_b64encode(content).decode().rstrip("="), Position)


def test_the_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(paging.InvalidCursor):
        paging.decode(paging.encode("just an id"), Position)


def test_a_long_or_deep_cursor_is_refused_before_it_is_read() -> None:
    for content in (b"[" * 380, b"[" * 1_000_000):
        with pytest.raises(paging.InvalidCursor):
            paging.decode(base64.urlsafe_b64encode(content).decode(), Position)


@pytest.mark.parametrize("number", [0, 1, 2**63 - 1])
def test_a_number_leads_back_to_its_position(number: int) -> None:
    assert paging.decode_number(paging.encode(number)) == number


@pytest.mark.parametrize("number", [-1, 2**63, 10**30])
def test_a_number_that_no_database_counts_to_is_refused(number: int) -> None:
    with pytest.raises(paging.InvalidCursor):
        paging.decode_number(paging.encode(number))


def test_no_limit_is_the_usual_one() -> None:
    assert paging.check_limit(None) == paging.LIMIT_DEFAULT


@pytest.mark.parametrize("limit", [1, 25, 100])
def test_a_limit_within_bounds_is_taken(limit: int) -> None:
    assert paging.check_limit(limit) == limit


@pytest.mark.parametrize("limit", [0, -1, 101, 10**40])
def test_a_limit_out_of_bounds_is_refused(limit: int) -> None:
    with pytest.raises(paging.InvalidLimit):
        paging.check_limit(limit)


@pytest.mark.parametrize(("read", "items", "goes_on"), [(0, 0, False), (2, 2, False), (3, 3, False), (4, 3, True)])
def test_a_page_goes_on_when_one_item_more_was_read(read: int, items: int, *, goes_on: bool) -> None:
    page = paging.cut(list(range(read)), 3, place=lambda number: f"place {number}")
    assert page.items == list(range(items))
    assert page.next_cursor == (paging.encode("place 2") if goes_on else None)
