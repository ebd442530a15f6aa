"""Ledgers, transactions and accounts as Horizon tells of them, in HAL's JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from stellar_sdk import HashMemo, IdMemo, Memo, MuxedAccount, ReturnHashMemo, TextMemo

from billfold.devnet.stellar import balances
from billfold.devnet.stellar.envelopes import Envelope
from billfold.devnet.stellar.history import Included, Ledger
from billfold.devnet.stellar.ledgers import LUMENS, OPERATIONS_MAX
from billfold.devnet.stellar.state import BASE_RESERVE, NATIVE, Account, State

Record = dict[str, Any]
#: Of the public network when this was written; nothing here depends on it.
PROTOCOL = 23


def display(amount: int) -> str:
    """Stroops, or a token's own smallest units, as decimal text."""
    return f"{amount // 10_000_000}.{amount % 10_000_000:07d}"


def moment(at: int) -> str:
    """An instant as Horizon writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def asset(text: str, prefix: str = "") -> Record:
    """The fields of an asset."""
    if text == NATIVE:
        return {f"{prefix}asset_type": NATIVE}
    code, _, issuer = text.partition(":")
    return {
        f"{prefix}asset_type": f"credit_alphanum{4 if len(code) <= 4 else 12}",  # noqa: PLR2004 - the names say it
        f"{prefix}asset_code": code,
        f"{prefix}asset_issuer": issuer,
    }


def party(field: str, who: MuxedAccount) -> Record:
    """The fields of an account, with its muxed id where there is one."""
    told: Record = {field: who.account_id}
    if who.account_muxed_id is not None:
        told |= {f"{field}_muxed": who.account_muxed, f"{field}_muxed_id": str(who.account_muxed_id)}
    return told


def links(base: str, **paths: str) -> Record:
    """HAL's links; what has a place to fill in is a template."""
    return {name: {"href": base + path, **({"templated": True} if "{" in path else {})} for name, path in paths.items()}


# --- ledgers -----------------------------------------------------------------------------------------------------


def root(base: str, *, last: Ledger, passphrase: str) -> Record:
    """What Horizon says of itself."""
    return {
        "_links": links(base, self="/", account="/accounts/{account_id}", friendbot="/friendbot{?addr}"),
        "horizon_version": "billfold-devnet",
        "core_version": "billfold-devnet",
        "ingest_latest_ledger": last.sequence,
        "history_latest_ledger": last.sequence,
        "history_latest_ledger_closed_at": moment(last.at),
        "history_elder_ledger": 1,
        "core_latest_ledger": last.sequence,
        "network_passphrase": passphrase,
        "current_protocol_version": PROTOCOL,
        "supported_protocol_version": PROTOCOL,
        "core_supported_protocol_version": PROTOCOL,
    }


def ledger(base: str, one: Ledger) -> Record:
    """A ledger."""
    path = f"/ledgers/{one.sequence}"
    good = [each for each in one.transactions if each.verdict.succeeded]
    return {
        "_links": links(
            base,
            self=path,
            transactions=path + "/transactions{?cursor,limit,order}",
            operations=path + "/operations{?cursor,limit,order}",
            payments=path + "/payments{?cursor,limit,order}",
        ),
        "id": one.hash,
        "paging_token": str(one.token),
        "hash": one.hash,
        "prev_hash": one.parent,
        "sequence": one.sequence,
        "successful_transaction_count": len(good),
        "failed_transaction_count": len(one.transactions) - len(good),
        "operation_count": sum(len(each.envelope.operations) for each in good),
        "tx_set_operation_count": sum(len(each.envelope.operations) for each in one.transactions),
        "closed_at": moment(one.at),
        "total_coins": display(LUMENS),
        "fee_pool": display(one.fee_pool),
        "base_fee_in_stroops": one.fee,
        "base_reserve_in_stroops": BASE_RESERVE,
        "max_tx_set_size": OPERATIONS_MAX,
        "protocol_version": PROTOCOL,
    }


# --- transactions ------------------------------------------------------------------------------------------------


def transaction(base: str, one: Included, *, known: str | None = None) -> Record:
    """A transaction; of one with a fee bump, under the one of its two hashes that was asked for."""
    envelope = one.envelope
    name = known or envelope.hash.hex()
    path = f"/transactions/{name}"
    result = one.verdict.result(envelope, charged=one.charged)
    return {
        "_links": links(
            base,
            self=path,
            account=f"/accounts/{envelope.source}",
            ledger=f"/ledgers/{one.sequence}",
            operations=path + "/operations{?cursor,limit,order}",
            payments=path + "/payments{?cursor,limit,order}",
        ),
        "id": name,
        "paging_token": str(one.token),
        "successful": one.verdict.succeeded,
        "hash": name,
        "ledger": one.sequence,
        "created_at": moment(one.at),
        **party("source_account", envelope.transaction.source),
        "source_account_sequence": str(envelope.transaction.sequence),
        "fee_account": envelope.fee_account,
        "fee_charged": str(one.charged),
        "max_fee": str(envelope.fee),
        "operation_count": len(envelope.operations),
        "envelope_xdr": envelope.text(),
        "result_xdr": result.to_xdr(),
        **memo(envelope.transaction.memo),
        **_bounds(envelope),
        **_signatures(envelope),
    }


def memo(one: Memo) -> Record:
    """The fields of a memo."""
    match one:
        case TextMemo():
            text = one.memo_text.decode("utf-8", errors="replace")
            return {"memo_type": "text", "memo": text, "memo_bytes": base64.b64encode(one.memo_text).decode()}
        case IdMemo():
            return {"memo_type": "id", "memo": str(one.memo_id)}
        case HashMemo():
            return {"memo_type": "hash", "memo": base64.b64encode(one.memo_hash).decode()}
        case ReturnHashMemo():
            return {"memo_type": "return", "memo": base64.b64encode(one.memo_return).decode()}
        case _:
            return {"memo_type": "none"}


def _bounds(envelope: Envelope) -> Record:
    conditions = envelope.transaction.preconditions
    bounds = conditions and conditions.time_bounds
    if not bounds:
        return {}
    told = {"min_time": str(bounds.min_time), **({"max_time": str(bounds.max_time)} if bounds.max_time else {})}
    return {"preconditions": {"timebounds": told}}


def _signatures(envelope: Envelope) -> Record:
    inner = [base64.b64encode(each.signature).decode() for each in envelope.signatures]
    if envelope.inner_hash is None:
        return {"signatures": inner}
    outer = [base64.b64encode(each.signature).decode() for each in envelope.fee_signatures]
    return {
        "signatures": outer,
        "fee_bump_transaction": {"hash": envelope.hash.hex(), "signatures": outer},
        "inner_transaction": {
            "hash": envelope.inner_hash.hex(),
            "signatures": inner,
            "max_fee": str(envelope.transaction.fee),
        },
    }


# --- accounts ----------------------------------------------------------------------------------------------------


def account(base: str, state: State, one: Account) -> Record:
    """An account."""
    path = f"/accounts/{one.id}"
    flags = {"auth_required": 1, "auth_revocable": 2, "auth_immutable": 4, "auth_clawback_enabled": 8}
    return {
        "_links": links(
            base,
            self=path,
            transactions=path + "/transactions{?cursor,limit,order}",
            operations=path + "/operations{?cursor,limit,order}",
            payments=path + "/payments{?cursor,limit,order}",
            data=path + "/data/{key}",
        ),
        "id": one.id,
        "account_id": one.id,
        "sequence": str(one.sequence),
        "subentry_count": one.subentries(),
        "last_modified_ledger": one.modified,
        **({"home_domain": one.home_domain} if one.home_domain else {}),
        "thresholds": {"low_threshold": one.low, "med_threshold": one.medium, "high_threshold": one.high},
        "flags": {name: bool(one.flags & bit) for name, bit in flags.items()},
        "balances": [*(_line(state, one, text) for text in sorted(one.lines)), _lumens(state, one)],
        "signers": _signers(one),
        "data": {name: base64.b64encode(value).decode() for name, value in sorted(one.data.items())},
        "num_sponsoring": 0,
        "num_sponsored": 0,
        "paging_token": one.id,
    }


def _line(state: State, one: Account, text: str) -> Record:
    line = one.lines[text]
    return {
        "balance": display(line.balance),
        "limit": display(line.limit),
        "buying_liabilities": display(balances.bought(state, one, text)),
        "selling_liabilities": display(balances.sold(state, one, text)),
        "last_modified_ledger": one.modified,
        "is_authorized": line.authorized,
        "is_authorized_to_maintain_liabilities": line.authorized,
        **asset(text),
    }


def _lumens(state: State, one: Account) -> Record:
    return {
        "balance": display(one.balance),
        "buying_liabilities": display(balances.bought(state, one, NATIVE)),
        "selling_liabilities": display(balances.sold(state, one, NATIVE)),
        "asset_type": NATIVE,
    }


def _signers(one: Account) -> list[Record]:
    weights: Mapping[str, int] = {**one.signers, one.id: one.master_weight}
    kinds = {"G": "ed25519_public_key", "X": "sha256_hash", "T": "preauth_tx"}
    return [{"weight": weight, "key": key, "type": kinds.get(key[0], "unknown")} for key, weight in weights.items()]
