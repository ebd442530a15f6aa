"""The Merkle tree of RFC 6962 §2.1: hashes, what proofs are made of, how they are checked (RFC 9162 §2.1.3, 2.1.4).

A tree of n leaves is folded from complete subtrees, whose hashes never change when more leaves come. So nothing here
holds a tree: whoever has the hashes of complete subtrees can make each root and each proof of every size up to now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

HASH_BYTES = 32
#: The root of a tree without leaves.
EMPTY_ROOT = sha256(b"").digest()


class Node(NamedTuple):
    """A complete subtree of 2**level leaves, of which the first is number `number` * 2**level."""

    level: int
    number: int


#: Leaves from the first to before the second.
Range = tuple[int, int]


def leaf_hash(content: bytes) -> bytes:
    """The hash of a leaf. It can't be mistaken for that of a node, whose hash begins with another byte."""
    return sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of what stands above two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """The hash of a complete subtree, from a power of two of hashes of one level."""
    assert hashes, "a subtree has leaves"
    assert len(hashes).bit_count() == 1, "it is complete"
    while len(hashes) > 1:
        hashes = [node_hash(hashes[place], hashes[place + 1]) for place in range(0, len(hashes), 2)]
    return hashes[0]


def covering(leaves: Range) -> list[Node]:
    """The complete subtrees that the hash of this range of a proof or a root is folded from, from left to right."""
    begin, end = leaves
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        assert begin % (1 << level) == 0, "such a range is in no proof"
        nodes.append(Node(level, begin >> level))
        begin += 1 << level
    return nodes


def range_hash(leaves: Range, hashes: Mapping[Node, bytes]) -> bytes:
    """The hash of a range, from those of its complete subtrees."""
    *others, last = (hashes[node] for node in covering(leaves))
    for left in reversed(others):
        last = node_hash(left, last)
    return last


def root(size: int, hashes: Mapping[Node, bytes]) -> bytes:
    """The root of the tree of the first `size` leaves."""
    return range_hash((0, size), hashes) if size else EMPTY_ROOT


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The ranges whose hashes prove that leaf `index` is in the tree of `size` leaves: PATH(m, D[n])."""
    assert 0 <= index < size, "it is in the tree"
    begin, end = 0, size
    ranges: list[Range] = []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    return ranges[::-1]


def consistency_ranges(first: int, second: int) -> list[Range]:
    """The ranges whose hashes prove that the tree of `first` leaves begins that of `second`: PROOF(m, D[n])."""
    assert 0 <= first <= second, "the tree has grown"
    begin, end, left = 0, second, first
    ranges: list[Range] = []
    while 0 < left < end - begin:
        half = _split(end - begin)
        if left <= half:
            ranges.append((begin + half, end))
            end = begin + half
        else:
            ranges.append((begin, begin + half))
            begin += half
            left -= half
    # The verifier has the hash of the first tree itself.
    if begin:
        ranges.append((begin, end))
    return ranges[::-1]


def is_included(*, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that the leaf of this hash is number `index` of the tree with this size and root."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(step, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, step)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(*, first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes) -> bool:
    """Whether `proof` shows that the tree of `second` leaves is the one of `first` with more leaves behind them."""
    if not 0 <= first <= second:
        return False
    if first in (0, second):
        same = EMPTY_ROOT if first == 0 else second_root
        return not proof and first_root == same
    steps = [first_root, *proof] if first.bit_count() == 1 else list(proof)
    if not steps:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, step)
        place, last = place >> 1, last >> 1
    return last == 0 and before == first_root and after == second_root


class Frontier:
    """A tree to which leaves are only added, as the few hashes that its root is folded from (a compact range)."""

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self._hashes = list(hashes)
        assert len(self._hashes) == size.bit_count(), "one for each complete subtree"

    def append(self, leaf: bytes) -> None:
        """Add a leaf by its hash."""
        found, size = leaf, self.size
        while size & 1:
            found = node_hash(self._hashes.pop(), found)
            size >>= 1
        self._hashes.append(found)
        self.size += 1

    @property
    def root(self) -> bytes:
        """The root of what was added."""
        if not self._hashes:
            return EMPTY_ROOT
        *others, found = self._hashes
        for left in reversed(others):
            found = node_hash(left, found)
        return found


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
