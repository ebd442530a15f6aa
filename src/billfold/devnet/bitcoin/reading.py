"""The methods of Bitcoin Core's RPC that ask about the chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from billfold.chains.bitcoin import addresses, transactions
from billfold.chains.bitcoin.transactions import Block, Output
from billfold.chains.errors import AddressInvalid
from billfold.devnet.bitcoin import forms
from billfold.devnet.bitcoin.node import Node
from billfold.devnet.bitcoin.rpc import DECODING, MISC, NOT_FOUND, PARAMETER, RpcError

#: The release whose answers these resemble, and how we name ourselves among peers that there are none of.
VERSION = 290_000
_HASH_DIGITS = 64
_SCANS_MAX = 1_000


class Reading:
    """One chain, asked."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def methods(self) -> Mapping[str, Callable[..., Any]]:
        """By the names that they are called."""
        return {name: getattr(self, name) for name in dir(self) if not name.startswith("_") and name != "methods"}

    def getblockchaininfo(self) -> dict[str, Any]:
        view = self._node.view
        return {
            "chain": "regtest",
            "blocks": view.height,
            "headers": view.height,
            "bestblockhash": view.tip.hash,
            "bits": f"{view.tip.bits:08x}",
            "difficulty": forms.DIFFICULTY,
            "time": view.tip.time,
            "mediantime": view.median_time(),
            "verificationprogress": 1,
            "initialblockdownload": False,
            "chainwork": forms.work(view.height),
            "size_on_disk": sum(len(block.raw) for block in view.blocks.values()),
            "pruned": False,
            "warnings": [],
        }

    def getnetworkinfo(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "subversion": "/Billfold devnet over libbitcoinkernel/",
            "protocolversion": 70016,
            "localservices": "0000000000000009",
            "localservicesnames": ["NETWORK", "WITNESS"],
            "localrelay": True,
            "timeoffset": 0,
            "networkactive": False,
            "connections": 0,
            "connections_in": 0,
            "connections_out": 0,
            "networks": [],
            "relayfee": forms.coins(1_000),
            "incrementalfee": forms.coins(1_000),
            "localaddresses": [],
            "warnings": [],
        }

    def getindexinfo(self) -> dict[str, Any]:
        return {"txindex": {"synced": True, "best_block_height": self._node.view.height}}

    def getblockcount(self) -> int:
        return self._node.view.height

    def getbestblockhash(self) -> str:
        return self._node.view.tip.hash

    def getdifficulty(self) -> Any:
        return forms.DIFFICULTY

    def getblockhash(self, height: int) -> str:
        if not 0 <= height <= self._node.view.height:
            raise RpcError(PARAMETER, "Block height out of range")
        return self._node.view.chain[height]

    def getblock(self, blockhash: str, verbosity: int | bool = 1) -> Any:  # noqa: FBT001 - as it is called
        block = self._block(blockhash)
        if not verbosity:
            return block.raw.hex()
        return forms.block(self._node.view, block, verbosity=int(verbosity))

    def getblockheader(self, blockhash: str, verbose: bool = True) -> Any:  # noqa: FBT001, FBT002 - as it is called
        block = self._block(blockhash)
        return forms.header(self._node.view, block) if verbose else block.raw[: transactions.HEADER_BYTES].hex()

    def getchaintips(self) -> list[dict[str, Any]]:
        view = self._node.view
        parents = {block.parent for block in view.blocks.values()}
        tips = sorted((each for each in view.blocks if each not in parents), key=view.heights.__getitem__, reverse=True)
        if view.tip.hash not in tips:
            tips.insert(0, view.tip.hash)
        found = []
        for each in tips:
            length, at = 0, each
            while not view.on_chain(at):
                length, at = length + 1, view.blocks[at].parent
            status = "active" if length == 0 else "invalid" if self._node.is_wrong(each) else "valid-fork"
            found.append({"height": view.heights[each], "hash": each, "branchlen": length, "status": status})
        return found

    def getrawtransaction(
        self,
        txid: str,
        verbosity: int | bool = 0,  # noqa: FBT001 - as it is called
        blockhash: str | None = None,
    ) -> Any:
        _digest(txid, "parameter 1")
        view, mempool = self._node.view, self._node.mempool
        if blockhash is not None:
            block = self._block(blockhash)
            found = next((each for each in block.transactions if each.txid == txid), None)
            place: str | None = blockhash
            if found is None:
                raise RpcError(NOT_FOUND, "No such transaction found in the provided block.")
        else:
            waiting = mempool.waiting.get(txid)
            found = view.transaction(txid) if waiting is None else waiting.transaction
            place = view.places.get(txid)
        if found is None:
            raise RpcError(
                NOT_FOUND, "No such mempool or blockchain transaction. Use gettransaction for wallet transactions."
            )
        if not verbosity:
            return found.raw.hex()
        active = {} if blockhash is None else {"in_active_chain": view.on_chain(blockhash)}
        return active | forms.placed(view, found, place)

    def decoderawtransaction(self, hexstring: str) -> dict[str, Any]:
        return forms.transaction(parsed(hexstring))

    def gettxout(self, txid: str, n: int, include_mempool: bool = True) -> dict[str, Any] | None:  # noqa: FBT001, FBT002
        _digest(txid, "txid")
        view, mempool = self._node.view, self._node.mempool
        if include_mempool and (txid, n) in mempool.spenders:
            return None
        coin = mempool.output((txid, n)) if include_mempool else view.coins.get((txid, n))
        if coin is None:
            return None
        return {
            "bestblock": view.tip.hash,
            "confirmations": max(0, view.height - coin.height + 1),
            "value": forms.coins(coin.value),
            "scriptPubKey": forms.script(Output(coin.value, coin.script)),
            "coinbase": coin.coinbase,
        }

    def scantxoutset(self, action: str, scanobjects: list[str | dict[str, Any]] | None = None) -> Any:
        if action != "start":
            return None if action == "status" else False
        if not scanobjects or len(scanobjects) > _SCANS_MAX:
            raise RpcError(MISC, "scanobjects argument is required for the start action")
        wanted = {_described(each if isinstance(each, str) else str(each.get("desc"))) for each in scanobjects}
        view = self._node.view
        found = [(at, coin) for at, coin in view.coins.items() if coin.script in wanted]
        return {
            "success": True,
            "txouts": len(view.coins),
            "height": view.height,
            "bestblock": view.tip.hash,
            "unspents": [
                {
                    "txid": txid,
                    "vout": vout,
                    "scriptPubKey": coin.script.hex(),
                    "amount": forms.coins(coin.value),
                    "coinbase": coin.coinbase,
                    "height": coin.height,
                }
                for (txid, vout), coin in found
            ],
            "total_amount": forms.coins(sum(coin.value for _, coin in found)),
        }

    def validateaddress(self, address: str) -> dict[str, Any]:
        try:
            script = addresses.script_of(address, "sandbox")
        except AddressInvalid as error:
            return {"isvalid": False, "error_locations": [], "error": error.detail}
        form = {"isvalid": True, "address": addresses.canonical(address, "sandbox"), "scriptPubKey": script.hex()}
        return form | {"isscript": script[:1] == b"\xa9", "iswitness": script[:1] in {b"\x00", b"\x51"}}

    def _block(self, block_hash: str) -> Block:
        _digest(block_hash, "blockhash")
        block = self._node.view.blocks.get(block_hash)
        if block is None:
            raise RpcError(NOT_FOUND, "Block not found")
        return block


def parsed(text: str) -> transactions.Transaction:
    """A transaction in hexadecimal digits.

    Raises: RpcError.
    """
    try:
        return transactions.transaction(bytes.fromhex(text))
    except ValueError:
        raise RpcError(DECODING, "TX decode failed. Make sure the tx has at least one input.") from None


def _digest(text: str, name: str) -> None:
    if len(text) != _HASH_DIGITS:
        raise RpcError(PARAMETER, f"{name} must be of length 64 (not {len(text)}, for '{text[:_HASH_DIGITS]}')")
    try:
        bytes.fromhex(text)
    except ValueError:
        raise RpcError(PARAMETER, f"{name} must be hexadecimal string (not '{text}')") from None


def _described(descriptor: str) -> bytes:
    """The script of `addr(…)` or `raw(…)`, with or without a checksum that nobody looks at."""
    kind, _, rest = descriptor.partition("#")[0].partition("(")
    inside = rest.removesuffix(")")
    try:
        if kind == "addr":
            return addresses.script_of(inside, "sandbox")
        if kind == "raw":
            return bytes.fromhex(inside)
    except (AddressInvalid, ValueError):
        pass
    raise RpcError(NOT_FOUND, f"'{descriptor[:100]}' is not a descriptor that is understood here: addr() or raw()")
