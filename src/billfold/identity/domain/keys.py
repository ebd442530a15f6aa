"""How a key is written, what of it is kept, and who may create which key."""

from __future__ import annotations

import hmac
import re
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from billfold.identity import errors
from billfold.identity.contracts import KEY_SCOPES, ApiKey, Grant, Mode
from billfold.kernel import clock
from billfold.kernel.principal import Principal

#: 256 bits: no guessing, at any rate, for as long as there is hardware.
SECRET_BYTES = 32

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
# So many digits of base62 hold 128 and 256 bits.
_ID_DIGITS = 22
_SECRET_DIGITS = 43
_FORM = re.compile(rf"bf_(?:test|live)_([0-9A-Za-z]{{{_ID_DIGITS}}})_[0-9A-Za-z]{{{_SECRET_DIGITS}}}", re.ASCII)
_UUID_MAX = (1 << 128) - 1


def text_of(key_id: UUID, mode: Mode, secret: bytes) -> str:
    """The text of a key: a prefix that people and secret scanners know, the id that finds it, and the secret."""
    assert len(secret) == SECRET_BYTES, "a key has 256 random bits"
    return f"bf_{mode}_{_base62(key_id.int, _ID_DIGITS)}_{_base62(int.from_bytes(secret), _SECRET_DIGITS)}"


def id_in(token: bytes) -> UUID | None:
    """The id in the text of a key; None if it is no text of a key at all."""
    found = _FORM.fullmatch(token.decode("ascii", errors="replace"))
    if found is None:
        return None
    value = 0
    for digit in found[1]:
        value = value * len(_DIGITS) + _VALUES[digit]
    return UUID(int=value) if value <= _UUID_MAX else None


def hash_of(token: bytes) -> bytes:
    """What is kept of a key."""
    return sha256(token).digest()


def check_usable(key: ApiKey, *, key_hash: bytes, token_hash: bytes, now: datetime) -> None:
    """Go on only if the token is this key's, and the key can be used.

    Raises:
        ApiKeyInvalid: it isn't or can't. Only whoever has the right secret learns that the key has existed.
    """
    if not hmac.compare_digest(key_hash, token_hash):
        raise errors.ApiKeyInvalid("This API key is not known.")
    if key.revoked_at is not None:
        raise errors.ApiKeyInvalid("This API key has been revoked.")
    if key.expires_at is not None and key.expires_at <= now:
        raise errors.ApiKeyInvalid("This API key has expired.")


def check_grant(by: Principal, grant: Grant) -> None:
    """Go on only if `by` may create this key. An operator too hands on only what it has.

    A person makes keys for themselves alone, whatever their roles: what a key does is its owner's doing, and nobody
    else's. What needs a person who has logged in is on no key.

    Raises:
        ScopeNotYours, OwnerNotYours.
    """
    for_others = by.is_operator and by.user_id is None
    if grant.owner_id != by.owner_id and not for_others:
        raise errors.OwnerNotYours(pointer="/owner_id")
    if personal := grant.scopes - KEY_SCOPES:
        raise errors.ScopeNotYours(
            f"No key has the scope {', '.join(sorted(personal))}: it needs a person who has logged in.",
            pointer="/scopes",
        )
    if missing := grant.scopes - by.scopes:
        raise errors.ScopeNotYours(
            f"A key can give away only the scopes that it has itself; yours lacks {', '.join(sorted(missing))}.",
            pointer="/scopes",
        )


def check_creator(creator: ApiKey, expires_at: datetime | None) -> None:
    """Go on only if this key still is one, and ends no sooner than the one that it creates.

    Raises:
        ApiKeyInvalid, ExpiryNotYours.
    """
    if creator.revoked_at is not None:
        raise errors.ApiKeyInvalid("This API key has been revoked.")
    if creator.expires_at is not None and (expires_at is None or expires_at > creator.expires_at):
        raise errors.ExpiryNotYours(
            f"The key that creates it ends at {clock.format(creator.expires_at)}; name an expires_at until then.",
            pointer="/expires_at",
        )


def check_expiry(expires_at: datetime | None, *, now: datetime) -> None:
    """Go on only if the expiry is in the future.

    Raises:
        ApiKeyExpiryInPast.
    """
    if expires_at is not None and expires_at <= now:
        raise errors.ApiKeyExpiryInPast(pointer="/expires_at")


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
