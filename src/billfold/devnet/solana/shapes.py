"""Transactions, blocks and accounts in the forms in which Solana's nodes tell them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from solders.account import Account
from solders.instruction import CompiledInstruction
from solders.message import Message, MessageV0, MessageV1
from solders.transaction import VersionedTransaction

from billfold.devnet.solana import base58, calls, engine, parsed
from billfold.devnet.solana.chain import Block, Chain
from billfold.devnet.solana.journal import Executed

#: A node gives no larger account in base58.
BASE58_BYTES_MAX = 128


def transaction(done: Executed, config: calls.Config, *, details: str = "full") -> dict[str, Any]:
    """A transaction with what it did, as `getTransaction` and `getBlock` have it.

    Raises:
        CallFailed: the caller does not say that it understands its version.
    """
    read = VersionedTransaction.from_bytes(done.raw)
    versioned = isinstance(read.message, MessageV0)
    if versioned and config.max_supported_transaction_version is None:
        raise calls.CallFailed(
            calls.VERSION_UNSUPPORTED,
            "Transaction version (0) is not supported by the requesting client. Please try the request again with the "
            'following configuration parameter: "maxSupportedTransactionVersion": 0',
        )
    encoding = config.encoding or "json"
    names = _names(read, done)
    shape: dict[str, Any] = {"meta": meta(done.outcome, names=names, parse=encoding == "jsonParsed")}
    if details == "accounts":
        shape["transaction"] = {"signatures": _signatures(read), "accountKeys": _parsed_keys(read, done)}
    elif encoding in {"base64", "base58"}:
        text = base64.b64encode(done.raw).decode() if encoding == "base64" else base58.encode(done.raw)
        shape["transaction"] = [text, encoding]
    else:
        parse = encoding == "jsonParsed"
        shape["transaction"] = {
            "signatures": _signatures(read),
            "message": _parsed_message(read, done, names) if parse else _message(read),
        }
    if config.max_supported_transaction_version is not None:
        shape["version"] = 0 if versioned else "legacy"
    return shape


def block(of: Block, config: calls.Config) -> dict[str, Any]:
    """A block as `getBlock` has it."""
    details = config.transaction_details or "full"
    shape: dict[str, Any] = {
        "blockHeight": of.height,
        "blockTime": of.time,
        "blockhash": of.hash,
        "parentSlot": of.parent_slot,
        "previousBlockhash": of.parent_hash,
        "rewards": [],
    }
    if details == "signatures":
        shape["signatures"] = [each.signature for each in of.transactions]
    elif details != "none":
        shape["transactions"] = [transaction(each, config, details=details) for each in of.transactions]
    return shape


def meta(outcome: engine.Outcome, *, names: Sequence[str], parse: bool) -> dict[str, Any]:
    """What a transaction did."""
    return {
        "err": outcome.error,
        "status": {"Ok": None} if outcome.error is None else {"Err": outcome.error},
        "fee": outcome.fee,
        "preBalances": outcome.before,
        "postBalances": outcome.after,
        "innerInstructions": inner(outcome, names=names, parse=parse),
        "logMessages": outcome.logs,
        "preTokenBalances": [_token_balance(each) for each in outcome.tokens_before],
        "postTokenBalances": [_token_balance(each) for each in outcome.tokens_after],
        "rewards": [],
        "loadedAddresses": {"writable": outcome.writable, "readonly": outcome.readonly},
        "computeUnitsConsumed": outcome.units,
    }


def inner(outcome: engine.Outcome, *, names: Sequence[str], parse: bool) -> list[dict[str, Any]]:
    """The instructions that programs gave to others."""
    found = []
    for index, several in enumerate(outcome.inner):
        if several:
            shapes = [
                parsed.instruction(names[each.program], [names[i] for i in each.accounts], each.data, each.height)
                if parse
                else _instruction(CompiledInstruction(each.program, each.data, each.accounts), each.height)
                for each in several
            ]
            found.append({"index": index, "instructions": shapes})
    return found


def account(of: Account | None, config: calls.Config, chain: Chain) -> dict[str, Any] | None:
    """An account as `getAccountInfo` has it.

    Raises:
        CallFailed: it is too large for base58.
    """
    if of is None:
        return None
    return {
        "lamports": of.lamports,
        "owner": str(of.owner),
        "executable": of.executable,
        "rentEpoch": of.rent_epoch,
        "space": len(of.data),
        "data": _data(of, config, chain),
    }


def _data(of: Account, config: calls.Config, chain: Chain) -> Any:
    if config.encoding == "jsonParsed":
        shape = parsed.account(of, mint=chain.engine.mint)
        if shape is not None:
            return shape
    data = of.data
    if config.data_slice is not None:
        data = data[config.data_slice.offset :][: config.data_slice.length]
    if config.encoding in {None, "base58"}:
        if len(data) > BASE58_BYTES_MAX:
            raise calls.CallFailed(
                calls.INVALID_REQUEST,
                "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.",
            )
        return base58.encode(data) if config.encoding is None else [base58.encode(data), "base58"]
    return [base64.b64encode(data).decode(), "base64"]


def _names(read: VersionedTransaction, done: Executed) -> list[str]:
    return [str(key) for key in read.message.account_keys] + [*done.outcome.writable, *done.outcome.readonly]


def _signatures(read: VersionedTransaction) -> list[str]:
    return [str(each) for each in read.signatures]


def _message(read: VersionedTransaction) -> dict[str, Any]:
    message = read.message
    header = message.header
    shape: dict[str, Any] = {
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [str(key) for key in message.account_keys],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [_instruction(each, 1) for each in message.instructions],
    }
    return {**shape, **_lookups(message)}


def _parsed_message(read: VersionedTransaction, done: Executed, names: Sequence[str]) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "accountKeys": _parsed_keys(read, done),
        "recentBlockhash": str(read.message.recent_blockhash),
        "instructions": [
            parsed.instruction(names[each.program_id_index], [names[i] for i in each.accounts], each.data, 1)
            for each in read.message.instructions
        ],
    }
    return {**shape, **_lookups(read.message)}


def _parsed_keys(read: VersionedTransaction, done: Executed) -> list[dict[str, Any]]:
    message = read.message
    static = [
        {
            "pubkey": str(key),
            "signer": message.is_signer(i),
            "writable": _writable(message, i),
            "source": "transaction",
        }
        for i, key in enumerate(message.account_keys)
    ]
    looked_up = [(key, True) for key in done.outcome.writable] + [(key, False) for key in done.outcome.readonly]
    return static + [
        {"pubkey": key, "signer": False, "writable": writable, "source": "lookupTable"} for key, writable in looked_up
    ]


def _writable(message: Message | MessageV0 | MessageV1, index: int) -> bool:
    """By the order of the accounts: signers first, in each half the writable ones (Solana's message format)."""
    header, count = message.header, len(message.account_keys)
    if index < header.num_required_signatures:
        return index < header.num_required_signatures - header.num_readonly_signed_accounts
    return index < count - header.num_readonly_unsigned_accounts


def _lookups(message: Message | MessageV0 | MessageV1) -> Mapping[str, Any]:
    if not isinstance(message, MessageV0):
        return {}
    return {
        "addressTableLookups": [
            {
                "accountKey": str(each.account_key),
                "writableIndexes": list(each.writable_indexes),
                "readonlyIndexes": list(each.readonly_indexes),
            }
            for each in message.address_table_lookups
        ]
    }


def _instruction(each: CompiledInstruction, height: int) -> dict[str, Any]:
    return {
        "programIdIndex": each.program_id_index,
        "accounts": list(each.accounts),
        "data": base58.encode(bytes(each.data)),
        "stackHeight": height,
    }


def _token_balance(each: engine.TokenBalance) -> dict[str, Any]:
    return {
        "accountIndex": each.index,
        "mint": each.mint,
        "owner": each.owner,
        "programId": each.program,
        "uiTokenAmount": parsed.token_amount(each.amount, each.decimals),
    }
