"""Signatures under tree heads (Ed25519, RFC 8032): made with the key of the log, and checked with public keys."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from billfold.audit.domain import notes
from billfold.audit.domain.notes import Head, Note, PublicKey


class Signer:
    """Signs heads with one private key."""

    def __init__(self, private: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(private)
        self.public = PublicKey(self._private.public_key().public_bytes_raw())

    @classmethod
    def new(cls) -> tuple[Signer, bytes]:
        """A signer with a new key, and the private half of that key."""
        private = Ed25519PrivateKey.generate().private_bytes_raw()
        return cls(private), private

    def sign(self, head: Head) -> str:
        """The signed note of a head."""
        text = notes.text(head)
        return notes.signed(text, self.public, self._private.sign(text.encode()))


def signed_by(note: Note, keys: Iterable[PublicKey]) -> PublicKey | None:
    """Which of these keys has signed the note, if one of them has."""
    for key in keys:
        signature = note.signatures.get(key.hash)
        if signature is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, note.text.encode())
        except InvalidSignature:
            continue
        return key
    return None
