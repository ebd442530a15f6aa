"""Hands transactions over and finds out what has become of them.

Solana has no room where transactions wait: what no block has yet, no node shows. So nobody can say that a transaction
is lost, until no block that is still to come may have it; and then it is looked for in each of those that might.
"""

from __future__ import annotations

from typing import Any

import msgspec
from solders.message import to_bytes_versioned
from solders.transaction import VersionedTransaction

from billfold.chains.errors import NodeUnavailable, NodeWrong
from billfold.chains.nodes import reading
from billfold.chains.port import Allocation, Fate, Found, Signed
from billfold.chains.solana import durable, lifetime, nonces
from billfold.chains.solana.node import Node
from billfold.chains.solana.records import LAMPORTS_MAX, Header

#: An index of an account is one byte.
_ACCOUNTS_MAX = 256


class Mined(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction did in its block."""

    slot: int
    fee: int
    #: What it has cost whoever pays the fee, with all that else left there.
    left: int
    error: str


async def find(node: Node, signed: Signed, allocation: Allocation) -> Found:
    """What has become of it.

    Raises:
        NodeUnavailable, NodeWrong.
    """
    if allocation.endures:
        return await _find_durable(node, signed, allocation)
    # First how far the chain is: a transaction that gets into a block in between is seen then.
    final = await node.final()
    status = await node.status(signed.chain_tx)
    if status is not None:
        return await _mined(node, signed, allocation) if status.confirmed else Found(fate=Fate.PENDING)
    if not lifetime.is_over(allocation, final):
        return Found(fate=Fate.UNSEEN)
    await _prove_absent(node, signed, allocation, final)
    return Found(fate=Fate.DEAD, reason="Its recent block is too old, and no block has it.")


async def _find_durable(node: Node, signed: Signed, allocation: Allocation) -> Found:
    anchor = durable.anchor(allocation)
    # First the nonce: a transaction that uses it up in between is seen then.
    moved = await durable.moved_on(node, anchor)
    status = await node.status(signed.chain_tx)
    if status is not None:
        return await _mined(node, signed, allocation) if status.confirmed else Found(fate=Fate.PENDING)
    if moved is None:
        return Found(fate=Fate.UNSEEN)
    user = await durable.user(node, anchor, slot=moved)
    if user is None:
        raise NodeUnavailable("The nodes of Solana do not show which transaction has used up a nonce.")
    if to_bytes_versioned(user.message) == _message(signed):
        # The same in a block under a signature of its own: who has the key can sign twice.
        same = msgspec.structs.replace(signed, chain_tx=str(user.signatures[0]))
        return await _mined(node, same, allocation)
    return Found(fate=Fate.DEAD, reason="Another transaction has used up its nonce.")


async def _mined(node: Node, signed: Signed, allocation: Allocation) -> Found:
    mined = await node.transaction(signed.chain_tx, _mined_from)
    block = None if mined is None else await node.header(mined.slot, commitment="confirmed", agreed=True)
    if mined is None or block is None:
        raise NodeUnavailable("A node of Solana knows a transaction, but not its block yet.")
    # Who pays for another, or opens accounts of its own, gives nothing beside the fee but the rent of these.
    alone = allocation.change is not None or nonces.is_opening(_message(signed))
    return Found(
        fate=Fate.MINED,
        height=mined.slot,
        block=block.hash,
        succeeded=not mined.error,
        fee=max(mined.left, mined.fee) if alone else mined.fee,
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


def _message(signed: Signed) -> bytes:
    return to_bytes_versioned(VersionedTransaction.from_bytes(signed.raw).message)


def _mined_from(answer: Any) -> Mined:
    meta = reading.member(answer, "meta")
    error = reading.member(meta, "err")
    return Mined(
        slot=reading.whole(reading.member(answer, "slot"), "slot"),
        fee=reading.whole(reading.member(meta, "fee"), "fee", most=LAMPORTS_MAX),
        left=_first(meta, "preBalances") - _first(meta, "postBalances"),
        error="" if error is None else reading.shown(error),
    )


def _first(meta: Any, side: str) -> int:
    """The balance of the first account, whose the fee is."""
    found = reading.items(reading.member(meta, side), "balances", most=_ACCOUNTS_MAX)
    if not found:
        raise NodeWrong("A node gives a transaction without balances.")
    return reading.whole(found[0], "balance", most=LAMPORTS_MAX)
