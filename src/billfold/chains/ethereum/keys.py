"""Keys from a seed: BIP-44 over secp256k1, m/44'/60'/account'/0/index; account 0 for deposits, 1 for hot addresses.

The coin type is 60 on every network: an address of Ethereum is the same on all of them.
https://github.com/bitcoin/bips/blob/master/bip-0044.mediawiki, …/bip-0032.mediawiki
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

import coincurve

from billfold.chains import errors, extended
from billfold.chains.ethereum import addresses as forms
from billfold.chains.port import Network
from billfold.chains.signing_port import Place, Purpose

_HARDENED = 2**31
_COIN = 60
_ACCOUNTS: dict[Purpose, int] = {"deposit": 0, "hot": 1}
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_XPUB = bytes.fromhex("0488b21e")
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class _Node(NamedTuple):
    secret: bytes
    chain: bytes

    def public(self, *, compressed: bool = True) -> bytes:
        return coincurve.PublicKey.from_valid_secret(self.secret).format(compressed=compressed)


def path(place: Place, *, network: Network) -> str:
    """The derivation path."""
    del network
    steps = _steps(place.purpose, place.index)
    return "/".join(["m", *(f"{each - _HARDENED}'" if each >= _HARDENED else str(each) for each in steps)])


def addresses(seed: bytes, *, purpose: Purpose, first: int, count: int, network: Network) -> list[str]:
    """The addresses of `count` places in a row."""
    del network
    *above, start = _steps(purpose, first)
    parent = _derived(seed, above)
    public = parent.public()
    return [_public_child(public, parent.chain, start + number) for number in range(count)]


def public(seed: bytes, *, network: Network) -> str | None:
    """The public key of the account of deposits, from which all their addresses follow (BIP-32)."""
    del network
    steps = _steps("deposit", 0)[:3]
    above, account = _derived(seed, steps[:-1]), _derived(seed, steps)
    parent = hashlib.new("ripemd160", hashlib.sha256(above.public()).digest()).digest()[:4]
    data = _XPUB + bytes([len(steps)]) + parent + steps[-1].to_bytes(4, "big") + account.chain + account.public()
    return _base58_checked(data)


def secret(seed: bytes, place: Place) -> bytes:
    """The private key of a place, for a signature; whoever calls forgets it at once."""
    return _derived(seed, _steps(place.purpose, place.index)).secret


def _steps(purpose: Purpose, index: int) -> list[int]:
    if purpose not in _ACCOUNTS:
        raise errors.AddressInvalid(f"Ethereum has no addresses for {purpose}.")
    if not 0 <= index < _HARDENED:
        raise errors.AddressInvalid(f"Indexes go from 0 to {_HARDENED - 1}.")
    return [_HARDENED + 44, _HARDENED + _COIN, _HARDENED + _ACCOUNTS[purpose], 0, index]


def _derived(seed: bytes, steps: list[int]) -> _Node:
    digest = hmac.digest(b"Bitcoin seed", seed, "sha512")
    node = _Node(digest[:32], digest[32:])
    for step in steps:
        node = _child(node, step)
    return node


def _child(parent: _Node, step: int) -> _Node:
    key = b"\0" + parent.secret if step >= _HARDENED else parent.public()
    digest = hmac.digest(parent.chain, key + step.to_bytes(4, "big"), "sha512")
    number = (int.from_bytes(digest[:32], "big") + int.from_bytes(parent.secret, "big")) % _ORDER
    # One in 2^127, for which BIP-32 has the next index; no seed is known that meets it.
    assert number, "the key is nought"
    return _Node(number.to_bytes(32, "big"), digest[32:])


def _public_child(public_key: bytes, chain: bytes, step: int) -> str:
    return forms.of_public_key(coincurve.PublicKey(extended.child(public_key, chain, step)).format(compressed=False))


def _base58_checked(data: bytes) -> str:
    data += hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return text
