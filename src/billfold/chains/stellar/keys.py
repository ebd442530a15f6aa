"""Stellar's keys: SLIP-10 on ed25519 with the paths of SEP-5, m/44'/148'/i'.

    hot      m/44'/148'/i'          0 is the account that deposits of everybody come to
    channel  m/44'/148'/(1000+i)'   gives withdrawals their sequence numbers

Deposits have no keys of their own: memos tell them apart.
"""

from __future__ import annotations

import hashlib
import hmac

from nacl import bindings

from billfold.chains import errors
from billfold.chains.port import Network
from billfold.chains.signing_port import Place, Purpose
from billfold.chains.stellar import strkey

_HARDENED = 1 << 31
#: Where channels begin; hot accounts end below.
CHANNELS = 1_000
_FIRST: dict[Purpose, int] = {"hot": 0, "channel": CHANNELS}
_END: dict[Purpose, int] = {"hot": CHANNELS, "channel": _HARDENED}
_SIGNATURE_BYTES = 64


class Pair:
    """A key of ed25519, as libsodium has it. Its text form shows nothing."""

    __slots__ = ("_secret", "public")

    def __init__(self, secret: bytes) -> None:
        self.public, self._secret = bindings.crypto_sign_seed_keypair(secret)

    @property
    def address(self) -> str:
        """The account of this key, G…, as text."""
        return strkey.account(self.public)

    def sign(self, message: bytes) -> bytes:
        """The signature alone."""
        return bindings.crypto_sign(message, self._secret)[:_SIGNATURE_BYTES]


def path(place: Place, *, network: Network) -> str:  # noqa: ARG001 - SEP-5 has one coin for all networks
    """The derivation path (SEP-5).

    Raises:
        AddressInvalid: there is no such place.
    """
    return f"m/44'/148'/{_number(place)}'"


def addresses(seed: bytes, *, purpose: Purpose, first: int, count: int, network: Network) -> list[str]:
    """The addresses of `count` places in a row.

    Raises:
        AddressInvalid: there are no such places.
    """
    places = (Place(purpose=purpose, index=first + number) for number in range(count))
    return [pair(seed, place, network=network).address for place in places]


def public(seed: bytes, *, network: Network) -> str | None:  # noqa: ARG001 - as every chain has it
    """On this curve nothing derives addresses but what derives the keys."""
    return None


def pair(seed: bytes, place: Place, *, network: Network) -> Pair:  # noqa: ARG001 - SEP-5 has one coin for all networks
    """The key of a place, for a signature; whoever calls forgets it at once.

    Raises:
        AddressInvalid: there is no such place.
    """
    digest = hmac.digest(b"ed25519 seed", seed, hashlib.sha512)
    for step in (44, 148, _number(place)):
        data = b"\x00" + digest[:32] + (step + _HARDENED).to_bytes(4, "big")
        digest = hmac.digest(digest[32:], data, hashlib.sha512)
    return Pair(digest[:32])


def _number(place: Place) -> int:
    if place.purpose not in _FIRST:
        raise errors.AddressInvalid(f"Stellar has no addresses for {place.purpose}: memos tell deposits apart.")
    number = _FIRST[place.purpose] + place.index
    if place.index < 0 or number >= _END[place.purpose]:
        raise errors.AddressInvalid(f"Stellar has no {place.purpose} place {place.index}.")
    return number
