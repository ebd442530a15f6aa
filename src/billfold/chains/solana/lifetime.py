"""The blocks in which a transaction might be: those 150 in which its recent block counts, and some more.

An index of signatures may have gaps, a chain of blocks has none: each names the one before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from billfold.chains.errors import NodeWrong
from billfold.chains.port import Allocation
from billfold.chains.solana import building
from billfold.chains.solana.node import Node
from billfold.chains.solana.records import Header

#: So many blocks more are waited for, and looked into: what nodes say of a blockhash's last block and what the runtime
#: lets pass was one apart before, and to wait for a second costs nothing.
GRACE = 2
#: The slots in which the blocks are that might have a transaction. There are 150 such blocks; so long without one, the
#: chain would have stood still for hours.
_SLOTS_MAX = 50_000
#: So many blocks are asked for at the same time.
_AT_ONCE = 8

Look = Callable[[int], Awaitable[tuple[Header, frozenset[str]] | None]]


def is_over(allocation: Allocation, final: Header) -> bool:
    """Whether no block after a final one can have it."""
    assert allocation.last_height is not None, "every allocation of Solana has a last height"
    return final.height > allocation.last_height + GRACE


async def places(node: Node, allocation: Allocation, final: Header) -> Sequence[int] | None:
    """The slots of these blocks, after that of the recent block; None: the nodes do not have all of them any more.

    Raises:
        NodeUnavailable, NodeWrong.
    """
    slot, _ = building.anchored(allocation.anchor)
    if await node.first_slot() > slot:
        return None
    count = building.BLOCKS + GRACE
    found = await node.slots(slot, min(final.slot, slot + _SLOTS_MAX), commitment="finalized")
    return found[1 : count + 1] if len(found) > count else None


async def signatures(allocation: Allocation, slots: Sequence[int], look: Look) -> AsyncIterator[frozenset[str]]:
    """What `look` finds in each of these blocks.

    Raises:
        NodeWrong: they do not follow each other, or the list of slots has a gap.
        NodeUnavailable
    """
    _, parent = building.anchored(allocation.anchor)
    for start in range(0, len(slots), _AT_ONCE):
        for found in await asyncio.gather(*(look(each) for each in slots[start : start + _AT_ONCE])):
            if found is None or found[0].parent != parent:
                raise NodeWrong("A node of Solana gives blocks that do not follow each other.")
            parent = found[0].hash
            yield found[1]
