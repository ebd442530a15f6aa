"""The chain as a whole: what comes in is looked at, written down, and only then answered for."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from billfold.chains.bitcoin import transactions
from billfold.chains.bitcoin.transactions import Block, Transaction
from billfold.devnet.bitcoin import mining
from billfold.devnet.bitcoin.consensus import Kernel
from billfold.devnet.bitcoin.journal import Journal, Record
from billfold.devnet.bitcoin.mempool import Mempool, Waiting
from billfold.devnet.bitcoin.rules import Rejected
from billfold.devnet.bitcoin.view import View
from billfold.devnet.serving import DevnetConflict


class Node:
    """One chain of regtest with its mempool. Nothing here waits, so one thing happens after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journal = Journal(folder / "journal")
        self._wrong: set[str] = set()
        self._dropped: set[str] = set()
        for left in folder.glob("kernel-*"):
            shutil.rmtree(left)
        self._kernel = Kernel(folder)
        self.view = View(transactions.block(self._kernel.genesis()))
        self.mempool = Mempool(self.view, _now)

    def open(self) -> None:
        """Have everything happen again that ever did."""
        for record in self._journal.open():
            self._again(record)

    def close(self) -> None:
        """Give the files back."""
        self._journal.close()
        self._kernel.close()

    def submit(self, raw: bytes) -> str | None:
        """Take a block of somebody's; Bitcoin Core's word for why not, or None."""
        try:
            block = transactions.block(raw)
        except transactions.Malformed:
            return "Block decode failed"
        if block.hash in self.view.blocks:
            return "duplicate"
        refused = self._take(block)
        if refused is None:
            self._journal.append([Record("block", raw)])
            return None if self.view.on_chain(block.hash) else "inconclusive"
        return refused

    def accept(self, transaction: Transaction) -> Waiting:
        """Let a transaction wait for a block.

        Raises: Rejected.
        """
        entry, replaced = self.mempool.check(transaction)
        self._journal.append([Record("waiting", transaction.raw)])
        self.mempool.add(entry, replaced)
        # Whoever sends it again wants it again.
        self._dropped.discard(transaction.txid)
        return entry

    def mine(self, count: int, script: bytes) -> list[str]:
        """Make blocks out of what waits; their hashes."""
        made: list[Block] = []
        while len(made) < count:
            waiting = self.mempool.waiting
            contents = mining.fitting([waiting[txid].transaction for txid in self.mempool.in_order()])
            block = mining.mined(
                parent=self.view.tip.hash,
                height=self.view.height + 1,
                time=max(_now(), self.view.median_time() + 1),
                script=script,
                contents=contents,
                fees=sum(waiting[each.txid].fee for each in contents),
            )
            refused = self._take(block)
            if refused is None:
                made.append(block)
                continue
            # Each of them could be mined, but not all in one block: there is a bound for signature checks together.
            assert contents, f"an empty block of our own is refused: {refused}"
            self.mempool.forget(each.txid for each in contents)
        self._journal.append([Record("block", block.raw) for block in made])
        return [block.hash for block in made]

    def reorg(self, *, depth: int, drop: bool, script: bytes) -> None:
        """Replace the last blocks by one more.

        Raises: DevnetConflict.
        """
        if depth > self.view.height:
            raise DevnetConflict(f"There are {self.view.height} blocks that can be replaced.")
        old = [self.view.blocks[each] for each in self.view.chain[-depth:]]
        moved = [each for block in old for each in block.transactions[1:]]
        gone = {each.txid for each in moved} if drop else self._lost(old)
        records = [Record("dropped", "".join(sorted(gone)).encode())] if drop else []
        self._dropped |= gone if drop else set()
        for block in self._instead(old, gone, script):
            refused = self._take(block)
            assert refused is None, f"a block of our own is refused: {refused}"
            records.append(Record("block", block.raw))
        self._journal.append(records)

    def is_wrong(self, block_hash: str) -> bool:
        """Whether somebody has said so."""
        return block_hash in self._wrong

    def invalidate(self, block_hash: str) -> None:
        """Take a block and all that stand on it for wrong."""
        self._wrong.update(self.view.descendants(block_hash))
        self._journal.append([Record("wrong", block_hash.encode())])
        self._start_over()

    def reconsider(self, block_hash: str) -> None:
        """Take it back."""
        self._wrong.difference_update([*self.view.descendants(block_hash), *self._ancestors(block_hash)])
        self._journal.append([Record("right", block_hash.encode())])
        self._start_over()

    def _again(self, record: Record) -> None:
        text = record.data
        match record.kind:
            case "block":
                self._take(transactions.block(text))
            case "waiting":
                try:
                    transaction = transactions.transaction(text)
                    self.mempool.add(*self.mempool.check(transaction))
                    self._dropped.discard(transaction.txid)
                except Rejected:
                    return
            case "dropped":
                joined = text.decode()
                self._dropped.update(joined[at : at + 64] for at in range(0, len(joined), 64))
            case "wrong":
                self._wrong.update(self.view.descendants(text.decode()))
                self._start_over()
            case "right":
                block_hash = text.decode()
                self._wrong.difference_update([*self.view.descendants(block_hash), *self._ancestors(block_hash)])
                self._start_over()

    def _take(self, block: Block) -> str | None:
        """Have the kernel judge a block, and follow it."""
        if block.parent in self._wrong:
            return "bad-prevblk"
        refused = self._kernel.submit(block.raw)
        if refused is not None:
            return refused
        if block.parent not in self.view.blocks:
            return "prev-blk-not-found"
        self.view.add(block)
        self._follow()
        return None

    def _follow(self) -> None:
        """The view and the mempool become as the kernel's best chain."""
        view, left = self.view, list[Block]()
        while view.height > self._kernel.height or view.chain[-1] != self._kernel.hash_at(view.height):
            left.append(view.disconnect())
        while view.height < self._kernel.height:
            block = view.blocks[self._kernel.hash_at(view.height + 1)]
            view.connect(block)
            if not left:
                self.mempool.mined(block.transactions)
        if left:
            returned = [each for block in reversed(left) for each in block.transactions[1:]]
            self.mempool.rebuild(returned, without=self._dropped)

    def _start_over(self) -> None:
        """The kernel takes nothing back, so another one is told all but what is wrong now."""
        self._kernel.close()
        self._kernel = Kernel(self._folder)
        for block in list(self.view.blocks.values())[1:]:
            if block.hash not in self._wrong:
                self._kernel.submit(block.raw)
        self._follow()

    def _ancestors(self, block_hash: str) -> list[str]:
        found = []
        while (block := self.view.blocks.get(block_hash)) is not None:
            found.append(block_hash)
            block_hash = block.parent
        return found

    def _lost(self, old: Sequence[Block]) -> set[str]:
        """Transactions that can't be mined again, since they spend new coins of blocks that are replaced."""
        lost = {block.transactions[0].txid for block in old}
        for block in old:
            lost |= {t.txid for t in block.transactions[1:] if any(each.txid in lost for each in t.inputs)}
        return lost

    def _instead(self, old: Sequence[Block], gone: set[str], script: bytes) -> list[Block]:
        """Blocks in place of those, with the same transactions but the lost ones, and one more that is empty."""
        fork = self.view.heights[old[0].hash] - 1
        times = [self.view.blocks[each].time for each in self.view.chain[max(0, fork - 10) : fork + 1]]
        made: list[Block] = []
        for number in range(len(old) + 1):
            before = old[number].transactions[1:] if number < len(old) else ()
            contents = [each for each in before if each.txid not in gone]
            block = mining.mined(
                parent=made[-1].hash if made else old[0].parent,
                height=fork + 1 + number,
                time=max(_now(), sorted(times)[len(times) // 2] + 1),
                script=script,
                contents=contents,
                fees=self._fees(old[number].hash, contents) if contents else 0,
            )
            times = [*times[-10:], block.time]
            made.append(block)
        return made

    def _fees(self, block_hash: str, contents: Sequence[Transaction]) -> int:
        """What transactions of a block of the best chain pay for it."""
        made = {
            (each.txid, vout): output.value
            for each in self.view.blocks[block_hash].transactions
            for vout, output in enumerate(each.outputs)
        }
        made |= {at: coin.value for at, coin in self.view.spent_by(block_hash).items()}
        paid = sum(made[each.coin] for transaction in contents for each in transaction.inputs)
        return paid - sum(output.value for transaction in contents for output in transaction.outputs)


def _now() -> int:
    return int(time.time())
