import decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billfold.kernel import money

scales = st.integers(0, money.SCALE_MAX)
amounts = st.integers(-money.UNITS_MAX, money.UNITS_MAX)


@given(amounts, scales)
@example(0, 0)
@example(-1, 18)
@example(money.UNITS_MAX, money.SCALE_MAX)
def test_what_was_formatted_parses_to_the_same(units: int, scale: int) -> None:
    assert money.parse(money.format(units, scale), scale) == units


@given(amounts, scales)
def test_the_text_is_what_the_decimal_module_says(units: int, scale: int) -> None:
    with decimal.localcontext(prec=2 * money.DIGITS_MAX):
        value = decimal.Decimal(units).scaleb(-scale)
        text = money.format(units, scale)
        assert decimal.Decimal(text) == value
    assert len(text.partition(".")[2]) == scale
    assert "E" not in text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_a_decimal_in_plain_notation_parses_to_its_units(value: decimal.Decimal) -> None:
    with decimal.localcontext(prec=200):
        units = int(value.scaleb(6))
        text = f"{value:f}"
        if len(text) <= money.TEXT_MAX and abs(units) <= money.UNITS_MAX:
            assert money.parse(text, 6) == units


@pytest.mark.parametrize(
    ("text", "scale", "units"),
    [
        ("0", 2, 0),
        ("-0", 2, 0),
        ("0.00", 2, 0),
        ("1", 2, 100),
        ("1.5", 2, 150),
        ("-12.34", 2, -1234),
        ("7", 0, 7),
        ("0.000000000000000001", 18, 1),
        ("9" * 78, 0, money.UNITS_MAX),
    ],
)
def test_decimals_that_are_not_written_are_zeros(text: str, scale: int, units: int) -> None:
    assert money.parse(text, scale) == units


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "1.", ".5", "01", "-", "+1", "--1", "1e2", "1E2", "NaN", "Infinity", "0x1", "one"),
        *(" 1", "1 ", "1\n", "1,5", "1_0", "1.5.0"),
        # Digits of other scripts are digits to a careless parser.
        *("\N{ARABIC-INDIC DIGIT ONE}", "1.\N{ARABIC-INDIC DIGIT FIVE}", "\N{FULLWIDTH DIGIT ONE}"),
    ],
)
def test_other_notations_are_refused(text: str) -> None:
    with pytest.raises(money.InvalidAmount) as refused:
        money.parse(text, 2, pointer="/amount")
    assert refused.value.pointer == "/amount"


@pytest.mark.parametrize(("text", "scale"), [("1.001", 2), ("1.000", 2), ("1.0", 0), ("0.0000000000000000000", 18)])
def test_more_decimals_than_the_asset_has_are_refused_even_if_they_are_zeros(text: str, scale: int) -> None:
    with pytest.raises(money.AmountTooPrecise, match=f"{scale} decimals"):
        money.parse(text, scale)


@pytest.mark.parametrize("text", ["1" + "0" * 78, "9" * 77 + ".00", "-" + "9" * 79, "1" * 129, "1" * 1_000_000])
def test_an_amount_that_no_column_can_hold_is_refused(text: str) -> None:
    with pytest.raises(money.AmountTooLarge):
        money.parse(text, 2)


@given(amounts, st.lists(st.integers(0, 10**12), min_size=1).filter(any))
@example(100, [1, 1, 1])
@example(-100, [1, 1, 1])
@example(1, [0, 0, 1, 0])
def test_shares_and_remainder_are_the_whole(units: int, weights: list[int]) -> None:
    shares, remainder = money.split(units, weights)
    assert sum(shares) + remainder == units
    assert len(shares) == len(weights)
    # What is left is less than a unit for each share, and nobody gets more than is due or less than nothing.
    assert abs(remainder) < len(weights)
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share) * sum(weights) <= abs(units) * weight
        assert share * units >= 0


def test_weights_that_are_all_zero_are_a_broken_assumption() -> None:
    with pytest.raises(AssertionError):
        money.split(100, [0, 0])


def test_thresholds_are_amounts_by_asset() -> None:
    assert money.thresholds("USD=1000, BTC=0.5") == {"USD": "1000", "BTC": "0.5"}
    assert money.thresholds("USD=0") == {"USD": "0"}


@pytest.mark.parametrize("text", ["", "USD", "USD=", "USD=-1", "USD=1e3", "USD=1,USD=2", "=1", "USD=1,", "USD=1 000"])
def test_what_is_no_list_of_thresholds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as USD=1000"):
        money.thresholds(text)


@pytest.mark.parametrize(
    ("text", "scale", "units"), [("0.005", 2, 0), ("10.019", 2, 1001), ("7.9", 0, 7), ("1", 8, 10**8)]
)
def test_what_is_above_a_threshold_is_above_it_in_any_asset(text: str, scale: int, units: int) -> None:
    assert money.threshold(text, scale) == units
