"""The best chain as questions are asked about it: blocks, the outputs that nobody has spent, where transactions are.

The kernel tells none of this, so it is kept here, and follows the kernel block by block, backwards too.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import msgspec

from billfold.chains.bitcoin.transactions import Block, Transaction

#: Coins of a new block can be spent when so many are on top of it, itself counted, by consensus.
MATURITY = 100
#: Blocks whose middle time is what time locks go by (BIP-113).
_TIME_BLOCKS = 11

Outpoint = tuple[str, int]


class Coin(msgspec.Struct, frozen=True):
    """An output that nobody has spent."""

    value: int
    script: bytes
    height: int
    coinbase: bool


class View:
    """All blocks ever seen, and of the best chain what it comes to."""

    def __init__(self, genesis: Block) -> None:
        self.blocks: dict[str, Block] = {genesis.hash: genesis}
        self.heights: dict[str, int] = {genesis.hash: 0}
        #: Hashes of the best chain, by height.
        self.chain: list[str] = [genesis.hash]
        #: Nobody can spend the first block's coins.
        self.coins: dict[Outpoint, Coin] = {}
        #: Block by transaction, of the best chain.
        self.places: dict[str, str] = {genesis.transactions[0].txid: genesis.hash}
        self._spent: dict[str, list[tuple[Outpoint, Coin]]] = {}

    @property
    def height(self) -> int:
        """Of the last block."""
        return len(self.chain) - 1

    @property
    def tip(self) -> Block:
        """The last block."""
        return self.blocks[self.chain[-1]]

    def add(self, block: Block) -> None:
        """Keep a block, whether it will be on the best chain or not."""
        self.blocks[block.hash] = block
        self.heights[block.hash] = self.heights[block.parent] + 1

    def on_chain(self, block_hash: str) -> bool:
        """Whether a block is on the best chain."""
        height = self.heights.get(block_hash)
        return height is not None and height <= self.height and self.chain[height] == block_hash

    def transaction(self, txid: str) -> Transaction | None:
        """A transaction of the best chain."""
        place = self.places.get(txid)
        return None if place is None else next(t for t in self.blocks[place].transactions if t.txid == txid)

    def median_time(self, height: int | None = None) -> int:
        """The middle time of the blocks up to a height, the last one by default."""
        last = self.height if height is None else height
        times = [self.blocks[each].time for each in self.chain[max(0, last - _TIME_BLOCKS + 1) : last + 1]]
        return statistics.median_low(times) if len(times) % 2 else sorted(times)[len(times) // 2]

    def connect(self, block: Block) -> None:
        """The best chain has this block now."""
        height = self.height + 1
        spent: list[tuple[Outpoint, Coin]] = []
        for transaction in block.transactions:
            if not transaction.coinbase:
                spent.extend((each.coin, self.coins.pop(each.coin)) for each in transaction.inputs)
            self.places[transaction.txid] = block.hash
            for vout, output in enumerate(transaction.outputs):
                if output.script[:1] != b"\x6a":
                    self.coins[transaction.txid, vout] = Coin(output.value, output.script, height, transaction.coinbase)
        self._spent[block.hash] = spent
        self.chain.append(block.hash)

    def disconnect(self) -> Block:
        """The best chain has its last block no more."""
        block = self.blocks[self.chain.pop()]
        for transaction in block.transactions:
            self.places.pop(transaction.txid, None)
            for vout in range(len(transaction.outputs)):
                self.coins.pop((transaction.txid, vout), None)
        made_here = {transaction.txid for transaction in block.transactions}
        self.coins.update((at, coin) for at, coin in self._spent.pop(block.hash) if at[0] not in made_here)
        return block

    def descendants(self, block_hash: str) -> Iterator[str]:
        """A block and all that stand on it."""
        family = {block_hash}
        for each, block in self.blocks.items():
            if each == block_hash or block.parent in family:
                family.add(each)
                yield each

    def spent_by(self, block_hash: str) -> dict[Outpoint, Coin]:
        """What a block of the best chain has spent."""
        return dict(self._spent.get(block_hash, ()))
