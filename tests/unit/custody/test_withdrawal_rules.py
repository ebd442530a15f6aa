"""The arithmetic of withdrawals makes and loses nothing."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from billfold.custody.contracts import Tier
from billfold.custody.domain import withdrawals as rules
from billfold.custody.domain.withdrawals import Due, Held
from billfold.kernel import ids

_AMOUNTS = st.integers(1, 10**20)


@given(st.lists(_AMOUNTS, min_size=1, max_size=4), st.data())
def test_a_plan_pays_every_due_and_ends_every_hold_once(held: list[int], data: st.DataObject) -> None:
    left, dues = sum(held), []
    for _ in range(data.draw(st.integers(0, 3))):
        if left:
            dues.append(Due(ids.new(), data.draw(st.integers(1, left))))
            left -= dues[-1].amount
    holds = [Held(ids.new(), amount) for amount in held]
    steps = rules.plan(holds, dues)
    paid: Counter[object] = Counter()
    for hold in holds:
        of_hold = [step for step in steps if step.hold_id == hold.hold_id]
        taken = sum(step.amount for step in of_hold)
        assert taken <= hold.amount
        # It is used up, or its rest goes back by its last step and by no other.
        ends = [step.account is None or step.release_rest for step in of_hold]
        assert ends == [False] * (len(of_hold) - 1) + [taken < hold.amount]
        for step in of_hold:
            if step.account is not None:
                paid[step.account] += step.amount
    assert paid == Counter({due.account: due.amount for due in dues})


@given(st.integers(0, 10**20), st.lists(st.integers(0, 10**20), min_size=1, max_size=50))
def test_shares_of_a_fee_are_within_their_limits_and_the_rest_is_the_houses(cost: int, limits: list[int]) -> None:
    parts, house = rules.shares(cost, limits)
    assert sum(parts) + house == cost
    assert all(0 <= part <= limit for part, limit in zip(parts, limits, strict=True))
    assert house >= 0


def test_a_service_fee_is_that_of_the_highest_tier_reached_with_a_part_of_a_unit_as_one() -> None:
    tiers = [Tier(flat="0.01", per_mille=2), Tier(above="10", flat="0.05", per_mille=1)]
    found = [rules.service_fee(units, tiers, scale=2) for units in (1, 500, 501, 999, 1_000, 100_000)]
    assert found == [2, 2, 3, 3, 6, 105]
    assert rules.service_fee(10**30, [], scale=18) == 0


def test_pauses_grow_up_to_five_minutes() -> None:
    assert [rules.pause(tries).total_seconds() for tries in (0, 1, 5, 9, 1_000)] == [1, 2, 32, 300, 300]
