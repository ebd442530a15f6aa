"""Reads and signs Stellar's transactions, and only those that `building` makes.

That is a fee bump, without signatures, around a transaction with time bounds whose operations all have the account
that pays as their source: payments, new accounts, trustlines; or it is one bump_sequence that changes nothing. Whatever
is read is written again, and must come out as the same bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from stellar_sdk import (
    Asset,
    BumpSequence,
    ChangeTrust,
    CreateAccount,
    FeeBumpTransactionEnvelope,
    Keypair,
    MuxedAccount,
    Preconditions,
    Transaction,
)
from stellar_sdk import Payment as PaymentOperation
from stellar_sdk.exceptions import SdkError
from stellar_sdk.operation import Operation
from xdrlib3 import Error as XdrError

from billfold.chains.errors import AddressInvalid, PayloadRefused
from billfold.chains.port import Network, Payment, Signed
from billfold.chains.signing_port import Place, Shown
from billfold.chains.stellar import amounts, keys, memos
from billfold.chains.stellar.networks import PASSPHRASES

#: A hundred operations of the kinds that are known here are shorter.
PAYLOAD_MAX = 32 * 1024
#: A trustline that takes whatever comes; the protocol's largest number.
_LIMIT = amounts.display(amounts.INT64_MAX)


def read(payload: bytes, *, network: Network) -> Shown:
    """What it does.

    Raises:
        PayloadRefused
    """
    envelope = _envelope(payload, network)
    inner = envelope.transaction.inner_transaction_envelope.transaction
    payer = _account(envelope.transaction.fee_source)
    _bounded(inner)
    if inner.fee:
        raise PayloadRefused("The transaction within the fee bump offers a fee of its own.")
    memo = memos.shown(inner.memo)
    payments = [_payment(each, payer, inner, memo) for each in inner.operations]
    return Shown(
        sources=list(dict.fromkeys([_account(inner.source), payer])),
        payments=payments,
        fee_max=envelope.transaction.fee,
        kind=_kind(inner.operations),
    )


def sign(payload: bytes, seed: bytes, *, places: Mapping[str, Place], network: Network) -> Signed:
    """The signed transaction: the inner one by its source and by who pays, the fee bump by who pays.

    Raises:
        PayloadRefused
    """
    shown = read(payload, network=network)
    pairs = {address: _pair(seed, address, places, network) for address in shown.sources}
    envelope = _envelope(payload, network)
    # Where no operation is of who pays, their signature within would be one too many, which the network refuses.
    for address in shown.sources[:1] if shown.kind == "cancel" else shown.sources:
        envelope.transaction.inner_transaction_envelope.sign(pairs[address])
    # Its hash covers the signatures within, so it comes last.
    envelope.sign(pairs[shown.sources[-1]])
    return Signed(raw=envelope.to_xdr_object().to_xdr_bytes(), chain_tx=envelope.hash().hex())


def _envelope(payload: bytes, network: Network) -> FeeBumpTransactionEnvelope:
    if len(payload) > PAYLOAD_MAX:
        raise PayloadRefused("The transaction is larger than any of ours.")
    text = base64.b64encode(payload).decode()
    try:
        if not FeeBumpTransactionEnvelope.is_fee_bump_transaction_envelope(text):
            raise PayloadRefused("The transaction is no fee bump.")
        found = FeeBumpTransactionEnvelope.from_xdr(text, PASSPHRASES[network])
        again = found.to_xdr_object().to_xdr_bytes()
    except (ValueError, KeyError, TypeError, EOFError, NotImplementedError, AssertionError, SdkError, XdrError):
        # Whatever the SDK stumbles over is not understood.
        raise PayloadRefused("The transaction is no envelope in XDR.") from None
    if again != payload:
        raise PayloadRefused("The transaction has bytes that mean nothing.")
    if found.signatures or found.transaction.inner_transaction_envelope.signatures:
        raise PayloadRefused("The transaction is signed already.")
    return found


def _bounded(transaction: Transaction) -> None:
    conditions = transaction.preconditions
    bounds = None if conditions is None else conditions.time_bounds
    if transaction.soroban_data is not None or conditions is None or bounds is None or not bounds.max_time:
        raise PayloadRefused("The transaction has no end of its time, or belongs to a contract.")
    plain = Preconditions(time_bounds=bounds)
    if conditions.to_xdr_object().to_xdr_bytes() != plain.to_xdr_object().to_xdr_bytes():
        raise PayloadRefused("The transaction has conditions beside its time.")


def _payment(operation: Operation, payer: str, inner: Transaction, memo: str | None) -> Payment:
    """What an operation pays. What uses the number up and does nothing else is shown as nothing to its source."""
    if isinstance(operation, BumpSequence) and operation.source is None and not operation.bump_to:
        return Payment(address=_account(inner.source), amount=0, memo=memo)
    if operation.source is None or _account(operation.source) != payer:
        raise PayloadRefused("An operation is of another account than the one that pays.")
    match operation:
        case PaymentOperation(destination=MuxedAccount() as target, asset=asset):
            units = Operation.to_xdr_amount(operation.amount)
            found = Payment(address=_account(target), amount=units, token=amounts.token(asset), memo=memo)
        case CreateAccount():
            units = Operation.to_xdr_amount(operation.starting_balance)
            found = Payment(address=operation.destination, amount=units, memo=memo)
        case ChangeTrust(asset=Asset() as asset, limit=limit) if limit == _LIMIT and not asset.is_native():
            return Payment(address=payer, amount=0, token=amounts.token(asset), memo=memo)
        case _:
            raise PayloadRefused("An operation is none of those that are known.")
    if found.amount <= 0:
        raise PayloadRefused("An amount is not above 0.")
    return found


def _kind(operations: Sequence[Operation]) -> str:
    kinds = {type(each) for each in operations}
    if kinds == {BumpSequence} and len(operations) == 1:
        return "cancel"
    if kinds == {ChangeTrust}:
        return "open"
    if kinds and kinds <= {PaymentOperation, CreateAccount}:
        return "pay"
    raise PayloadRefused("The transaction mixes operations that do not belong together.")


def _account(who: MuxedAccount) -> str:
    if who.account_muxed_id is not None:
        raise PayloadRefused("An address has a number in it, which belongs into the memo.")
    return who.account_id


def _pair(seed: bytes, address: str, places: Mapping[str, Place], network: Network) -> Keypair:
    place = places.get(address)
    if place is None:
        raise PayloadRefused(f"No place is given for {address}.")
    try:
        pair = keys.pair(seed, place, network=network)
    except AddressInvalid as error:
        raise PayloadRefused(error.detail) from error
    if pair.public_key != address:
        raise PayloadRefused(f"The place that is given for {address} is of another address.")
    return pair
