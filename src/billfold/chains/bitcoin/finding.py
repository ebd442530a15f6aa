"""What has become of a signed transaction, and when it can be said that it never happens.

A transaction is dead when a coin that it spends was spent by another, so many blocks ago that this stays so. No node
says who has spent a coin; but a coin that blocks had, that is not there any more, and that none of the last blocks has
spent, was spent before them; and not by this transaction, since no block has it. All of it has to be seen at one and
the same last block: while the chain moves nothing is said.

It is dead, too, when a transaction that it spends from is dead in this way: a reorganization took that out of its
block, and another has its place for good. No node has such a one any more, so it is read from what was signed.
"""

from __future__ import annotations

import msgspec

from billfold.chains.bitcoin import psbt, transactions
from billfold.chains.bitcoin.node import Node
from billfold.chains.bitcoin.transactions import Transaction
from billfold.chains.port import Allocation, Fate, Found, Signed, Sought


class Finding:
    """Looks for transactions."""

    def __init__(self, node: Node, *, final_blocks: int) -> None:
        self._node = node
        self._final_blocks = final_blocks

    async def found(self, signed: Signed, allocation: Allocation) -> Found:
        """What has become of it.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        before = await self._node.tip()
        placed = await self._node.placed(signed.chain_tx)
        if placed is not None and placed.block is not None:
            fee = _fee(placed.transaction, allocation)
            return Found(fate=Fate.MINED, height=placed.height, block=placed.block, fee=fee)
        if placed is not None and placed.waits:
            return Found(fate=Fate.PENDING)
        spent = await self._spent_long_ago(transactions.transaction(signed.raw), before)
        reason = f"{spent} was spent by another transaction"
        if spent is None and (lost := await self._lost_parent(signed, before)) is not None:
            spent, reason = lost, f"{lost} is on no block, and never will be"
        if spent is not None and await self._node.tip() == before:
            return Found(fate=Fate.DEAD, reason=reason)
        return Found(fate=Fate.UNSEEN)

    async def sought(self, payload: bytes, allocation: Allocation) -> Sought:
        """What has become of one that others were to sign: its id is known before.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        unsigned = psbt.read(payload).transaction
        built = Signed(raw=unsigned.raw, chain_tx=unsigned.txid, payload=payload)
        found = await self.found(built, allocation)
        if found.fate in (Fate.UNSEEN, Fate.DEAD):
            return Sought(fate=found.fate)
        placed = await self._node.placed(unsigned.txid)
        if placed is None:
            return Sought(fate=Fate.PENDING)
        return Sought(fate=found.fate, signed=msgspec.structs.replace(built, raw=placed.transaction.raw))

    async def _lost_parent(self, signed: Signed, tip: tuple[int, str]) -> str | None:
        """A transaction that it spends from, that no node has, and that has a coin which another has spent long ago."""
        if signed.payload is None:
            return None
        for parent in psbt.read(signed.payload).parents:
            if await self._node.placed(parent.txid) is None and await self._spent_long_ago(parent, tip) is not None:
                return parent.txid
        return None

    async def _spent_long_ago(self, transaction: Transaction, tip: tuple[int, str]) -> str | None:
        """A coin of it that is spent and was not by the last blocks."""
        gone = [each.coin for each in transaction.inputs if await self._is_gone(*each.coin)]
        if not gone:
            return None
        recent = await self._spent_by_the_last(tip)
        return next((f"{txid}:{vout}" for txid, vout in gone if (txid, vout) not in recent), None)

    async def _is_gone(self, txid: str, vout: int) -> bool:
        """Whether blocks had the coin and have it no more. Of one that no block has yet nothing is known."""
        if await self._node.unspent(txid, vout):
            return False
        made = await self._node.placed(txid)
        return made is not None and made.block is not None

    async def _spent_by_the_last(self, tip: tuple[int, str]) -> set[tuple[str, int]]:
        """Coins that were spent too short a time ago, or made in so new blocks."""
        height, block_hash = tip
        found: set[tuple[str, int]] = set()
        # A coin that is spent in the last of final blocks is spent final_blocks deep: those above are too new.
        for _ in range(min(self._final_blocks - 1, height)):
            block = await self._node.block(block_hash)
            found |= {each.coin for transaction in block.transactions for each in transaction.inputs}
            block_hash = block.parent
        return found


def _fee(transaction: Transaction, allocation: Allocation) -> int:
    """What it has cost, by the coins that it was made of."""
    amounts = {(each.chain_tx, int(each.index)): each.amount for each in allocation.coins}
    try:
        spent = sum(amounts[each.coin] for each in transaction.inputs)
    except KeyError as error:
        raise AssertionError("the transaction is made of the coins of its allocation") from error
    return spent - sum(each.value for each in transaction.outputs)
