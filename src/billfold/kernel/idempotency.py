"""What makes a repeated request the same request: a key of the caller's, and a fingerprint of what was asked."""

from __future__ import annotations

from hashlib import blake2b
from uuid import UUID

import msgspec

from billfold.kernel import errors

KEY_MAX = 255


class IdempotencyKeyMissing(errors.Invalid):
    """Send an Idempotency-Key header: any text of your own that is unique to this operation, kept for every retry."""

    code = "idempotency_key_missing"


class InvalidIdempotencyKey(errors.Invalid):
    """The idempotency key must be 1 to 255 visible ASCII characters."""

    code = "invalid_idempotency_key"


class IdempotencyKeyReused(errors.Invalid):
    """This idempotency key was used for a different request; use a new key for a new request."""

    code = "idempotency_key_reused"


class IdempotencyKeyInUse(errors.Conflict):
    """A request with this idempotency key is being processed; try again to get its answer."""

    code = "idempotency_key_in_use"
    retryable = True


class Key(msgspec.Struct, frozen=True):
    """A key and the content it stands for, as BLAKE2b digests: small, and nothing of a body is kept.

    Keys must never meet, so theirs has 128 bits. A fingerprint is only compared with one of the same key, whose owner
    would cheat nobody but themselves with a collision: 64 bits, signed as PostgreSQL's bigint is.
    """

    digest: UUID
    fingerprint: int


def key(*, owner: UUID, text: str, operation: str, content: bytes) -> Key:
    """The key `text` of `owner`, used for `operation` with the canonical `content`.

    Keys of different owners never meet. One key used for two operations or contents has two fingerprints, which is
    how the second is found out.

    Raises:
        InvalidIdempotencyKey: empty, too long, or not visible ASCII.
    """
    if not (0 < len(text) <= KEY_MAX and text.isascii() and text.isprintable() and " " not in text):
        raise InvalidIdempotencyKey
    return _key(owner.bytes + text.encode(), operation.encode() + b"\x00" + content)


def key_of_content(*, owner: UUID, operation: str, content: bytes) -> Key:
    """The key of a request without one: whatever `owner` asks for in the same words is the same request.

    It meets no key that was sent, since no such text has a zero byte in it.
    """
    asked = operation.encode() + b"\x00" + content
    return _key(owner.bytes + b"\x00" + asked, asked)


def _key(named: bytes, asked: bytes) -> Key:
    return Key(
        # Reading it back as text is three times faster than UUID's own constructor.
        digest=msgspec.convert(blake2b(named, digest_size=16).hexdigest(), UUID),
        fingerprint=int.from_bytes(blake2b(asked, digest_size=8).digest(), signed=True),
    )
