"""Reads and signs transactions of Solana, for the signer alone.

A message does not say of which network it is: only the recent block in it ties it to one.
"""

from __future__ import annotations

from collections.abc import Mapping

from solders.message import from_bytes_versioned
from solders.transaction import VersionedTransaction

from billfold.chains.errors import PayloadRefused
from billfold.chains.port import Network, Payment, Signed
from billfold.chains.signing_port import Place, Shown
from billfold.chains.solana import claims, keys, orders


def read(payload: bytes, *, network: Network) -> Shown:  # noqa: ARG001 - see above
    """What it does: payments of tokens name the owner, not the token account. `fee_max` has the rent of those.

    Raises:
        PayloadRefused: it is not understood to the last byte, or pays nothing.
    """
    order = orders.read(payload)
    if not order.pays:
        raise PayloadRefused("The message pays nothing.")
    payments = [Payment(address=pay.address, amount=pay.amount, token=pay.token, memo=pay.memo) for pay in order.pays]
    return Shown(sources=[order.payer], payments=payments, fee_max=order.fee_max)


def sign(payload: bytes, seed: bytes, *, places: Mapping[str, Place], network: Network) -> Signed:
    """The signed transaction.

    Raises:
        PayloadRefused: also where the place does not have the address that it is given for.
    """
    (source,) = read(payload, network=network).sources
    place = places.get(source)
    if place is None:
        raise PayloadRefused("No place is given for the address that pays.")
    key = keys.keypair(seed, place)
    if str(key.pubkey()) != source:
        raise PayloadRefused("The place does not have the address that it is given for.")
    signature = key.sign_message(payload)
    signed = VersionedTransaction.populate(from_bytes_versioned(payload), [signature])
    return Signed(raw=bytes(signed), chain_tx=str(signature))


def claim(text: str, seed: bytes, *, address: str, place: Place, network: Network) -> str:  # noqa: ARG001 - see above
    """The sentence, signed by the key of an address (Solana's off-chain messages).

    Raises:
        PayloadRefused: the place does not have this address.
    """
    key = keys.keypair(seed, place)
    if str(key.pubkey()) != address:
        raise PayloadRefused("The place does not have the address that it is given for.")
    return str(key.sign_message(claims.message(text, signer=bytes(key.pubkey()))))
