"""Finds out what has become of a transaction that others were to sign, and of which no signature is known.

A signature that is good for a message is of that message. So in each block that might have it those of its payer are
held against it, and whichever is good is the transaction's. One with a durable nonce may be in any block, but whatever
has used the nonce up is known by it.
"""

from __future__ import annotations

from solders.message import from_bytes_versioned, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from billfold.chains.errors import NodeWrong
from billfold.chains.port import Allocation, Fate, Signed, Sought
from billfold.chains.solana import durable, lifetime
from billfold.chains.solana.node import Node


async def seek(node: Node, payload: bytes, allocation: Allocation) -> Sought:
    """What has become of it, once no block can have it any more.

    Raises:
        NodeUnavailable, NodeWrong.
    """
    if allocation.endures:
        return await _seek_durable(node, payload, allocation)
    final = await node.final()
    if not lifetime.is_over(allocation, final):
        return Sought(fate=Fate.UNSEEN)
    slots = await lifetime.places(node, allocation, final)
    if slots is None:
        return Sought(fate=None)
    # Of a sweep of tokens whoever pays the fee signs first.
    pays = allocation.change or allocation.source
    payer = Pubkey.from_string(pays)
    look = lambda slot: node.signatures_of(slot, pays)  # noqa: E731 - it has one line
    async for signatures in lifetime.signatures(allocation, slots, look):
        for text in signatures:
            signature = _signature(text)
            if signature.verify(payer, payload):
                made = VersionedTransaction.populate(from_bytes_versioned(payload), [signature])
                return Sought(fate=Fate.MINED, signed=Signed(raw=bytes(made), chain_tx=text))
    return Sought(fate=Fate.DEAD)


async def _seek_durable(node: Node, payload: bytes, allocation: Allocation) -> Sought:
    anchor = durable.anchor(allocation)
    moved = await durable.moved_on(node, anchor)
    if moved is None:
        return Sought(fate=Fate.UNSEEN)
    user = await durable.user(node, anchor, slot=moved)
    if user is None:
        return Sought(fate=None)
    if to_bytes_versioned(user.message) != payload:
        return Sought(fate=Fate.DEAD)
    return Sought(fate=Fate.MINED, signed=Signed(raw=bytes(user), chain_tx=str(user.signatures[0])))


def _signature(text: str) -> Signature:
    try:
        return Signature.from_string(text)
    except ValueError as error:
        raise NodeWrong("A node of Solana gives a signature that is none.") from error
