"""Solana's keys from a seed: SLIP-10 with ed25519.

It has hardened derivation alone, so there is no public key from which all addresses come.

    m/44'/501'/i'/0'   deposit; where other wallets look for the account i
    m/44'/501'/i'/1'   hot
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from solders.keypair import Keypair

from billfold.chains.errors import PayloadRefused
from billfold.chains.port import Network
from billfold.chains.signing_port import Place, Purpose

HARDENED = 2**31
_MASTER = b"ed25519 seed"
_PURPOSE, _COIN = 44, 501
_BRANCHES: dict[Purpose, int] = {"deposit": 0, "hot": 1}


def path(place: Place, *, network: Network) -> str:  # noqa: ARG001 - Solana's networks share their paths
    """The derivation path, such as m/44'/501'/7'/0'.

    Raises:
        PayloadRefused: Solana has no addresses for that.
    """
    return "m/" + "/".join(f"{number}'" for number in _numbers(place))


def addresses(seed: bytes, *, purpose: Purpose, first: int, count: int, network: Network) -> list[str]:  # noqa: ARG001
    """The addresses of `count` places in a row.

    Raises:
        PayloadRefused: Solana has no addresses for that.
    """
    coin = _derived(_master(seed), (_PURPOSE, _COIN))
    found = []
    for index in range(first, first + count):
        key, _ = _derived(coin, _numbers(Place(purpose=purpose, index=index))[2:])
        found.append(str(Keypair.from_seed(key).pubkey()))
    return found


def public(seed: bytes, *, network: Network) -> str | None:  # noqa: ARG001 - as every chain's
    """None: with ed25519 every step takes the private key."""
    return None


def keypair(seed: bytes, place: Place) -> Keypair:
    """The key at a place.

    Raises:
        PayloadRefused: Solana has no addresses for that.
    """
    return Keypair.from_seed(private(seed, _numbers(place)))


def private(seed: bytes, numbers: Sequence[int]) -> bytes:
    """The private key at the end of a path of hardened numbers (SLIP-10)."""
    return _derived(_master(seed), numbers)[0]


def _numbers(place: Place) -> tuple[int, ...]:
    if place.purpose not in _BRANCHES:
        raise PayloadRefused(f"Solana has no addresses for {place.purpose}.")
    if not 0 <= place.index < HARDENED:
        raise PayloadRefused("The index of an address is from 0 to 2^31 - 1.")
    return _PURPOSE, _COIN, place.index, _BRANCHES[place.purpose]


def _master(seed: bytes) -> tuple[bytes, bytes]:
    return _halves(hmac.digest(_MASTER, seed, hashlib.sha512))


def _derived(node: tuple[bytes, bytes], numbers: Sequence[int]) -> tuple[bytes, bytes]:
    for number in numbers:
        key, chain = node
        node = _halves(hmac.digest(chain, b"\0" + key + (HARDENED + number).to_bytes(4, "big"), hashlib.sha512))
    return node


def _halves(digest: bytes) -> tuple[bytes, bytes]:
    return digest[:32], digest[32:]
