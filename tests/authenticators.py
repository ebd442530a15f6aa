"""A security key in software: it does what it is told, so that tests can make it do what it should not.

Real browsers with their own virtual authenticators are in tests/browser; this one is for what those would never send.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

#: Bits of the flags in authenticator data (WebAuthn, 6.1).
PRESENT = 0x01
RECOGNISED = 0x04
ATTESTED = 0x40


def base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@dataclass
class SecurityKey:
    """One passkey, and the browser that it is used with."""

    origin: str = "http://localhost:8080"
    rp_id: str = "localhost"
    flags: int = PRESENT | RECOGNISED
    sign_count: int = 0
    #: What it says of itself instead of what the options ask for.
    user_handle: bytes | None = None
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options: Mapping[str, Any], **attestation: Any) -> dict[str, Any]:
        """What `navigator.credentials.create()` gives for these options, in its JSON form."""
        encoded = options["user"]["id"]
        self.user_handle = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        attested = bytes(16) + len(self.credential_id).to_bytes(2) + self.credential_id + self._public_key()
        statement = {"fmt": "none", "attStmt": {}, "authData": self._data(ATTESTED) + attested} | attestation
        response = {
            "clientDataJSON": self._client("webauthn.create", options["challenge"]),
            "attestationObject": base64url(cbor2.dumps(statement)),
            "transports": ["internal"],
        }
        return self._credential(response)

    def get(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.get()` gives for these options, in its JSON form."""
        self.sign_count += 1
        data = self._data()
        client = self._client("webauthn.get", options["challenge"])
        signed = data + sha256(base64.urlsafe_b64decode(client + "=" * (-len(client) % 4))).digest()
        response = {
            "clientDataJSON": client,
            "authenticatorData": base64url(data),
            "signature": base64url(self.key.sign(signed, ec.ECDSA(hashes.SHA256()))),
            "userHandle": None if self.user_handle is None else base64url(self.user_handle),
        }
        return self._credential(response)

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        name = base64url(self.credential_id)
        # The last two are what browsers add, and nobody asked for.
        added = {"authenticatorAttachment": "platform", "clientExtensionResults": {}}
        return {"id": name, "rawId": name, "type": "public-key", "response": response, **added}

    def _data(self, flags: int = 0) -> bytes:
        return sha256(self.rp_id.encode()).digest() + bytes([self.flags | flags]) + self.sign_count.to_bytes(4)

    def _client(self, kind: str, challenge: str) -> str:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return base64url(json.dumps(said).encode())

    def _public_key(self) -> bytes:
        numbers = self.key.public_key().public_numbers()
        # COSE: an elliptic curve key, ES256, P-256, x and y.
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)})
