"""The tree of sums: every amount can be shown to be in it, and nothing else can."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.custody.domain import sum_trees
from billfold.custody.domain.sum_trees import AMOUNT_END, Node, climbed, leaf, pair, path, top

AMOUNTS = st.integers(0, 10**30) | st.integers(0, 5)


def leaves(amounts: list[int]) -> list[Node]:
    """A tree's, filled up with nobody."""
    size = 1 << (len(amounts) - 1).bit_length()
    filled = amounts + [0] * (size - len(amounts))
    return [leaf(sha256(str(at).encode()).digest(), amount) for at, amount in enumerate(filled)]


TREES = st.lists(AMOUNTS, min_size=2, max_size=20).map(leaves)


@given(TREES, st.data())
def test_every_leaf_leads_to_the_top_which_has_the_sum_of_all(nodes: list[Node], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(nodes) - 1))
    end = climbed(nodes[at], at, path(nodes, at))
    assert end == top(nodes)
    assert end.sum == sum(node.sum for node in nodes)


@given(TREES, st.data())
def test_no_way_with_anything_changed_leads_to_the_top(nodes: list[Node], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(nodes) - 1))
    way, end = path(nodes, at), top(nodes)
    step = data.draw(st.integers(0, len(way) - 1))
    more = data.draw(st.integers(1, 10**30))
    other = way[step]
    changed = [
        # A sum that is moved between neighbours, or grows; another hash; the neighbours in each other's place.
        (nodes[at]._replace(sum=nodes[at].sum + more), at, [other._replace(sum=max(0, other.sum - more)), *way[1:]]),
        (nodes[at], at, [*way[:step], other._replace(sum=other.sum + more), *way[step + 1 :]]),
        (nodes[at], at, [*way[:step], other._replace(hash=bytes(32)), *way[step + 1 :]]),
        (nodes[at], at ^ 1 << step, way),
        (nodes[at], at >> 1, way[1:]),
        (nodes[at], at, [*way, Node(bytes(32), 0)]),
    ]
    for start, index, beside in changed:
        assert climbed(start, index, beside) != end


@given(TREES, st.data())
def test_a_tree_without_one_of_its_leaves_has_another_top(nodes: list[Node], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(nodes) - 1))
    dropped = [*nodes[:at], leaf(bytes(32), 0), *nodes[at + 1 :]]
    assert top(dropped) != top(nodes)
    assert climbed(nodes[at], at, path(dropped, at)) != top(dropped)


def test_both_sums_of_a_pair_are_in_its_hash_so_that_none_can_be_passed_over() -> None:
    """Where the hash has their total alone, 5 | 3 could be told as 5 to the one and as 5 to the other holder."""
    left, right = leaf(b"l" * 32, 5), leaf(b"r" * 32, 3)
    seen = {pair(left, right).hash}
    seen.add(pair(left._replace(sum=3), right._replace(sum=5)).hash)
    seen.add(pair(left._replace(sum=8), right._replace(sum=0)).hash)
    seen.add(pair(left, right._replace(sum=0)).hash)
    seen.add(pair(right, left).hash)
    assert len(seen) == 5


def test_no_amount_below_zero_is_anywhere_in_a_tree() -> None:
    fine, bad = leaf(bytes(32), 5), Node(bytes(32), -1)
    wrongs: tuple[Callable[[], Node], ...] = (
        lambda: leaf(bytes(32), -1),
        lambda: leaf(bytes(32), AMOUNT_END),
        lambda: pair(fine, bad),
        lambda: pair(bad, fine),
        # Above zero together, and yet one is not.
        lambda: climbed(fine, 0, [bad]),
        lambda: climbed(fine, 1, [bad]),
        lambda: pair(Node(bytes(32), AMOUNT_END - 1), Node(bytes(32), 1)),
    )
    for wrong in wrongs:
        with pytest.raises(ValueError, match="amount"):
            wrong()


def test_a_way_that_can_not_be_is_refused() -> None:
    start = leaf(bytes(32), 1)
    for index, beside in ((1, []), (-1, [start]), (2, [start]), (0, [start] * (sum_trees.DEPTH_MAX + 1))):
        with pytest.raises(ValueError, match="no such place"):
            climbed(start, index, beside)
    with pytest.raises(ValueError, match="length"):
        climbed(start, 0, [Node(b"short", 1)])


def test_a_leaf_is_never_taken_for_a_pair() -> None:
    """A pair's text as somebody's leaf would hide everything below it."""
    below = pair(leaf(bytes(32), 1), leaf(bytes(32), 2))
    assert leaf(below.hash, below.sum).hash != below.hash
