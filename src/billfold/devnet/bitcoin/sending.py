"""The methods of Bitcoin Core's RPC that change something, and those about what waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from billfold.chains.bitcoin import addresses, transactions
from billfold.chains.bitcoin.transactions import Transaction
from billfold.chains.errors import AddressInvalid
from billfold.devnet.bitcoin import forms, rules
from billfold.devnet.bitcoin.mempool import Waiting
from billfold.devnet.bitcoin.node import Node
from billfold.devnet.bitcoin.reading import parsed
from billfold.devnet.bitcoin.rpc import (
    ALREADY,
    DECODING,
    MISC,
    NOT_FOUND,
    PARAMETER,
    REJECTED,
    VERIFY,
    RpcError,
)
from billfold.devnet.bitcoin.rules import Rejected

#: Above it a sender has mistyped, unless they say how much is meant.
MAX_FEE_RATE = "0.10"
#: For which estimates are asked.
_TARGET_MAX = 1_008
_BLOCKS_MAX = 1_000
_PACKAGE_MAX = 25


class Sending:
    """One chain, changed."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def methods(self) -> Mapping[str, Callable[..., Any]]:
        """By the names that they are called."""
        return {name: getattr(self, name) for name in dir(self) if not name.startswith("_") and name != "methods"}

    def sendrawtransaction(self, hexstring: str, maxfeerate: float | str = MAX_FEE_RATE) -> str:
        transaction = parsed(hexstring)
        mempool, view = self._node.mempool, self._node.view
        if transaction.txid in mempool.waiting:
            return transaction.txid
        if any((transaction.txid, vout) in view.coins for vout in range(len(transaction.outputs))):
            raise RpcError(ALREADY, "Transaction outputs already in utxo set")
        try:
            entry, _ = mempool.check(transaction)
            _check_rate(entry, maxfeerate)
            self._node.accept(transaction)
        except Rejected as error:
            missing = error.reason == "bad-txns-inputs-missingorspent"
            raise RpcError(VERIFY if missing else REJECTED, str(error)) from error
        return transaction.txid

    def testmempoolaccept(self, rawtxs: list[str], maxfeerate: float | str = MAX_FEE_RATE) -> list[dict[str, Any]]:
        if not 1 <= len(rawtxs) <= _PACKAGE_MAX:
            raise RpcError(PARAMETER, f"Array must contain between 1 and {_PACKAGE_MAX} transactions.")
        return [self._tried(parsed(each), maxfeerate) for each in rawtxs]

    def getrawmempool(self, verbose: bool = False) -> Any:  # noqa: FBT001, FBT002 - as it is called
        mempool = self._node.mempool
        if verbose:
            return {txid: forms.waiting(mempool, txid) for txid in mempool.in_order()}
        return mempool.in_order()

    def getmempoolentry(self, txid: str) -> dict[str, Any]:
        if txid not in self._node.mempool.waiting:
            raise RpcError(NOT_FOUND, "Transaction not in mempool")
        return forms.waiting(self._node.mempool, txid)

    def getmempoolinfo(self) -> dict[str, Any]:
        entries = list(self._node.mempool.waiting.values())
        return {
            "loaded": True,
            "size": len(entries),
            "bytes": sum(each.transaction.vsize for each in entries),
            "usage": sum(len(each.transaction.raw) for each in entries),
            "total_fee": forms.coins(sum(each.fee for each in entries)),
            "maxmempool": 300_000_000,
            "mempoolminfee": forms.coins(rules.RELAY_FEE),
            "minrelaytxfee": forms.coins(rules.RELAY_FEE),
            "incrementalrelayfee": forms.coins(rules.INCREMENT),
            "unbroadcastcount": 0,
            "fullrbf": True,
        }

    def estimatesmartfee(self, conf_target: int, estimate_mode: str = "economical") -> dict[str, Any]:
        if not 1 <= conf_target <= _TARGET_MAX:
            raise RpcError(PARAMETER, f"Invalid conf_target, must be between 1 and {_TARGET_MAX}")
        if estimate_mode.lower() not in {"unset", "economical", "conservative"}:
            raise RpcError(
                PARAMETER, 'Invalid estimate_mode parameter, must be one of: "unset", "economical", "conservative"'
            )
        return {"feerate": forms.coins(self._rate_within(conf_target)), "blocks": conf_target}

    def generatetoaddress(self, nblocks: int, address: str, maxtries: int = 0) -> list[str]:  # noqa: ARG002 - a part of the call
        if not 0 <= nblocks <= _BLOCKS_MAX:
            raise RpcError(PARAMETER, f"nblocks must be from 0 to {_BLOCKS_MAX}")
        try:
            script = addresses.script_of(address, "sandbox")
        except AddressInvalid:
            raise RpcError(NOT_FOUND, "Error: Invalid address") from None
        return self._node.mine(nblocks, script)

    def submitblock(self, hexdata: str, dummy: str = "") -> str | None:  # noqa: ARG002 - as in the call
        try:
            refused = self._node.submit(bytes.fromhex(hexdata))
        except ValueError:
            refused = "Block decode failed"
        if refused == "Block decode failed":
            raise RpcError(DECODING, refused)
        return refused

    def invalidateblock(self, blockhash: str) -> None:
        self._known(blockhash)
        self._node.invalidate(blockhash)

    def reconsiderblock(self, blockhash: str) -> None:
        self._known(blockhash)
        self._node.reconsider(blockhash)

    def _known(self, block_hash: str) -> None:
        height = self._node.view.heights.get(block_hash)
        if height is None:
            raise RpcError(NOT_FOUND, "Block not found")
        if height == 0:
            raise RpcError(MISC, "The first block can't be taken back")

    def _tried(self, transaction: Transaction, max_rate: float | str) -> dict[str, Any]:
        form: dict[str, Any] = {"txid": transaction.txid, "wtxid": transaction.wtxid}
        try:
            entry, _ = self._node.mempool.check(transaction)
            _check_rate(entry, max_rate)
        except Rejected as error:
            reason = "missing-inputs" if error.reason == "bad-txns-inputs-missingorspent" else error.reason
            return form | {"allowed": False, "reject-reason": reason, "reject-details": str(error)}
        except RpcError:
            return form | {"allowed": False, "reject-reason": "max-fee-exceeded"}
        rate = forms.coins(entry.fee * 1_000 // transaction.vsize)
        fees = {"base": forms.coins(entry.fee), "effective-feerate": rate, "effective-includes": [transaction.wtxid]}
        return form | {"allowed": True, "vsize": transaction.vsize, "fees": fees}

    def _rate_within(self, blocks: int) -> int:
        """Satoshi for 1,000 virtual bytes that get into the next `blocks` before what waits now: ours, and simple."""
        mempool, room = self._node.mempool, blocks * transactions.WEIGHT_MAX
        for txid in mempool.in_order():
            entry = mempool.waiting[txid]
            room -= entry.transaction.weight
            if room < 0:
                return max(rules.RELAY_FEE, entry.fee * 1_000 // entry.transaction.vsize + rules.INCREMENT)
        return rules.RELAY_FEE


def _check_rate(entry: Waiting, most: float | str) -> None:
    limit = Decimal(str(most)) * 100_000_000
    if limit and entry.fee > rules.fee_for(int(limit), entry.transaction.vsize):
        raise RpcError(VERIFY, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)")
