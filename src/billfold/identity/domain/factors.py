"""What a code looks like and when it counts: authenticator apps (RFC 6238) and recovery codes."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256

from billfold.identity import errors
from billfold.identity.contracts import FactorMethod, Proof

#: RFC 6238's own: every app has it, and some have no other.
TOTP_STEP_S = 30
#: Clocks may differ by so many steps, either way (RFC 6238, 5.2).
TOTP_SKEW = 1
#: A code of a new app has to come within this time.
TOTP_CONFIRM_WITHIN = timedelta(minutes=15)
#: 160 bits, as RFC 4226 recommends.
TOTP_SECRET_BYTES = 20
#: So many wrong codes cost nothing. From then on each costs twice the time of the one before, from this on to that.
TOTP_FREE_ATTEMPTS = 5
TOTP_DELAY_FIRST = timedelta(seconds=30)
TOTP_DELAY_MAX = timedelta(minutes=15)

#: 120 bits: no guessing, also of who has read the hashes, so they need neither salt nor a slow hash.
RECOVERY_BYTES = 15
_RECOVERY_GROUP = 4

TOKEN_BYTES = 32


def step_at(now: datetime) -> int:
    """The step of TOTP that it is."""
    return int(now.timestamp()) // TOTP_STEP_S


def matching_step(code: str, codes: Mapping[int, str]) -> int | None:
    """The step of which `code` is the code, among those whose right `codes` are given."""
    found = None
    for step, right in codes.items():
        # All are compared, so that the time says nothing.
        if hmac.compare_digest(code, right):
            found = step
    return found


def steps_around(now: datetime) -> range:
    """The steps whose codes are taken now."""
    step = step_at(now)
    return range(step - TOTP_SKEW, step + TOTP_SKEW + 1)


def recovery_text(chance: bytes) -> str:
    """A recovery code as people write it down: k7dq-2m4x-w3hb-5tzp-lw6a-n2yc."""
    assert len(chance) == RECOVERY_BYTES, "a recovery code has 120 random bits"
    text = base64.b32encode(chance).decode().lower()
    return "-".join(text[start : start + _RECOVERY_GROUP] for start in range(0, len(text), _RECOVERY_GROUP))


def recovery_hash(text: str) -> bytes:
    """What is kept of a recovery code, however somebody writes it."""
    return sha256("".join(letter for letter in text.lower() if letter.isalnum()).encode()).digest()


def token_hash(token: str) -> bytes:
    """What is kept of a pending login's token."""
    return sha256(token.encode()).digest()


def method_of(proof: Proof) -> FactorMethod:
    """By what somebody wants to prove that it is them.

    Raises:
        OneFactorWanted: by none, or by several.
    """
    given: list[FactorMethod] = []
    if proof.totp is not None:
        given.append("totp")
    if proof.recovery_code is not None:
        given.append("recovery_code")
    if proof.passkey is not None:
        given.append("passkey")
    if len(given) != 1:
        raise errors.OneFactorWanted
    return given[0]
