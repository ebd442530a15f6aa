from __future__ import annotations

import pytest

from bench import figures


def test_a_percentile_is_the_smallest_value_that_covers_its_share() -> None:
    values = [float(number) for number in range(1, 101)]
    assert figures.percentile(values, 0.5) == 50
    assert figures.percentile(values, 0.99) == 99
    assert figures.percentile(values, 1) == 100


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert figures.percentile([7.0], 0.5) == figures.percentile([7.0], 0.99) == 7


def test_the_order_of_the_values_does_not_matter() -> None:
    assert figures.percentile([3.0, 1.0, 2.0], 0.5) == 2


def test_one_slow_round_does_not_move_the_median() -> None:
    assert figures.median([10.0, 11.0, 900.0]) == 11


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.15, "0.150"),
        (0.04567, "0.0457"),
        (1.5, "1.50"),
        (40.0, "40.0"),
        (400.0, "400"),
        (7234.5, "7,230"),
        (45678.0, "45,700"),
        (9.999, "10.0"),
        (999.9, "1,000"),
        (-0.5, "-0.500"),
    ],
)
def test_three_digits_are_shown(value: float, text: str) -> None:
    assert figures.significant(value) == text
