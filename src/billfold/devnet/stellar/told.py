"""Operations as Horizon tells of them."""

from __future__ import annotations

import base64
from typing import Any

import stellar_sdk
from stellar_sdk import MuxedAccount
from stellar_sdk.operation import Operation

from billfold.devnet.stellar import balances, operations, records
from billfold.devnet.stellar.history import Done
from billfold.devnet.stellar.records import Record


def operation(base: str, done: Done, *, joined: bool) -> Record:
    """An operation; `joined` with its transaction."""
    within = done.within
    path = f"/operations/{done.token}"
    name = within.envelope.hash.hex()
    source = done.operation.source or within.envelope.transaction.source
    known = operations.known(done.operation)
    return {
        "_links": records.links(base, self=path, transaction=f"/transactions/{name}"),
        "id": str(done.token),
        "paging_token": str(done.token),
        "transaction_successful": within.verdict.succeeded,
        **records.party("source_account", source),
        "type": operations.kind(done.operation) if known else "unknown",
        "type_i": int(done.operation._XDR_OPERATION_TYPE),  # noqa: SLF001 - the SDK has no other name for it
        "created_at": records.moment(within.at),
        "transaction_hash": name,
        **_details(done, source),
        **({"transaction": records.transaction(base, within)} if joined else {}),
    }


def _details(done: Done, source: MuxedAccount) -> Record:
    facts: dict[str, Any] = done.outcome.facts if done.outcome else {}
    match done.operation:
        case stellar_sdk.CreateAccount() as created:
            return {
                "starting_balance": _amount(created.starting_balance),
                **records.party("funder", source),
                "account": created.destination,
            }
        case stellar_sdk.Payment() as paid:
            return {
                **records.asset(balances.key(paid.asset)),
                **records.party("from", source),
                **records.party("to", paid.destination),
                "amount": _amount(paid.amount),
            }
        case stellar_sdk.PathPaymentStrictSend() as sent:
            return {
                **_path(sent, source),
                "amount": records.display(facts.get("amount", 0)),
                "source_amount": _amount(sent.send_amount),
                "destination_min": _amount(sent.dest_min),
            }
        case stellar_sdk.PathPaymentStrictReceive() as received:
            return {
                **_path(received, source),
                "amount": _amount(received.dest_amount),
                "source_amount": records.display(facts.get("source_amount", 0)),
                "source_max": _amount(received.send_max),
            }
        case stellar_sdk.AccountMerge() as merged:
            return {**records.party("account", source), **records.party("into", merged.destination)}
        case _:
            return _settings(done.operation, source)


def _settings(changed: Operation, source: MuxedAccount) -> Record:
    match changed:
        case stellar_sdk.ChangeTrust(asset=stellar_sdk.Asset() as asset):
            return {
                **records.asset(balances.key(asset)),
                "limit": _amount(changed.limit),
                "trustee": asset.issuer,
                **records.party("trustor", source),
            }
        case stellar_sdk.ManageSellOffer():
            return {
                "offer_id": str(changed.offer_id),
                "amount": _amount(changed.amount),
                **records.asset(balances.key(changed.selling), "selling_"),
                **records.asset(balances.key(changed.buying), "buying_"),
            }
        case stellar_sdk.ManageData():
            value = changed.data_value
            return {"name": changed.data_name, "value": base64.b64encode(value).decode() if value else ""}
        case stellar_sdk.BumpSequence():
            return {"bump_to": str(changed.bump_to)}
        case _:
            return {}


def _path(
    one: stellar_sdk.PathPaymentStrictSend | stellar_sdk.PathPaymentStrictReceive, source: MuxedAccount
) -> Record:
    return {
        **records.asset(balances.key(one.dest_asset)),
        **records.party("from", source),
        **records.party("to", one.destination),
        **records.asset(balances.key(one.send_asset), "source_"),
        "path": [records.asset(balances.key(each)) for each in one.path],
    }


def _amount(text: object) -> str:
    return records.display(Operation.to_xdr_amount(str(text)))
