"""The public key of an account in text (BIP-32): all its addresses follow from it, and no private key does.

https://github.com/bitcoin/bips/blob/master/bip-0032.mediawiki; what it begins with is in SLIP-132.
"""

from __future__ import annotations

import hashlib
import hmac

import coincurve
import msgspec
from embit import base58

from billfold.chains import errors

HARDENED = 1 << 31
#: The longest text that 78 bytes and a checksum make.
TEXT_MAX = 112
_BYTES = 78
#: Of an account: m/purpose'/coin'/account'.
_DEPTH = 3
#: Those of private keys, of every kind and network that SLIP-132 has. Nobody is to be shown one again.
_PRIVATE = frozenset(
    bytes.fromhex(each)
    for each in ("0488ade4", "049d7878", "04b2430c", "0295b005", "02aa7a99", "04358394", "044a4e28", "045f18bc")
)


class Account(msgspec.Struct, frozen=True):
    """The public key of an account, and what its children follow from."""

    version: bytes
    number: int
    chain: bytes
    key: bytes


def read(text: str) -> Account:
    """The key of an account.

    Raises:
        PublicKeyInvalid: it says what is wrong, and repeats no private key.
    """
    text = text.strip()
    try:
        data: bytes = base58.decode_check(text) if len(text) <= TEXT_MAX else b""
    except Exception as error:
        # embit raises whatever its arithmetic meets.
        raise errors.PublicKeyInvalid("A character of the public key is missing or mistyped.") from error
    if data[:4] in _PRIVATE:
        raise errors.PublicKeyInvalid(
            "This is a private key. Whoever has seen it can take everything; move the money to new keys."
        )
    if len(data) != _BYTES:
        raise errors.PublicKeyInvalid("This is no extended public key.")
    number = int.from_bytes(data[9:13], "big")
    if data[4] != _DEPTH or number < HARDENED:
        raise errors.PublicKeyInvalid("This is not the key of an account, such as that of m/84'/0'/0'.")
    try:
        coincurve.PublicKey(data[45:])
    except ValueError as error:
        raise errors.PublicKeyInvalid("This is no extended public key.") from error
    return Account(data[:4], number - HARDENED, data[13:45], data[45:])


def descendant(account: Account, branch: int, index: int) -> bytes:
    """The public key two steps down."""
    return child(*_step(account.key, account.chain, branch), index)


def child(key: bytes, chain: bytes, step: int) -> bytes:
    """The public key one step down (CKDpub)."""
    return _step(key, chain, step)[0]


def _step(key: bytes, chain: bytes, step: int) -> tuple[bytes, bytes]:
    if not 0 <= step < HARDENED:
        raise errors.AddressInvalid(f"Indexes go from 0 to {HARDENED - 1}.")
    digest = hmac.digest(chain, key + step.to_bytes(4, "big"), hashlib.sha512)
    return coincurve.PublicKey(key).add(digest[:32]).format(), digest[32:]
