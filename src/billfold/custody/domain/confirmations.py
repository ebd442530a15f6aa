"""How many blocks have confirmed something, and how many have to."""

from __future__ import annotations


def count(height: int | None, last: int | None) -> int:
    """Confirmations of what the block at `height` has, when the chain is read up to `last`: its own block is one."""
    return 0 if height is None or last is None else max(last - height + 1, 0)


def needed(asked: int, matures_after: int) -> int:
    """Confirmations that it takes: what is asked of all, and more of coins that can't be spent before."""
    return max(asked, matures_after)
