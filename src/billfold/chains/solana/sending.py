"""Hands transactions over and finds out what has become of them.

Solana has no room where transactions wait: what no block has yet, no node shows. So nobody can say that a transaction
is lost, until no block that is still to come may have it; and then it is looked for in each of those that might.
"""

from __future__ import annotations

from typing import Any

import msgspec

from billfold.chains.errors import NodeUnavailable, NodeWrong
from billfold.chains.nodes import reading
from billfold.chains.port import Allocation, Fate, Found, Signed
from billfold.chains.solana import lifetime
from billfold.chains.solana.node import LAMPORTS_MAX, Header, Node


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
    if not lifetime.is_over(allocation, final):
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
    """Look into each block that might have it.

    Raises:
        NodeWrong: a block has it, though the node does not know its signature.
        NodeUnavailable: a block is not to be had any more.
    """
    slots = await lifetime.places(node, allocation, final)
    if slots is None:
        raise NodeUnavailable("The nodes of Solana have forgotten blocks in which the transaction might be.")
    async for signatures in lifetime.signatures(allocation, slots, node.signatures):
        if signed.chain_tx in signatures:
            raise NodeWrong("A node of Solana does not know a signature that one of its blocks has.")


def _mined_from(answer: Any) -> Mined:
    meta = reading.member(answer, "meta")
    error = reading.member(meta, "err")
    return Mined(
        slot=reading.whole(reading.member(answer, "slot"), "slot"),
        fee=reading.whole(reading.member(meta, "fee"), "fee", most=LAMPORTS_MAX),
        error="" if error is None else reading.shown(error),
    )
