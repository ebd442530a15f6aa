"""Hands transactions over and finds out what has become of them.

Solana has no room where transactions wait: what no block has yet, no node shows. So nobody can say that a transaction
is lost, until no block that is still to come may have it; and then it is looked for in each of those that might.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from billfold.chains.errors import NodeUnavailable, NodeWrong
from billfold.chains.nodes import reading
from billfold.chains.port import Allocation, Fate, Found, Signed
from billfold.chains.solana import building
from billfold.chains.solana.node import LAMPORTS_MAX, Header, Node

#: The slots in which the blocks are that might have a transaction. There are 150 such blocks; so long without one, the
#: chain would have stood still for hours.
_SLOTS_MAX = 50_000


#: So many blocks more are waited for, and looked into: what nodes say of a blockhash's last block and what the runtime
#: lets pass was one apart before, and to wait for a second costs nothing.
_GRACE = 2
#: So many blocks are asked for at the same time.
_AT_ONCE = 8


class Mined(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction did in its block."""

    slot: int
    fee: int
    error: str


async def find(node: Node, signed: Signed, allocation: Allocation) -> Found:
    """What has become of it.

    Raises:
        NodeUnavailable, NodeWrong.
    """
    # First how far the chain is: a transaction that gets into a block in between is seen then.
    final = await node.final()
    status = await node.status(signed.chain_tx)
    if status is not None:
        return await _mined(node, signed) if status.confirmed else Found(fate=Fate.PENDING)
    assert allocation.last_height is not None, "every allocation of Solana has a last height"
    if final.height <= allocation.last_height + _GRACE:
        return Found(fate=Fate.UNSEEN)
    await _prove_absent(node, signed, allocation, final)
    return Found(fate=Fate.DEAD, reason="Its recent block is too old, and no block has it.")


async def _mined(node: Node, signed: Signed) -> Found:
    mined = await node.transaction(signed.chain_tx, _mined_from)
    block = None if mined is None else await node.header(mined.slot, commitment="confirmed", agreed=True)
    if mined is None or block is None:
        raise NodeUnavailable("A node of Solana knows a transaction, but not its block yet.")
    return Found(
        fate=Fate.MINED,
        height=mined.slot,
        block=block.hash,
        succeeded=not mined.error,
        fee=mined.fee,
        reason=mined.error,
    )


async def _prove_absent(node: Node, signed: Signed, allocation: Allocation, final: Header) -> None:
    """Look into each block that might have it: an index of signatures may have gaps, a chain of blocks has none.

    Raises:
        NodeWrong: a block has it, though the node does not know its signature.
        NodeUnavailable: a block is not to be had any more.
    """
    slot, blockhash = building.anchored(allocation.anchor)
    if await node.first_slot() > slot:
        raise NodeUnavailable("The nodes of Solana have forgotten the blocks in which the transaction might be.")
    last = min(final.slot, slot + _SLOTS_MAX)
    places = await node.slots(slot, last, commitment="finalized")
    parent = blockhash
    count = building.BLOCKS + _GRACE
    if len(places) <= count:
        raise NodeUnavailable("The nodes of Solana do not have all blocks in which the transaction might be.")
    for start in range(1, count + 1, _AT_ONCE):
        some = places[start : min(start + _AT_ONCE, count + 1)]
        for found in await asyncio.gather(*(node.signatures(each) for each in some)):
            # Each follows the one before, or the list of slots has a gap.
            if found is None or found[0].parent != parent:
                raise NodeWrong("A node of Solana gives blocks that do not follow each other.")
            parent = found[0].hash
            if signed.chain_tx in found[1]:
                raise NodeWrong("A node of Solana does not know a signature that one of its blocks has.")


def _mined_from(answer: Any) -> Mined:
    meta = reading.member(answer, "meta")
    error = reading.member(meta, "err")
    return Mined(
        slot=reading.whole(reading.member(answer, "slot"), "slot"),
        fee=reading.whole(reading.member(meta, "fee"), "fee", most=LAMPORTS_MAX),
        error="" if error is None else reading.shown(error),
    )
