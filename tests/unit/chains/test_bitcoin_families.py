"""What a child pays that a transaction with all it builds on is worth a place in a block."""

import pytest

from billfold.chains.bitcoin.families import Family, child_rate
from billfold.chains.bitcoin.sizes import fee_for

CHILD = 114


def family(*, vsize: int = 200, fee: int = 200, above: tuple[int, int, int] = (1, 200, 200), below: int = 1) -> Family:
    count, above_vsize, above_fee = above
    return Family(
        vsize=vsize,
        fee=fee,
        above=count,
        above_vsize=above_vsize,
        above_fee=above_fee,
        below=below,
        below_vsize=below * 200,
    )


@pytest.mark.parametrize(
    ("waiting", "least"),
    [
        (family(), fee_for(5_000, 200 + CHILD) - 200),
        # What it builds on pays less than itself, so the child pays for that, too.
        (family(above=(2, 700, 700)), fee_for(5_000, 700 + CHILD) - 700),
        # Or so much more that a miner takes it alone, and nothing of it is left for the two others.
        (family(above=(2, 400, 50_000)), fee_for(5_000, 200 + CHILD) - 200),
    ],
)
def test_parent_and_child_pay_the_rate_together_and_hardly_more(waiting: Family, least: int) -> None:
    rate = child_rate(waiting, rate=5_000, vsize=CHILD)
    assert least <= fee_for(rate, CHILD) <= least + 1
    assert not waiting.offers(5_000)
    assert waiting.offers(1_000)


def test_what_pays_enough_by_itself_but_builds_on_less_does_not_offer_enough() -> None:
    waiting = family(fee=2_000, above=(2, 1_200, 3_000))
    assert not waiting.offers(5_000)
    assert fee_for(child_rate(waiting, rate=5_000, vsize=CHILD), CHILD) >= 5 * (1_200 + CHILD) - 3_000


def test_nodes_take_no_child_of_a_full_family() -> None:
    assert not family(above=(24, 24 * 200, 24 * 200), below=24).is_full(CHILD)
    assert family(above=(25, 25 * 200, 25 * 200)).is_full(CHILD)
    assert family(below=25).is_full(CHILD)
    assert family(above=(2, 100_900, 100_900)).is_full(CHILD)
