"""What a step-up is bound to."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import msgspec

_encode = msgspec.json.Encoder(order="deterministic").encode


def digest(operation: str, content: Mapping[str, str]) -> bytes:
    """What stands for an operation with its content: any other one has another digest."""
    return sha256(_encode((operation, dict(content)))).digest()


def signed(nonce: bytes, content_digest: bytes) -> bytes:
    """What a passkey signs to approve it: nothing that could be used for anything else, or a second time."""
    return sha256(nonce + content_digest).digest()
