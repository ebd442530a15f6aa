"""Bitcoin's keys: BIP-32 from a seed, paths and addresses as in BIP-84 (one key, one witness program).

    deposit  m/84'/coin'/0'/0/i
    change   m/84'/coin'/0'/1/i
    hot      m/84'/coin'/1'/0/i

`coin'` is 0' where there is money and 1' everywhere else (SLIP-44).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

import coincurve
from embit import base58, hashes

from billfold.chains import errors, extended
from billfold.chains.bitcoin.addresses import address_of_key
from billfold.chains.port import Network
from billfold.chains.signing_port import Place, Purpose

#: The order of the curve (SEC 2, secp256k1).
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HARDENED = 1 << 31
#: Account and chain of each purpose.
_BRANCHES: dict[Purpose, tuple[int, int]] = {"deposit": (0, 0), "change": (0, 1), "hot": (1, 0)}
#: What begins a public key of an account in text (SLIP-132: it says that addresses are those of BIP-84).
_ZPUB = {"main": bytes.fromhex("04b24746"), "test": bytes.fromhex("045f1cf6"), "sandbox": bytes.fromhex("045f1cf6")}


class _Key(NamedTuple):
    """A private key of the tree. Nothing shows it."""

    secret: bytes
    chain: bytes

    def __repr__(self) -> str:
        return "_Key()"

    def public(self) -> bytes:
        return coincurve.PublicKey.from_valid_secret(self.secret).format()


def path(place: Place, *, network: Network) -> str:
    """The derivation path."""
    steps = _steps(place.purpose, place.index, network)
    return "/".join(["m", *(f"{each - _HARDENED}'" if each >= _HARDENED else str(each) for each in steps)])


def addresses(seed: bytes, *, purpose: Purpose, first: int, count: int, network: Network) -> list[str]:
    """The addresses of `count` places in a row."""
    *above, start = _steps(purpose, first, network)
    parent = _derived(seed, above)
    public = parent.public()
    return [address_of_key(extended.child(public, parent.chain, start + number), network) for number in range(count)]


def public(seed: bytes, *, network: Network) -> str | None:
    """The public key of the account of deposits and change, from which all their addresses follow (BIP-84)."""
    steps = _steps("deposit", 0, network)[:3]
    above, account = _derived(seed, steps[:-1]), _derived(seed, steps)
    parent = hashes.hash160(above.public())[:4]
    data = _ZPUB[network] + bytes([len(steps)]) + parent + steps[-1].to_bytes(4, "big") + account.chain
    return str(base58.encode_check(data + account.public()))


def secret(seed: bytes, place: Place, *, network: Network) -> bytes:
    """The private key of a place, for a signature; whoever calls forgets it at once."""
    return _derived(seed, _steps(place.purpose, place.index, network)).secret


def _steps(purpose: Purpose, index: int, network: Network) -> list[int]:
    if purpose not in _BRANCHES:
        raise errors.AddressInvalid(f"Bitcoin has no addresses for {purpose}.")
    if not 0 <= index < _HARDENED:
        raise errors.AddressInvalid(f"Indexes go from 0 to {_HARDENED - 1}.")
    account, chain = _BRANCHES[purpose]
    coin = 0 if network == "main" else 1
    return [84 + _HARDENED, coin + _HARDENED, account + _HARDENED, chain, index]


def _derived(seed: bytes, steps: list[int]) -> _Key:
    digest = hmac.digest(b"Bitcoin seed", seed, hashlib.sha512)
    key = _Key(digest[:32], digest[32:])
    for step in steps:
        key = _child(key, step)
    return key


def _child(parent: _Key, step: int) -> _Key:
    """The private key one step down (BIP-32, CKDpriv)."""
    head = b"\x00" + parent.secret if step >= _HARDENED else parent.public()
    digest = hmac.digest(parent.chain, head + step.to_bytes(4, "big"), hashlib.sha512)
    added = int.from_bytes(digest[:32], "big")
    found = (added + int.from_bytes(parent.secret, "big")) % _ORDER
    # Once in 2^127; BIP-32 has the next index taken then, which nobody would find again.
    assert added < _ORDER and found, "there is no key at this place"
    return _Key(found.to_bytes(32, "big"), digest[32:])
