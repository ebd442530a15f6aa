"""Calls about the chain as a whole: slots, heights, blocks, blockhashes, fees, and who the node is."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from solders.hash import Hash
from solders.message import MessageV1, from_bytes_versioned

from billfold.devnet.solana import calls, engine, shapes
from billfold.devnet.solana.calls import CallFailed, Params
from billfold.devnet.solana.chain import HASH_AGE_MAX, Block, Chain

#: The largest range that `getBlocks` gives, and the most blocks of `getBlocksWithLimit`.
BLOCKS_MAX = 500_000
#: The version of Agave whose answers these are like.
VERSION = "2.2.0"
_RENT_BYTES_MAX = 10 * 1024 * 1024
_LAMPORTS_PER_SIGNATURE = 5_000
_FEES_SLOTS = 150


class Network:
    """Answers from what the chain is now."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def methods(self) -> Mapping[str, Callable[[Params], Any]]:
        return {
            "getHealth": lambda _: "ok",
            "getVersion": lambda _: {"solana-core": VERSION, "feature-set": 0},
            "getGenesisHash": lambda _: self._chain.genesis.hash,
            "getIdentity": lambda _: {"identity": str(engine.SYSTEM)},
            "getFirstAvailableBlock": lambda _: 0,
            "minimumLedgerSlot": lambda _: 0,
            "getSlot": lambda params: self._at(params.config(0)).slot,
            "getBlockHeight": lambda params: self._at(params.config(0)).height,
            "getTransactionCount": lambda params: self._count(params.config(0)),
            "getEpochInfo": self.epoch,
            "getLatestBlockhash": self.latest_blockhash,
            "isBlockhashValid": self.blockhash_valid,
            "getBlock": self.block,
            "getBlocks": self.blocks,
            "getBlocksWithLimit": self.blocks_with_limit,
            "getBlockTime": self.block_time,
            "getFeeForMessage": self.fee,
            "getRecentPrioritizationFees": self.priority_fees,
            "getMinimumBalanceForRentExemption": self.rent,
        }

    def context(self, config: calls.Config, value: Any) -> dict[str, Any]:
        """A value, and the slot of which it is told."""
        return {"context": {"apiVersion": VERSION, "slot": self._at(config).slot}, "value": value}

    def latest_blockhash(self, params: Params) -> Any:
        config = params.config(0)
        head = self._at(config)
        return self.context(config, {"blockhash": head.hash, "lastValidBlockHeight": head.height + HASH_AGE_MAX})

    def blockhash_valid(self, params: Params) -> Any:
        name = _hash(params.of(0, str))
        return self.context(params.config(1), self._chain.last_height(name) is not None)

    def epoch(self, params: Params) -> Any:
        head = self._at(params.config(0))
        return {
            "absoluteSlot": head.slot,
            "blockHeight": head.height,
            "epoch": head.slot // engine.SLOTS_PER_EPOCH,
            "slotIndex": head.slot % engine.SLOTS_PER_EPOCH,
            "slotsInEpoch": engine.SLOTS_PER_EPOCH,
            "transactionCount": self._count(params.config(0)),
        }

    def block(self, params: Params) -> Any:
        slot, config = params.of(0, int), params.config(1)
        if config.commitment == "processed":
            raise CallFailed(calls.INVALID_PARAMS, "Method does not support commitment below `confirmed`")
        if slot > self._at(config).slot:
            raise CallFailed(calls.BLOCK_NOT_AVAILABLE, f"Block not available for slot {slot}")
        found = self._chain.block(slot)
        if found is None:
            raise CallFailed(
                calls.SLOT_SKIPPED, f"Slot {slot} was skipped, or missing due to ledger jump to recent snapshot"
            )
        return shapes.block(found, config)

    def blocks(self, params: Params) -> Any:
        first = params.of(0, int)
        # The second may be left out, and the configuration comes in its place then.
        second: object = params.of(1, Any) if len(params) > 1 else None
        last = None if second is None or isinstance(second, dict) else params.of(1, int)
        head = self._at(params.config(1 if isinstance(second, dict) else 2)).slot
        if last is not None and last - first > BLOCKS_MAX:
            raise CallFailed(calls.INVALID_PARAMS, f"Slot range too large; max {BLOCKS_MAX}")
        return self._chain.between(max(first, 0), head if last is None else min(last, head))

    def blocks_with_limit(self, params: Params) -> Any:
        first, limit = params.of(0, int), params.of(1, int)
        if limit > BLOCKS_MAX:
            raise CallFailed(calls.INVALID_PARAMS, f"Limit too large; max {BLOCKS_MAX}")
        return self._chain.between(max(first, 0), self._at(params.config(2)).slot)[: max(limit, 0)]

    def block_time(self, params: Params) -> Any:
        found = self._chain.block(params.of(0, int))
        if found is None:
            raise CallFailed(calls.BLOCK_NOT_AVAILABLE, f"Block not available for slot {params.of(0, int)}")
        return found.time

    def fee(self, params: Params) -> Any:
        """The fee of a message: its signatures and what it offers besides; null where its blockhash does not count."""
        try:
            message = from_bytes_versioned(base64.b64decode(params.of(0, str), validate=True))
        except (ValueError, binascii.Error) as error:
            raise CallFailed(calls.INVALID_PARAMS, f"invalid transaction message: {error}") from error
        if isinstance(message, MessageV1):
            raise CallFailed(calls.INVALID_PARAMS, "invalid transaction message: its version is not in use")
        known = self._chain.last_height(str(message.recent_blockhash)) is not None
        fee = message.header.num_required_signatures * _LAMPORTS_PER_SIGNATURE + engine.priority_fee(message)
        return self.context(params.config(1), fee if known else None)

    def priority_fees(self, _: Params) -> Any:
        """What was paid beside the fee in the last blocks: never anything, as no block here is ever full."""
        head = self._chain.head("confirmed")
        heights = range(max(0, head.height - _FEES_SLOTS + 1), head.height + 1)
        slots = [self._chain.at_height(height).slot for height in heights]
        return [{"slot": slot, "prioritizationFee": 0} for slot in slots]

    def rent(self, params: Params) -> Any:
        size = params.of(0, int)
        if not 0 <= size <= _RENT_BYTES_MAX:
            raise CallFailed(calls.INVALID_PARAMS, "Invalid params: the size is out of bounds")
        return self._chain.engine.rent(size)

    def _at(self, config: calls.Config) -> Block:
        head = self._chain.head(config.at)
        if config.min_context_slot is not None and head.slot < config.min_context_slot:
            raise CallFailed(
                calls.MIN_CONTEXT_SLOT, "Minimum context slot has not been reached", {"contextSlot": head.slot}
            )
        return head

    def _count(self, config: calls.Config) -> int:
        return self._at(config).count


def _hash(text: str) -> str:
    try:
        return str(Hash.from_string(text))
    except ValueError:
        raise CallFailed(calls.INVALID_PARAMS, "Invalid param: Invalid") from None
