import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from billfold.chains.errors import NodeWrong
from billfold.chains.nodes import reading

#: Python's own, with which a document that is nested too deep is an error and no crash.
DEPTH = 1_000


@pytest.fixture
def depth() -> Iterator[None]:
    """As in our programs: a library that only the tests load allows far more than the stack can bear."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(DEPTH)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("depth")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"a": 1',
        b"NaN",
        b'{"a": Infinity}',
        b"9" * 81,
        b"0." + b"1" * 100,
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_sane_document_is_not_read(body: bytes) -> None:
    with pytest.raises(NodeWrong):
        reading.document(body)


def test_a_number_with_a_point_is_exact() -> None:
    assert reading.document(b"[0.1, 20999999.99999999, 7]") == [Decimal("0.1"), Decimal("20999999.99999999"), 7]


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (reading.whole, True),
        (reading.whole, 1.0),
        (reading.whole, "1"),
        (reading.whole, -1),
        (reading.whole, 2**63),
        (reading.whole, None),
        (reading.digits, 1),
        (reading.digits, "1.0"),
        (reading.digits, "٣"),
        (reading.digits, "1" * 81),
        (reading.digits, ""),
        (reading.quantity, "1f"),
        (reading.quantity, "0x"),
        (reading.quantity, "-0x1"),
        (reading.quantity, "0x" + "1" * 65),
        (reading.quantity, 31),
        (reading.data, "0xabc"),
        (reading.data, "c0ffee"),
        (reading.data, "0xzz"),
        (reading.text, 1),
        (reading.text, "x" * 1_001),
        (reading.record, []),
    ],
)
def test_what_is_not_what_it_should_be_is_not_taken(read: Callable[[Any, str], object], value: object) -> None:
    with pytest.raises(NodeWrong, match="height"):
        read(value, "height")


def test_what_is_right_is_taken() -> None:
    assert reading.whole(7, "height") == 7
    assert reading.digits("-7", "balance", least=-10) == -7
    assert reading.quantity("0x1F", "height") == 31
    assert reading.data("0xc0ffee", "code", length=3) == b"\xc0\xff\xee"
    assert reading.items([1], "logs", most=1) == [1]
    assert reading.member({"a": None}, "a") is None


def test_more_entries_than_expected_are_not_taken() -> None:
    with pytest.raises(NodeWrong, match="more than 1"):
        reading.items([1, 2], "logs", most=1)


def test_a_member_that_is_missing_is_named() -> None:
    with pytest.raises(NodeWrong, match="blockhash is missing"):
        reading.member({}, "blockhash")


@pytest.mark.parametrize(
    ("value", "amount"),
    [(Decimal("0.5"), 50_000_000), (1, 100_000_000), ("0.00000001", 1), (Decimal("1E-8"), 1), ("0", 0)],
)
def test_an_amount_is_read_in_smallest_units(value: object, amount: int) -> None:
    assert reading.units(value, "value", scale=8) == amount


@pytest.mark.parametrize("value", [Decimal("0.000000001"), "1e8", "-1", Decimal("1E+90"), 0.5, True, "1,5", ""])
def test_what_is_no_amount_is_not_taken(value: object) -> None:
    with pytest.raises(NodeWrong):
        reading.units(value, "value", scale=8)


def test_what_a_node_says_is_shown_cut_and_in_one_line() -> None:
    assert reading.shown("a\nb\x1b[31m" + "c" * 500) == ("a b [31m" + "c" * 500)[:200]
