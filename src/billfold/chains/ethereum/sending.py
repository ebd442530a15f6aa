"""Hands transactions over, and finds out what has become of them."""

from __future__ import annotations

from typing import Any

import structlog

from billfold.chains import errors
from billfold.chains.ethereum import addresses, transactions
from billfold.chains.ethereum.node import Node, RawBlock, Receipt, Tx
from billfold.chains.ethereum.watching import claims
from billfold.chains.nodes import reading
from billfold.chains.nodes.failures import CallRefused
from billfold.chains.port import Allocation, Fate, Found, Signed, Sought

#: What nodes say that have the transaction: geth and erigon, anvil, nethermind, besu.
_KNOWN = ("already known", "already imported", "alreadyknown", "known transaction")
#: Where a node does not say which block is final. Two epochs are, when all goes well.
_DEEP = 64

_events = structlog.get_logger("chains.ethereum")


async def broadcast(node: Node, signed: Signed) -> None:
    """Hand it over."""

    def read(said: Any) -> None:
        if "0x" + reading.data(said, "hash", length=32).hex() != signed.chain_tx:
            raise errors.NodeWrong("A node has taken another transaction than it was given.")

    def known(refused: CallRefused) -> bool:
        return any(words in refused.message.lower() for words in _KNOWN)

    try:
        await node.rpc.broadcast("eth_sendRawTransaction", "0x" + signed.raw.hex(), read=read, known=known)
    except errors.Refused:
        # "Nonce too low" is also what a node says of a transaction that a block has.
        if not await _known(node, signed):
            raise


async def find(node: Node, signed: Signed, allocation: Allocation) -> Found:
    """What has become of it."""
    assert allocation.nonce is not None, "an allocation of this chain has one"
    receipt = await node.receipt(signed.chain_tx)
    if receipt is not None:
        return await _mined(node, signed, receipt, allocation.source)
    if await node.knows(signed.chain_tx):
        return Found(fate=Fate.PENDING)
    if await node.nonce(allocation.source, "latest") <= allocation.nonce:
        return Found(fate=Fate.UNSEEN)
    return await _used(node, signed, allocation.source, allocation.nonce)


async def seek(node: Node, payload: bytes, allocation: Allocation) -> Sought:
    """What has become of one that others were to sign: whatever used up its number is it, or proves that it is dead.

    A wallet program may have set other fees than were handed out. So it counts as it if it pays the same.
    """
    assert allocation.nonce is not None, "an allocation of this chain has one"
    source, nonce = addresses.canonical(allocation.source), allocation.nonce
    if await node.nonce(source, "latest") <= nonce:
        return Sought(fate=Fate.UNSEEN)
    last = await _final(node)
    try:
        is_final = await node.nonce(source, last) > nonce
        block = await _block_that_used(node, source, nonce, last if is_final else (await node.head()).height)
    except CallRefused:
        return Sought(fate=None)
    used_by = _user(block, source, nonce)
    call = transactions.decode(payload[addresses.BYTES :])
    if (used_by.to, used_by.value, used_by.data) != (call.to, call.value, call.data):
        return Sought(fate=Fate.DEAD if is_final else Fate.UNSEEN)
    if not is_final:
        return Sought(fate=Fate.PENDING)
    # It is in a final block, so nobody will hand these bytes to a node.
    built = transactions.encode_signed(call, parity=0, r=0, s=0)
    return Sought(fate=Fate.MINED, signed=Signed(raw=built, chain_tx=used_by.hash))


async def _known(node: Node, signed: Signed) -> bool:
    try:
        return await node.knows(signed.chain_tx)
    except errors.NodeUnavailable:
        return False


async def _mined(node: Node, signed: Signed, receipt: Receipt, source: str) -> Found:
    block = await node.block(receipt.height)
    if block is None or block.hash != receipt.block:
        return Found(fate=Fate.PENDING, reason="its block was replaced")
    paid, reason = _paid(signed, receipt, source) if receipt.succeeded else (False, "it was reverted")
    return Found(
        fate=Fate.MINED,
        height=receipt.height,
        block=receipt.block,
        succeeded=paid,
        fee=receipt.gas_used * receipt.gas_price,
        reason=reason,
    )


def _paid(signed: Signed, receipt: Receipt, source: str) -> tuple[bool, str]:
    """Whether a transaction that was not reverted has paid, and what is strange about it.

    What a token says of a payment is all that is known of it. It has failed only where nothing has left the source and
    nothing has come to the payee: whoever is told that it failed gets the money back.
    """
    call = transactions.decode_signed(signed.raw)
    transfer = transactions.transferred(call.data)
    if transfer is None:
        return True, ""
    to, amount = transfer
    told = [claim for claim in claims(receipt) if claim.token == call.to]
    left = sum(claim.amount for claim in told if claim.sender == source)
    came = sum(claim.amount for claim in told if claim.address == to)
    if not left and not came:
        return False, "the token tells of no such transfer"
    if (left, came) == (amount, amount):
        return True, ""
    strange = f"the token tells that {left} units have left and {came} have arrived, of {amount}"
    _events.warning("a token has moved another sum than it was told to", chain_tx=receipt.chain_tx, why=strange)
    return True, strange


async def _used(node: Node, signed: Signed, source: str, nonce: int) -> Found:
    """It is dead if a final block has another transaction with its number."""
    final = await _final(node)
    if await node.nonce(source, final) <= nonce:
        return Found(fate=Fate.UNSEEN, reason="another transaction with its number is in a block that is not final yet")
    try:
        block = await _block_that_used(node, source, nonce, final)
    except CallRefused:
        return Found(fate=Fate.UNSEEN, reason="its number is used up; a node that keeps old state could say by what")
    used_by = _user(block, source, nonce).hash
    if used_by == signed.chain_tx:
        # The node that was asked first is behind: nothing is known of it but that it is mined.
        return Found(fate=Fate.PENDING)
    return Found(fate=Fate.DEAD, reason=f"its number was used up by {used_by} in block {block.height}")


def _user(block: RawBlock, source: str, nonce: int) -> Tx:
    found = next((tx for tx in block.txs if (tx.sender, tx.nonce) == (source, nonce)), None)
    if found is None:
        raise errors.NodeWrong(f"By a node's count block {block.height} has number {nonce} of {source}, and has not.")
    return found


async def _final(node: Node) -> int:
    """The height up to which nothing changes any more."""
    try:
        block = await node.block("finalized")
    except CallRefused:
        block = None
    return block.height if block is not None else max((await node.head()).height - _DEEP, 0)


async def _block_that_used(node: Node, source: str, nonce: int, final: int) -> RawBlock:
    """The block in which a source's count has passed `nonce`, sought backwards from a final one."""
    step, last, first = 1, final, final
    while first > 0:
        first = max(final - step, 0)
        if await node.nonce(source, first) <= nonce:
            break
        last, step = first, step * 2
    while last - first > 1:
        middle = (first + last) // 2
        if await node.nonce(source, middle) <= nonce:
            first = middle
        else:
            last = middle
    block = await node.block(last, whole=True)
    if block is None:
        raise errors.NodeWrong(f"A node has lost block {last}.")
    return block
