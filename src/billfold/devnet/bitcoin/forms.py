"""Blocks and transactions in the JSON that Bitcoin Core gives, without what no wallet reads (assembler text)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from billfold.chains.bitcoin import addresses
from billfold.chains.bitcoin.transactions import HEADER_BYTES, Block, Output, Transaction
from billfold.devnet.bitcoin import mining
from billfold.devnet.bitcoin.mempool import Mempool
from billfold.devnet.bitcoin.view import View

_COIN = Decimal(100_000_000)
#: Of the easiest target: what a block is worth in hashes, and how difficult that is.
_WORK = 2
DIFFICULTY = Decimal("4.656542373906925e-10")

_TYPES = {
    (b"\x00", 22): "witness_v0_keyhash",
    (b"\x00", 34): "witness_v0_scripthash",
    (b"\x51", 34): "witness_v1_taproot",
    (b"\x76", 25): "pubkeyhash",
    (b"\xa9", 23): "scripthash",
}


def coins(satoshi: int) -> Decimal:
    """Satoshi in the unit that Bitcoin Core's JSON has, with eight decimals."""
    return (Decimal(satoshi) / _COIN).quantize(Decimal("0.00000001"))


def header(view: View, block: Block) -> dict[str, Any]:
    """`getblockheader`."""
    height = view.heights[block.hash]
    active = view.on_chain(block.hash)
    form = {
        "hash": block.hash,
        "confirmations": view.height - height + 1 if active else -1,
        "height": height,
        "version": block.version,
        "versionHex": f"{block.version:08x}",
        "merkleroot": block.merkle_root,
        "time": block.time,
        "mediantime": view.median_time(height) if active else block.time,
        "nonce": block.nonce,
        "bits": f"{block.bits:08x}",
        "target": f"{mining.TARGET:064x}",
        "difficulty": DIFFICULTY,
        "chainwork": work(height),
        "nTx": len(block.transactions),
    }
    if height:
        form["previousblockhash"] = block.parent
    if active and height < view.height:
        form["nextblockhash"] = view.chain[height + 1]
    return form


def block(view: View, found: Block, *, verbosity: int) -> dict[str, Any]:
    """`getblock` with verbosity 1 (ids), 2 (transactions) or 3 (and what they spend)."""
    weight = 3 * (HEADER_BYTES + 1) + sum(each.weight for each in found.transactions)
    return header(view, found) | {
        "size": len(found.raw),
        "weight": weight + len(found.raw) - sum(len(each.raw) for each in found.transactions) - HEADER_BYTES - 1,
        "tx": [
            each.txid if verbosity == 1 else transaction(each) | {"hex": each.raw.hex()} for each in found.transactions
        ],
    }


def transaction(found: Transaction) -> dict[str, Any]:
    """What is in a transaction, without where it is."""
    return {
        "txid": found.txid,
        "hash": found.wtxid,
        "version": found.version,
        "size": len(found.raw),
        "vsize": found.vsize,
        "weight": found.weight,
        "locktime": found.locktime,
        "vin": [_input(found, number) for number in range(len(found.inputs))],
        "vout": [
            {"value": coins(each.value), "n": number, "scriptPubKey": script(each)}
            for number, each in enumerate(found.outputs)
        ],
    }


def placed(view: View, found: Transaction, block_hash: str | None) -> dict[str, Any]:
    """`getrawtransaction` with verbosity 1; None if no block has it."""
    form = transaction(found) | {"hex": found.raw.hex()}
    if block_hash is None:
        return form
    active, time = view.on_chain(block_hash), view.blocks[block_hash].time
    confirmations = view.height - view.heights[block_hash] + 1 if active else 0
    return form | {"blockhash": block_hash, "confirmations": confirmations, "time": time, "blocktime": time}


def script(output: Output) -> dict[str, Any]:
    """A locking script."""
    form: dict[str, Any] = {"hex": output.script.hex(), "type": _type(output.script)}
    address = addresses.address_of(output.script, "sandbox")
    return form if address is None else form | {"address": address}


def waiting(mempool: Mempool, txid: str) -> dict[str, Any]:
    """`getmempoolentry`."""
    entry = mempool.waiting[txid]
    above, below = mempool.ancestors([txid]), mempool.descendants(txid)

    def sizes(txids: set[str]) -> int:
        return sum(mempool.waiting[each].transaction.vsize for each in txids)

    def fees(txids: set[str]) -> Decimal:
        return coins(sum(mempool.waiting[each].fee for each in txids))

    return {
        "vsize": entry.transaction.vsize,
        "weight": entry.transaction.weight,
        "time": entry.time,
        "height": entry.height,
        "descendantcount": len(below),
        "descendantsize": sizes(below),
        "ancestorcount": len(above),
        "ancestorsize": sizes(above),
        "wtxid": entry.transaction.wtxid,
        "fees": {
            "base": coins(entry.fee),
            "modified": coins(entry.fee),
            "ancestor": fees(above),
            "descendant": fees(below),
        },
        "depends": sorted(entry.parents),
        "spentby": sorted(mempool.children(txid)),
        "bip125-replaceable": any(mempool.waiting[each].replaceable for each in above),
        "unbroadcast": False,
    }


def work(height: int) -> str:
    """Hashes that the chain up to a height stands for."""
    return f"{_WORK * (height + 1):064x}"


def _input(found: Transaction, number: int) -> dict[str, Any]:
    each = found.inputs[number]
    form: dict[str, Any] = (
        {"coinbase": each.script.hex()}
        if found.coinbase
        else {"txid": each.txid, "vout": each.vout, "scriptSig": {"hex": each.script.hex()}}
    )
    if each.witness:
        form["txinwitness"] = [item.hex() for item in each.witness]
    return form | {"sequence": each.sequence}


def _type(locking: bytes) -> str:
    if locking[:1] == b"\x6a":
        return "nulldata"
    return _TYPES.get((locking[:1], len(locking)), "nonstandard")
