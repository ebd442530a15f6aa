"""The operations that this ledger knows: whose signatures each takes, what it does, and its result in XDR."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import stellar_sdk
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.operation import Operation

from billfold.devnet.stellar import book, options, paying
from billfold.devnet.stellar.balances import NotDone
from billfold.devnet.stellar.state import Account, State

#: Signatures of which weight an operation takes; what is not here takes `medium`.
_LOW = (stellar_sdk.BumpSequence, stellar_sdk.SetTrustLineFlags)
#: Of the result of each: its field, its codes' prefix, its word in Horizon, and its number there.
_KINDS: dict[type[Operation], tuple[str, str, str]] = {
    stellar_sdk.CreateAccount: ("create_account_result", "CREATE_ACCOUNT", "create_account"),
    stellar_sdk.Payment: ("payment_result", "PAYMENT", "payment"),
    stellar_sdk.PathPaymentStrictReceive: (
        "path_payment_strict_receive_result",
        "PATH_PAYMENT_STRICT_RECEIVE",
        "path_payment_strict_receive",
    ),
    stellar_sdk.PathPaymentStrictSend: (
        "path_payment_strict_send_result",
        "PATH_PAYMENT_STRICT_SEND",
        "path_payment_strict_send",
    ),
    stellar_sdk.ManageSellOffer: ("manage_sell_offer_result", "MANAGE_SELL_OFFER", "manage_sell_offer"),
    stellar_sdk.SetOptions: ("set_options_result", "SET_OPTIONS", "set_options"),
    stellar_sdk.ChangeTrust: ("change_trust_result", "CHANGE_TRUST", "change_trust"),
    stellar_sdk.AccountMerge: ("account_merge_result", "ACCOUNT_MERGE", "account_merge"),
    stellar_sdk.ManageData: ("manage_data_result", "MANAGE_DATA", "manage_data"),
    stellar_sdk.BumpSequence: ("bump_seq_result", "BUMP_SEQUENCE", "bump_sequence"),
    stellar_sdk.SetTrustLineFlags: ("set_trust_line_flags_result", "SET_TRUST_LINE_FLAGS", "set_trust_line_flags"),
}
#: Where Horizon's word is another than the code's in the protocol.
_WORDS = {
    "ALREADY_EXIST": "op_already_exists",
    "NOT_FOUND": "op_offer_not_found",
    "NAME_NOT_FOUND": "op_data_name_not_found",
    "INVALID_NAME": "op_data_invalid_name",
    "OVER_SENDMAX": "op_over_source_max",
    "UNDER_DESTMIN": "op_under_dest_min",
    "OFFER_CROSS_SELF": "op_cross_self",
    "NO_TRUST_LINE": "op_no_trust",
}


@dataclass(frozen=True)
class Outcome:
    """What an operation came to."""

    succeeded: bool
    #: Horizon's word for it.
    word: str
    result: stellar_xdr.OperationResult
    #: What is known only now: the amount of a merge, both amounts of a path payment, the number of an offer.
    facts: dict[str, Any] = field(default_factory=dict)


def known(operation: Operation) -> bool:
    """Whether this ledger has such operations."""
    return type(operation) in _KINDS


def kind(operation: Operation) -> str:
    """Horizon's word for the kind of operation."""
    return _KINDS[type(operation)][2]


def threshold(operation: Operation, account: Account) -> int:
    """What the weights of the signatures must come to."""
    if isinstance(operation, _LOW):
        return account.low
    if isinstance(operation, stellar_sdk.AccountMerge):
        return account.high
    rights = ("master_weight", "low_threshold", "med_threshold", "high_threshold", "signer")
    if isinstance(operation, stellar_sdk.SetOptions) and any(getattr(operation, name) is not None for name in rights):
        return account.high
    return account.medium


def refused(code: stellar_xdr.OperationResultCode, word: str) -> Outcome:
    """An operation that was not tried."""
    return Outcome(succeeded=False, word=word, result=stellar_xdr.OperationResult(code))


def no_account() -> Outcome:
    """An operation whose source is not there (any more)."""
    return refused(stellar_xdr.OperationResultCode.opNO_ACCOUNT, "op_no_source_account")


def carry_out(state: State, account: Account, operation: Operation, *, ledger: int) -> Outcome:
    """Do it; whoever calls takes back what a failed one has left half done."""
    try:
        payload, facts = _done(state, account, operation, ledger)
    except NotDone as error:
        return Outcome(
            succeeded=False,
            word=_WORDS.get(error.word, f"op_{error.word.lower()}"),
            result=_result(operation, error.word, {}),
        )
    return Outcome(succeeded=True, word="op_success", result=_result(operation, "SUCCESS", payload), facts=facts)


def _done(state: State, account: Account, operation: Operation, ledger: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """What its result in XDR has besides the code, and what Horizon tells besides what the operation says."""
    match operation:
        case stellar_sdk.CreateAccount():
            paying.create_account(state, account, operation, ledger=ledger)
        case stellar_sdk.Payment():
            paying.payment(state, account, operation)
        case stellar_sdk.PathPaymentStrictSend():
            sent = paying.strict_send(state, account, operation)
            return {"success": sent}, {"amount": sent.last.amount.int64}
        case stellar_sdk.PathPaymentStrictReceive():
            received = paying.strict_receive(state, account, operation)
            return {"success": received}, {"source_amount": _source_amount(received.offers, operation)}
        case stellar_sdk.AccountMerge():
            merged = paying.account_merge(state, account, operation, ledger=ledger)
            return {"source_account_balance": stellar_xdr.Int64(merged)}, {}
        case stellar_sdk.ManageSellOffer():
            return {"success": book.manage(state, account, operation)}, {}
        case _:
            _changed(state, account, operation)
    return {}, {}


def _changed(state: State, account: Account, operation: Operation) -> None:
    match operation:
        case stellar_sdk.SetOptions():
            options.set_options(account, operation)
        case stellar_sdk.ManageData():
            options.manage_data(account, operation)
        case stellar_sdk.BumpSequence():
            options.bump_sequence(account, operation)
        case stellar_sdk.ChangeTrust():
            options.change_trust(state, account, operation)
        case stellar_sdk.SetTrustLineFlags():
            options.set_trust_line_flags(state, account, operation)
        case _:
            raise AssertionError("only known operations come so far")


def _source_amount(claimed: list[stellar_xdr.ClaimAtom], operation: stellar_sdk.PathPaymentStrictReceive) -> int:
    """What was sent: of the first step, where there is any."""
    sent = operation.send_asset.to_xdr_object()
    atoms = [atom.order_book for atom in claimed if atom.order_book is not None]
    total = sum(atom.amount_bought.int64 for atom in atoms if atom.asset_bought == sent)
    return total if atoms else Operation.to_xdr_amount(operation.dest_amount)


def _result(operation: Operation, word: str, payload: dict[str, Any]) -> stellar_xdr.OperationResult:
    name, prefix, _ = _KINDS[type(operation)]
    shape = "BumpSequenceResult" if name == "bump_seq_result" else _camel(name)
    code = getattr(stellar_xdr, f"{shape}Code")[f"{prefix}_{word}"]
    result = getattr(stellar_xdr, shape)(code, **payload)
    inner = stellar_xdr.OperationResultTr(operation._XDR_OPERATION_TYPE, **{name: result})  # noqa: SLF001 - the SDK has no other name for it
    return stellar_xdr.OperationResult(stellar_xdr.OperationResultCode.opINNER, inner)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
