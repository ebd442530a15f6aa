"""Reads and signs Stellar's transactions, and only those that `building` makes.

That is a fee bump, without signatures, around a transaction with time bounds whose operations all have the account
that pays as their source: payments, new accounts, trustlines; or it is one bump_sequence that changes nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from hashlib import sha256

from billfold.chains.errors import AddressInvalid, PayloadRefused
from billfold.chains.port import Network, Payment, Signed
from billfold.chains.signing_port import Place, Shown
from billfold.chains.stellar import addresses, envelopes, keys
from billfold.chains.stellar.envelopes import FeeBump, Operation

#: No transaction begins so (SEP-53).
_MESSAGE_PREFIX = b"Stellar Signed Message:\n"
#: What a transaction is whose operations are all of these kinds.
_KINDS: Sequence[tuple[str, frozenset[str]]] = (
    ("cancel", frozenset({"bump"})),
    ("open", frozenset({"trust"})),
    ("pay", frozenset({"pay", "create"})),
)


def read(payload: bytes, *, network: Network) -> Shown:  # noqa: ARG001 - the network is part of the hash alone
    """What it does.

    Raises:
        PayloadRefused
    """
    return _shown(envelopes.read(payload))


def sign(payload: bytes, seed: bytes, *, places: Mapping[str, Place], network: Network) -> Signed:
    """The signed transaction: the inner one by its source and by who pays, the fee bump by who pays.

    Raises:
        PayloadRefused
    """
    found = envelopes.read(payload)
    shown = _shown(found)
    pairs = {address: _pair(seed, address, places, network) for address in shown.sources}
    # Where no operation is of who pays, their signature within would be one too many, which the network refuses.
    signers = shown.sources[:1] if shown.kind == "cancel" else shown.sources
    inner = found.inner_hash(network)
    within = [_signature(pairs[address], inner) for address in signers]
    # This hash covers the signatures within, so it comes last.
    outer = found.outer_hash(network, within)
    return Signed(raw=found.signed(within, [_signature(pairs[found.payer], outer)]), chain_tx=outer.hex())


def destination(text: str, *, network: Network) -> str:  # noqa: ARG001 - as every chain has it
    """The address in its one form.

    Raises:
        AddressInvalid
    """
    account, memo = addresses.canonical(text)
    if memo is not None:
        raise AddressInvalid(f"Whom an account keeps apart is not looked at here. Its own address is {account}.")
    return account


def claim(text: str, seed: bytes, *, address: str, place: Place, network: Network) -> str:
    """The sentence, signed by the key of an account (SEP-53).

    Raises:
        PayloadRefused: the place does not have this address.
    """
    pair = _pair(seed, address, {address: place}, network)
    return base64.b64encode(pair.sign(sha256(_MESSAGE_PREFIX + text.encode()).digest())).decode()


def _shown(found: FeeBump) -> Shown:
    return Shown(
        sources=list(dict.fromkeys([found.source, found.payer])),
        payments=[_payment(each, found) for each in found.operations],
        fee_max=found.fee,
        kind=_kind(found.operations),
    )


def _payment(operation: Operation, found: FeeBump) -> Payment:
    """What an operation pays. What uses the number up and does nothing else is shown as nothing to its source."""
    if operation.kind == "bump":
        return Payment(address=found.source, amount=0, memo=found.memo)
    if operation.source != found.payer:
        raise PayloadRefused("An operation is of another account than the one that pays.")
    if operation.kind == "trust":
        return Payment(address=found.payer, amount=0, token=operation.token, memo=found.memo)
    if operation.amount <= 0:
        raise PayloadRefused("An amount is not above 0.")
    assert operation.address is not None, "a payment has one"
    return Payment(address=operation.address, amount=operation.amount, token=operation.token, memo=found.memo)


def _kind(operations: Sequence[Operation]) -> str:
    kinds = {each.kind for each in operations}
    for name, known in _KINDS:
        if kinds and kinds <= known and (name != "cancel" or len(operations) == 1):
            return name
    raise PayloadRefused("The transaction mixes operations that do not belong together.")


def _signature(pair: keys.Pair, digest: bytes) -> bytes:
    return envelopes.decorated(pair.public, pair.sign(digest))


def _pair(seed: bytes, address: str, places: Mapping[str, Place], network: Network) -> keys.Pair:
    place = places.get(address)
    if place is None:
        raise PayloadRefused(f"No place is given for {address}.")
    try:
        pair = keys.pair(seed, place, network=network)
    except AddressInvalid as error:
        raise PayloadRefused(error.detail) from error
    if pair.address != address:
        raise PayloadRefused(f"The place that is given for {address} is of another address.")
    return pair
