"""Seals something for somebody who has made a pair of keys: whoever has the public one seals, the private one opens.

A key pair of X25519 (RFC 7748) is made for each message; its secret with the recipient's gives, by HKDF-SHA256 (RFC
5869) over both public keys, a key that is used once, for AES-256-GCM.

    public key of the message (32 bytes) | nonce (12) | ciphertext and tag
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from billfold.platform.keys.envelope import KEY_BYTES, NONCE_BYTES, SealBroken

PUBLIC_BYTES = 32
PRIVATE_BYTES = 32
_PURPOSE = b"billfold-recipient-v1"


def private_key() -> bytes:
    """A new one."""
    return X25519PrivateKey.generate().private_bytes_raw()


def public_key(private: bytes) -> bytes:
    """That of a private key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def seal(recipient: bytes, plain: bytes, *, context: bytes) -> bytes:
    """`plain` for whoever has the private key of `recipient`, for this context alone.

    Raises:
        SealBroken: this is no public key that keeps a secret.
    """
    own = X25519PrivateKey.generate()
    public = own.public_key().public_bytes_raw()
    nonce = secrets.token_bytes(NONCE_BYTES)
    return public + nonce + _cipher(own, recipient, public + recipient).encrypt(nonce, plain, context)


def open_(private: bytes, sealed: bytes, *, context: bytes) -> bytes:
    """What was sealed.

    Raises:
        SealBroken: for another key or context, or it was changed.
    """
    public, rest = sealed[:PUBLIC_BYTES], sealed[PUBLIC_BYTES:]
    try:
        cipher = _cipher(X25519PrivateKey.from_private_bytes(private), public, public + public_key(private))
        return cipher.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], context)
    except (InvalidTag, ValueError) as error:
        raise SealBroken from error


def _cipher(private: X25519PrivateKey, public: bytes, both: bytes) -> AESGCM:
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        # A point of small order, with which everybody knows the secret.
        raise SealBroken from error
    return AESGCM(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_PURPOSE + both).derive(shared))
