"""A Merkle tree of sums: whoever knows its top can be shown that an amount is one of those that the top adds up.

G. Maxwell's proof of liabilities (2013), with both sums of a pair inside the hash. Where only their total is, a prover
can claim the greater of the two in the place of it and still give every holder a proof: K. Hu, Z. Zhang, K. Guo,
"Breaking the binding" (https://eprint.iacr.org/2018/1139); K. Chalkias, P. Chatzigiannis, Y. Ji, "Broken proofs of
solvency" (https://eprint.iacr.org/2022/043). Amounts are whole smallest units and never below zero: a holder who owes
would make the total less than what is owed to the others. A leaf begins with another text than a pair, so that none is
taken for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

HASH_BYTES: Final = 32
#: Unsigned, the first byte the highest. The ledger's largest balance (10^78) a billion times over takes 37.
AMOUNT_BYTES: Final = 40
AMOUNT_END: Final = 1 << 8 * AMOUNT_BYTES
#: More pairs above a leaf than there can be holders.
DEPTH_MAX: Final = 40
_LEAF: Final = b"billfold.reserves.leaf.1\0"
_PAIR: Final = b"billfold.reserves.pair.1\0"


class Node(NamedTuple):
    """A leaf, or everything below a pair: its hash, and the sum of its amounts."""

    hash: bytes
    sum: int


def leaf(holder: bytes, amount: int) -> Node:
    """What is owed to one holder, who is 32 bytes that say nothing to others.

    Raises: ValueError: the amount is below zero, or larger than any.
    """
    assert len(holder) == HASH_BYTES, "callers make it so"
    return Node(sha256(_LEAF + holder + _encoded(amount)).digest(), amount)


def pair(left: Node, right: Node) -> Node:
    """Two nodes side by side.

    Raises: ValueError: a sum is below zero, or larger than any.
    """
    total = left.sum + right.sum
    _encoded(total)
    text = _PAIR + _encoded(left.sum) + left.hash + _encoded(right.sum) + right.hash
    return Node(sha256(text).digest(), total)


def top(nodes: Sequence[Node]) -> Node:
    """The node above all of these, whose number is a power of two."""
    assert nodes and not len(nodes) & (len(nodes) - 1), "callers fill them up"
    row = list(nodes)
    while len(row) > 1:
        row = [pair(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def path(nodes: Sequence[Node], index: int) -> list[Node]:
    """The nodes beside the way from one of these to their top, the lowest first."""
    assert nodes and not len(nodes) & (len(nodes) - 1), "callers fill them up"
    row, found = list(nodes), []
    while len(row) > 1:
        found.append(row[index ^ 1])
        row = [pair(row[at], row[at + 1]) for at in range(0, len(row), 2)]
        index >>= 1
    return found


def climbed(node: Node, index: int, beside: Sequence[Node]) -> Node:
    """Where a way ends that begins at the `index`-th node.

    Raises: ValueError: there is no such way, or a sum on it can't be.
    """
    if len(beside) > DEPTH_MAX or not 0 <= index < 1 << len(beside):
        raise ValueError("there is no such place in a tree of this depth")
    for other in beside:
        if len(other.hash) != HASH_BYTES:
            raise ValueError("a hash has another length")
        node = pair(other, node) if index & 1 else pair(node, other)
        index >>= 1
    return node


def _encoded(amount: int) -> bytes:
    if not 0 <= amount < AMOUNT_END:
        raise ValueError("an amount is below zero, or larger than any")
    return amount.to_bytes(AMOUNT_BYTES, "big")
