from __future__ import annotations

import pytest

from bench.rows import Row, Target, cost

AT_LEAST = Target("≥", 1.5, "×", moonshot=2.5)
AT_MOST = Target("≤", 400, "bytes")


def _row(value: float, ratio: float | None = None, target: Target | None = None) -> Row:
    return Row(work="anything", value=value, unit="/s", ratio=ratio, target=target)


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [(1.5, "reached"), (2.49, "reached"), (2.5, "moonshot reached"), (1.2, "missed: 80% of the bound")],
)
def test_a_ratio_is_judged_where_there_is_one(ratio: float, verdict: str) -> None:
    assert _row(9_000, ratio, AT_LEAST).verdict == verdict


@pytest.mark.parametrize(("value", "verdict"), [(400, "reached"), (100, "reached"), (500, "missed: 125% of the bound")])
def test_a_value_is_judged_where_there_is_no_ratio(value: float, verdict: str) -> None:
    assert _row(value, target=AT_MOST).verdict == verdict


def test_a_row_without_a_target_has_no_verdict() -> None:
    assert _row(1).verdict == ""


def test_a_target_names_its_moonshot() -> None:
    assert str(AT_LEAST) == "≥ 1.50× (moonshot 2.50×)"
    assert str(AT_MOST) == "≤ 400 bytes"


def test_the_cost_of_an_operation_is_split_by_who_spent_it() -> None:
    found = cost({"api": 2.0, "postgres": 1.0, "worker": 0.5, "nats": 0.25, "billfold": 9.0}, 10_000)
    assert found.serving == pytest.approx(0.3)
    assert found.whole == pytest.approx(0.375)


def test_no_operations_cost_what_was_spent() -> None:
    assert cost({"api": 1.0}, 0).serving == 1000
