"""Reads what it is to sign to the last byte, and signs payments alone: of the coin, or by `transfer` of a token.

A payload is the sender's 20 bytes and what EIP-2718 has signed, which does not say itself who sends it.
"""

from __future__ import annotations

from collections.abc import Mapping

import coincurve
from eth_utils import crypto

from billfold.chains import errors
from billfold.chains.ethereum import addresses, claims, keys, transactions
from billfold.chains.port import Network, Payment, Signed
from billfold.chains.signing_port import Place, Shown


def read(payload: bytes, *, network: Network) -> Shown:
    """What it does.

    Raises:
        PayloadRefused: it is not understood to the last byte, or is of another chain or network.
    """
    sender, call = _read(payload, network)
    return Shown(sources=[sender], payments=[_payment(call)], fee_max=call.fee_max, kind=_kind(sender, call))


def sign(payload: bytes, seed: bytes, *, places: Mapping[str, Place], network: Network) -> Signed:
    """The signed transaction.

    Raises:
        PayloadRefused: also where the place of the sender is not given, or has another address.
    """
    sender, call = _read(payload, network)
    place = places.get(sender)
    if place is None:
        raise errors.PayloadRefused("No place is given for the key of the sender.")
    key = coincurve.PrivateKey(keys.secret(seed, place))
    if addresses.of_public_key(key.public_key.format(compressed=False)) != sender:
        raise errors.PayloadRefused("The key at the place has another address.")
    made = key.sign_recoverable(crypto.keccak(payload[addresses.BYTES :]), hasher=None)
    r, s, parity = int.from_bytes(made[:32], "big"), int.from_bytes(made[32:64], "big"), made[64]
    raw = transactions.encode_signed(call, parity=parity, r=r, s=s)
    return Signed(raw=raw, chain_tx=transactions.hash_of(raw))


def destination(text: str, *, network: Network) -> str:  # noqa: ARG001 - as every chain has it
    """The address in its one form.

    Raises:
        AddressInvalid
    """
    return addresses.canonical(text)


def claim(text: str, seed: bytes, *, address: str, place: Place, network: Network) -> str:
    """The sentence, signed by the key of an address (EIP-191).

    Raises:
        PayloadRefused: the place does not have this address.
    """
    del network
    key = coincurve.PrivateKey(keys.secret(seed, place))
    if addresses.of_public_key(key.public_key.format(compressed=False)) != address:
        raise errors.PayloadRefused("The key at the place has another address.")
    return claims.encoded(key.sign_recoverable(claims.digest(text), hasher=None))


def _read(payload: bytes, network: Network) -> tuple[str, transactions.Call]:
    sender = addresses.checksummed(payload[: addresses.BYTES])
    try:
        call = transactions.decode(payload[addresses.BYTES :])
    except ValueError as error:
        raise errors.PayloadRefused(f"The transaction is not understood: {error}.") from error
    if call.chain_id not in transactions.CHAIN_IDS[network]:
        raise errors.PayloadRefused(f"The transaction is of chain {call.chain_id}, not of the network {network}.")
    if call.max_priority_fee_per_gas > call.max_fee_per_gas:
        raise errors.PayloadRefused("The transaction offers more to the block's maker than in all.")
    return sender, call


def _payment(call: transactions.Call) -> Payment:
    if not call.data:
        return Payment(address=call.to, amount=call.value)
    transfer = transactions.transferred(call.data)
    if transfer is None or call.value:
        raise errors.PayloadRefused("The transaction calls a contract in a way that is not understood.")
    return Payment(address=transfer[0], amount=transfer[1], token=call.to)


def _kind(sender: str, call: transactions.Call) -> str:
    return "cancel" if call.to == sender and not call.value and not call.data else "pay"
