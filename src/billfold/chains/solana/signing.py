"""Reads and signs transactions of Solana, for the signer alone.

A message does not say of which network it is: only the recent block in it ties it to one.
"""

from __future__ import annotations

from collections.abc import Mapping

from solders.keypair import Keypair
from solders.message import from_bytes_versioned
from solders.transaction import VersionedTransaction

from billfold.chains.errors import PayloadRefused
from billfold.chains.port import Network, Payment, Signed
from billfold.chains.signing_port import Place, Shown
from billfold.chains.solana import addresses, claims, keys, nonces, orders, sweeps


def read(payload: bytes, *, network: Network) -> Shown:  # noqa: ARG001 - see above
    """What it does: payments of tokens name the owner, not the token account. `fee_max` has the rent of those.

    Raises:
        PayloadRefused: it is not understood to the last byte, or pays nothing.
    """
    if sweeps.is_sweep(payload):
        return _sweep(sweeps.read(payload))
    order = orders.read(payload)
    if not order.pays:
        raise PayloadRefused("The message pays nothing.")
    if order.nonce is not None and order.nonce not in nonces.accounts(order.payer):
        raise PayloadRefused("The message has a nonce of an account that is none of its payer's.")
    payments = [Payment(address=pay.address, amount=pay.amount, token=pay.token, memo=pay.memo) for pay in order.pays]
    return Shown(sources=[order.payer], payments=payments, fee_max=order.fee_max)


def sign(payload: bytes, seed: bytes, *, places: Mapping[str, Place], network: Network) -> Signed:
    """The signed transaction.

    Raises:
        PayloadRefused: also where a place does not have the address that it is given for.
    """
    keypairs = [_key(source, seed, places) for source in read(payload, network=network).sources]
    signatures = [key.sign_message(payload) for key in keypairs]
    signed = VersionedTransaction.populate(from_bytes_versioned(payload), signatures)
    return Signed(raw=bytes(signed), chain_tx=str(signatures[0]))


def _sweep(sweep: sweeps.Sweep) -> Shown:
    payment = Payment(address=sweep.payer, amount=sweep.amount, token=sweep.token)
    return Shown(sources=[sweep.payer, sweep.owner], payments=[payment], fee_max=sweep.fee_max)


def _key(source: str, seed: bytes, places: Mapping[str, Place]) -> Keypair:
    place = places.get(source)
    if place is None:
        raise PayloadRefused("No place is given for an address that pays.")
    key = keys.keypair(seed, place)
    if str(key.pubkey()) != source:
        raise PayloadRefused("The place does not have the address that it is given for.")
    return key


def destination(text: str, *, network: Network) -> str:  # noqa: ARG001 - as every chain has it
    """The address in its one form.

    Raises:
        AddressInvalid
    """
    return addresses.canonical(text)


def claim(text: str, seed: bytes, *, address: str, place: Place, network: Network) -> str:  # noqa: ARG001 - see above
    """The sentence, signed by the key of an address (Solana's off-chain messages).

    Raises:
        PayloadRefused: the place does not have this address.
    """
    key = keys.keypair(seed, place)
    if str(key.pubkey()) != address:
        raise PayloadRefused("The place does not have the address that it is given for.")
    return str(key.sign_message(claims.message(text, signer=bytes(key.pubkey()))))
