"""Another signature of the same message by the same key of ed25519, as a signer makes who draws lots for it.

RFC 8032 takes the nonce from key and message, and so do all our libraries. Whoever checks a signature can't see where
its nonce came from.
"""

from __future__ import annotations

import hashlib
import secrets

from nacl import bindings
from solders.keypair import Keypair
from solders.signature import Signature

_SCALAR = bindings.crypto_core_ed25519_SCALARBYTES


def sign(pair: Keypair, message: bytes) -> Signature:
    """It, good for the same message, and never the same again."""
    digest = bytearray(hashlib.sha512(bytes(pair)[:_SCALAR]).digest()[:_SCALAR])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    key = bindings.crypto_core_ed25519_scalar_reduce(bytes(digest) + bytes(_SCALAR))
    nonce = bindings.crypto_core_ed25519_scalar_reduce(secrets.token_bytes(2 * _SCALAR))
    point = bindings.crypto_scalarmult_ed25519_base_noclamp(nonce)
    challenge = bindings.crypto_core_ed25519_scalar_reduce(
        hashlib.sha512(point + bytes(pair.pubkey()) + message).digest()
    )
    answer = bindings.crypto_core_ed25519_scalar_add(nonce, bindings.crypto_core_ed25519_scalar_mul(challenge, key))
    signature = Signature(point + answer)
    assert signature.verify(pair.pubkey(), message), "it is good"
    return signature
