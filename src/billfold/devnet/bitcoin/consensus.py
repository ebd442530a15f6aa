"""Bitcoin Core's consensus code (libbitcoinkernel): it alone says which blocks are right and which chain is the best.

It keeps its databases in memory: what is durable is our journal, which is told to it again at each start.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pbk
from pbk.script import PrecomputedTransactionData

from billfold.chains.bitcoin.transactions import Output, Transaction

#: What the kernel says of a block that it does not take; it keeps the exact rule to itself.
_REASONS = {
    pbk.BlockValidationResult.CONSENSUS: "bad-block",
    pbk.BlockValidationResult.CACHED_INVALID: "duplicate-invalid",
    pbk.BlockValidationResult.INVALID_HEADER: "bad-header",
    pbk.BlockValidationResult.MUTATED: "bad-txnmrklroot",
    pbk.BlockValidationResult.MISSING_PREV: "prev-blk-not-found",
    pbk.BlockValidationResult.INVALID_PREV: "bad-prevblk",
    pbk.BlockValidationResult.TIME_FUTURE: "time-too-new",
}


class Kernel:
    """One chain state of regtest."""

    def __init__(self, folder: Path) -> None:
        """What it writes is in a folder of its own below `folder`, until it is closed."""
        self._folder = Path(tempfile.mkdtemp(dir=folder, prefix="kernel-"))
        self._refused: str | None = None
        # It calls back while it works, in this thread; the object must live as long as the kernel.
        self._callbacks = pbk.ValidationInterfaceCallbacks(block_checked=self._checked)
        context = pbk.make_context(pbk.ChainType.REGTEST, self._callbacks)
        options = pbk.ChainstateManagerOptions(context, str(self._folder), str(self._folder / "blocks"))
        options.update_block_tree_db_in_memory(True)  # noqa: FBT003 - the kernel's own signature
        options.update_chainstate_db_in_memory(True)  # noqa: FBT003
        self._manager = pbk.ChainstateManager(options)

    def close(self) -> None:
        """Remove what it has written: nobody reads that again."""
        del self._manager
        shutil.rmtree(self._folder)

    def submit(self, raw: bytes) -> str | None:
        """Have it look at a block; why it is none, or None if it may be part of a chain."""
        self._refused = None
        try:
            self._manager.process_block(pbk.Block(raw))
        except pbk.ProcessBlockException:
            # It has called back by then, unless the block did not even get so far.
            said: str | None = self._refused
            return said or "rejected"
        except RuntimeError:
            return "Block decode failed"
        return self._refused

    def genesis(self) -> bytes:
        """The first block, which nobody submits."""
        return bytes(self._manager.blocks[self._manager.get_active_chain().block_tree_entries[0]])

    @property
    def height(self) -> int:
        """Of the last block of the best chain."""
        height: int = self._manager.get_active_chain().height
        return height

    def hash_at(self, height: int) -> str:
        """The hash of a block of the best chain."""
        return str(self._manager.get_active_chain().block_tree_entries[height].block_hash)

    def _checked(self, _data: object, _block: object, state: Any) -> None:
        if state.validation_mode != pbk.ValidationMode.VALID:
            self._refused = _REASONS.get(state.block_validation_result, "rejected")


def wrong_input(transaction: Transaction, spent: Sequence[Output]) -> int | None:
    """The first input whose script or signature is not right by consensus; None if all are."""
    parsed = pbk.Transaction(transaction.raw)
    scripts = [pbk.ScriptPubkey(each.script) for each in spent]
    outputs = [pbk.TransactionOutput(script, each.value) for script, each in zip(scripts, spent, strict=True)]
    data = PrecomputedTransactionData(parsed, outputs)
    for index, (script, each) in enumerate(zip(scripts, spent, strict=True)):
        if not script.verify(each.value, parsed, data, index, pbk.ScriptVerificationFlags.ALL):
            return index
    return None
