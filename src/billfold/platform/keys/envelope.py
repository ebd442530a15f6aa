"""Seals values under data keys of their own, and asks a provider to wrap those.

A sealed value is AES-256-GCM (NIST SP 800-38D) under a fresh key and a random nonce of 96 bits:

    version (1 byte) | length of the wrapped key (2 bytes) | wrapped key | nonce (12) | ciphertext and tag

Its context, such as the table and the id of the row it stands in, is authenticated with it and not stored: a value that
is moved to another row opens no more.
"""

from __future__ import annotations

import secrets
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from billfold.kernel import errors

KEY_BYTES = 32
NONCE_BYTES = 12
#: What is sealed is keys, passwords of other systems, and mails: small.
PLAIN_MAX_BYTES = 1024 * 1024

_TAG_BYTES = 16
_VERSION = b"\x01"
_LENGTH_BYTES = 2
_HEADER_BYTES = len(_VERSION) + _LENGTH_BYTES


class KeysUnavailable(errors.Unavailable):
    """The master keys that seal secrets can't be used now; try again with the same idempotency key."""

    code = "keys_unavailable"


class SealBroken(errors.BillfoldError):
    """A sealed value was changed, or is not the one that belongs here."""

    code = "seal_broken"


class Provider(Protocol):
    """Has the master keys, and uses them on behalf of those who never see them."""

    async def newest(self) -> str:
        """The id of the master key that wraps now: another one after each rotation.

        Raises:
            KeysUnavailable.
        """
        ...

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """`key`, sealed for this context.

        Raises:
            KeysUnavailable.
        """
        ...

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key that was wrapped for this context.

        Raises:
            KeysUnavailable: also when it needs a master key that is not here.
            SealBroken: it was changed, or wrapped for another context.
        """
        ...


class NoProvider:
    """Stands where no master keys are set: for commands that need none."""

    async def newest(self) -> str:
        raise _not_set()

    async def wrap(self, _key: bytes, _context: bytes) -> bytes:
        raise _not_set()

    async def unwrap(self, _wrapped: bytes, _context: bytes) -> bytes:
        raise _not_set()


class Envelope:
    """Seals and opens values."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def seal(self, plain: bytes, *, context: str) -> bytes:
        """`plain`, so that it opens with the same context alone.

        Raises:
            KeysUnavailable.
        """
        assert len(plain) <= PLAIN_MAX_BYTES, "what is sealed is small"
        key, nonce = AESGCM.generate_key(KEY_BYTES * 8), secrets.token_bytes(NONCE_BYTES)
        wrapped = await self._provider.wrap(key, context.encode())
        header = _VERSION + len(wrapped).to_bytes(_LENGTH_BYTES)
        return header + wrapped + nonce + AESGCM(key).encrypt(nonce, plain, header + context.encode())

    async def open(self, sealed: bytes, *, context: str) -> bytes:
        """What was sealed with this context.

        Raises:
            KeysUnavailable: also when it was sealed under a master key that is not here.
            SealBroken: it was changed, cut short, or sealed with another context.
        """
        header, rest = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        length = int.from_bytes(header[len(_VERSION) :])
        if header[: len(_VERSION)] != _VERSION or len(rest) < length + NONCE_BYTES + _TAG_BYTES:
            raise SealBroken
        wrapped, nonce, text = rest[:length], rest[length : length + NONCE_BYTES], rest[length + NONCE_BYTES :]
        key = await self._provider.unwrap(wrapped, context.encode())
        try:
            return AESGCM(key).decrypt(nonce, text, header + context.encode())
        except InvalidTag as error:
            raise SealBroken from error


def _not_set() -> KeysUnavailable:
    return KeysUnavailable("There are no master keys here: the setting keys.file names no file.")
