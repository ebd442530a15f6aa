"""Calls about transactions: sent, tried, looked up."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from solders.message import MessageV1
from solders.transaction import VersionedTransaction

from billfold.devnet.solana import base58, calls, engine, failures, shapes
from billfold.devnet.solana.calls import CallFailed, Config, Params
from billfold.devnet.solana.chain import FINAL_DEPTH, Block, Chain
from billfold.devnet.solana.journal import Executed
from billfold.devnet.solana.network import Network

#: What goes through the network in one packet (PACKET_DATA_SIZE).
BYTES_MAX = 1232
#: What `getSignatureStatuses` and `getSignaturesForAddress` take and give on a real node.
STATUSES_MAX = 256
SIGNATURES_MAX = 1_000
#: Without `searchTransactionHistory` a node looks only into so many recent slots.
RECENT_SLOTS = 150


class Faults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the node is to do wrong."""

    #: The next so many transactions are answered for, and lost.
    lose: int = 0
    #: The next so many are taken, and the answer is lost.
    mute: int = 0
    #: Whatever the chain has done, the node knows no signature.
    forget: bool = False


class AnswerLost(Exception):
    """The node has taken a transaction, and does not say so."""


class Transactions:
    """Takes transactions, and says what has become of them."""

    def __init__(self, chain: Chain, network: Network) -> None:
        self._chain = chain
        self._network = network
        self.faults = Faults()

    def methods(self) -> Mapping[str, Callable[[Params], Any]]:
        return {
            "sendTransaction": self.send,
            "simulateTransaction": self.simulate,
            "getTransaction": self.get,
            "getSignatureStatuses": self.statuses,
            "getSignaturesForAddress": self.of_address,
        }

    def send(self, params: Params) -> Any:
        config = params.config(1)
        transaction = _decoded(params.of(0, str), config)
        if not config.skip_preflight:
            self._preflight(transaction)
        signature = str(transaction.signatures[0])
        if self.faults.lose > 0:
            self.faults.lose -= 1
            return signature
        if all(transaction.verify_with_results()):
            self._chain.accept(transaction)
        if self.faults.mute > 0:
            self.faults.mute -= 1
            raise AnswerLost
        return signature

    def simulate(self, params: Params) -> Any:
        config = params.config(1)
        transaction = _decoded(params.of(0, str), config)
        if config.sig_verify and config.replace_recent_blockhash:
            raise CallFailed(calls.INVALID_PARAMS, "sigVerify may not be used with replaceRecentBlockhash")
        if config.sig_verify and not all(transaction.verify_with_results()):
            raise CallFailed(calls.SIGNATURE_FAILURE, "Transaction signature verification failure")
        fault = None if config.replace_recent_blockhash else self._chain.fault(transaction)
        if fault is not None:
            return self._network.context(config, _not_simulated(fault))
        outcome, accounts = self._simulated(transaction)
        value = _simulation(outcome)
        if config.accounts is not None:
            shown = Config(encoding=config.accounts.encoding)
            value["accounts"] = [
                shapes.account(accounts.get(name) or self._chain.engine.account(calls.key(name)), shown, self._chain)
                for name in config.accounts.addresses
            ]
        return self._network.context(config, value)

    def get(self, params: Params) -> Any:
        signature, config = calls.signature(params.of(0, str)), _with_encoding(params)
        if config.commitment == "processed":
            raise CallFailed(calls.INVALID_PARAMS, "Method does not support commitment below `confirmed`")
        found = self._find(signature)
        if found is None or found[0].slot > self._chain.head(config.at).slot:
            return None
        block, done = found
        return {"slot": block.slot, "blockTime": block.time} | shapes.transaction(done, config)

    def statuses(self, params: Params) -> Any:
        signatures, config = params.of(0, list[str]), params.config(1)
        if len(signatures) > STATUSES_MAX:
            raise CallFailed(calls.INVALID_PARAMS, f"Too many inputs provided; max {STATUSES_MAX}")
        values = [self.status(calls.signature(each), config) for each in signatures]
        return self._network.context(Config(commitment="processed"), values)

    def status(self, signature: str, config: Config) -> dict[str, Any] | None:
        """What `getSignatureStatuses` says of one."""
        found = self._find(signature)
        head = self._chain.head("processed")
        if found is None:
            return None
        block, done = found
        if not config.search_transaction_history and head.height - block.height > RECENT_SLOTS:
            return None
        final = head.height - block.height >= FINAL_DEPTH
        error = done.outcome.error
        return {
            "slot": block.slot,
            "confirmations": None if final else head.height - block.height,
            "err": error,
            "status": {"Ok": None} if error is None else {"Err": error},
            "confirmationStatus": "finalized" if final else "confirmed",
        }

    def of_address(self, params: Params) -> Any:
        config = params.config(1)
        limit = SIGNATURES_MAX if config.limit is None else config.limit
        if not 1 <= limit <= SIGNATURES_MAX:
            raise CallFailed(calls.INVALID_PARAMS, f"Invalid limit; max {SIGNATURES_MAX}")
        signatures = list(reversed(self._chain.of_address(str(params.key(0)))))
        if config.before is not None:
            signatures = signatures[signatures.index(config.before) + 1 :] if config.before in signatures else []
        if config.until is not None and config.until in signatures:
            signatures = signatures[: signatures.index(config.until)]
        head = self._chain.head(config.at)
        found = [each for each in map(self._find, signatures) if each is not None and each[0].slot <= head.slot]
        return [self._listed(block, done) for block, done in found[:limit]]

    def _listed(self, block: Block, done: Executed) -> dict[str, Any]:
        final = block.height <= self._chain.head("finalized").height
        return {
            "signature": done.signature,
            "slot": block.slot,
            "blockTime": block.time,
            "err": done.outcome.error,
            "memo": None,
            "confirmationStatus": "finalized" if final else "confirmed",
        }

    def _find(self, signature: str) -> tuple[Block, Executed] | None:
        return None if self.faults.forget else self._chain.find(signature)

    def _preflight(self, transaction: VersionedTransaction) -> None:
        """Refuse what would not do what it should."""
        if not all(transaction.verify_with_results()):
            raise CallFailed(calls.SIGNATURE_FAILURE, "Transaction signature verification failure")
        fault = self._chain.fault(transaction)
        value = _not_simulated(fault) if fault is not None else _simulation(self._simulated(transaction)[0])
        if value["err"] is not None:
            message = f"Transaction simulation failed: {failures.sentence(value['err'])}"
            raise CallFailed(calls.PREFLIGHT_FAILURE, message, value)

    def _simulated(self, transaction: VersionedTransaction) -> tuple[engine.Outcome, Mapping[str, Any]]:
        # Whether signatures are wanted has been decided; what lacks them can be tried like any other.
        return self._chain.engine.simulate(transaction)


def _not_simulated(error: Any) -> dict[str, Any]:
    return {
        "err": error,
        "logs": [],
        "accounts": None,
        "unitsConsumed": 0,
        "returnData": None,
        "innerInstructions": None,
    }


def _simulation(outcome: engine.Outcome) -> dict[str, Any]:
    return _not_simulated(outcome.error) | {"logs": outcome.logs, "unitsConsumed": outcome.units}


def _with_encoding(params: Params) -> Config:
    """The second parameter of `getTransaction`, which may be a bare encoding."""
    if len(params) > 1 and isinstance(params.of(1, Any), str):
        return Params([{"encoding": params.of(1, str)}]).config(0)
    return params.config(1)


def _decoded(text: str, config: Config) -> VersionedTransaction:
    try:
        raw = base64.b64decode(text, validate=True) if config.encoding == "base64" else base58.decode(text)
    except (ValueError, binascii.Error) as error:
        raise CallFailed(calls.INVALID_PARAMS, f"invalid {config.encoding or 'base58'} encoding: {error}") from error
    if len(raw) > BYTES_MAX:
        raise CallFailed(
            calls.INVALID_PARAMS,
            f"decoded solana_transaction::versioned::VersionedTransaction too large: {len(raw)} bytes "
            f"(max: {BYTES_MAX} bytes)",
        )
    try:
        transaction = VersionedTransaction.from_bytes(raw)
        transaction.sanitize()
    except Exception as error:
        detail = f"failed to deserialize solana_transaction::versioned::VersionedTransaction: {error}"
        raise CallFailed(calls.INVALID_PARAMS, detail) from error
    if isinstance(transaction.message, MessageV1):
        raise CallFailed(calls.INVALID_PARAMS, "invalid transaction: its version is not in use")
    return transaction
