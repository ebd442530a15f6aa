"""Seals a file under a key, and a key under a passphrase that people remember.

The key comes of Argon2id (RFC 9106, 4: the second recommended option), the seal is AES-256-GCM (NIST SP 800-38D).
"""

from __future__ import annotations

import secrets

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from billfold.platform.keys.envelope import KEY_BYTES, NONCE_BYTES, SealBroken

SALT_BYTES = 16
ITERATIONS = 3
LANES = 4
MEMORY_KIB = 64 * 1024
#: A file that somebody has tampered with must not take all of the machine.
_ITERATIONS_MAX, _LANES_MAX, _MEMORY_MAX_KIB = 100, 64, 4 * 1024 * 1024


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """How a key comes of a passphrase."""

    salt: bytes
    iterations: int = ITERATIONS
    lanes: int = LANES
    memory_kib: int = MEMORY_KIB

    def key(self, passphrase: str) -> bytes:
        """The key. It takes a fraction of a second, and as much memory as is said.

        Raises:
            SealBroken: these are no parameters of ours.
        """
        usual = (
            1 <= self.iterations <= _ITERATIONS_MAX
            and 1 <= self.lanes <= _LANES_MAX
            and 8 * self.lanes <= self.memory_kib <= _MEMORY_MAX_KIB
            and len(self.salt) == SALT_BYTES
        )
        if not usual:
            raise SealBroken
        derivation = Argon2id(
            salt=self.salt,
            length=KEY_BYTES,
            iterations=self.iterations,
            lanes=self.lanes,
            memory_cost=self.memory_kib,
        )
        return derivation.derive(passphrase.encode())


def salted() -> Derived:
    """A derivation of its own for each passphrase."""
    return Derived(salt=secrets.token_bytes(SALT_BYTES))


def seal(key: bytes, plain: bytes, *, context: bytes) -> bytes:
    """`plain`, so that it opens with the same key and context alone."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, context)


def open_(key: bytes, sealed: bytes, *, context: bytes) -> bytes:
    """What was sealed.

    Raises:
        SealBroken: by another key, for another context, or it was changed.
    """
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except (InvalidTag, ValueError) as error:
        raise SealBroken from error
