"""Codes that are sent to an address and typed in, and tokens that are sent as a whole."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from billfold.identity.contracts import CODE_DIGITS

#: How many codes there are. With five attempts each, one in twenty million registrations can be guessed.
CODES = 10**CODE_DIGITS
ATTEMPTS_MAX = 5
#: Somebody waits for a code, and has it typed in as soon as it comes. No longer than OWASP's ASVS has it.
CODE_FOR = timedelta(minutes=10)
#: Mail may take some minutes, and people too. Nobody guesses a token.
TOKEN_FOR = timedelta(minutes=30)
#: 256 bits: what is kept of a token needs neither salt nor a slow hash.
TOKEN_BYTES = 32


def code_text(number: int) -> str:
    """The code of this number."""
    assert 0 <= number < CODES, "a code has so many digits"
    return f"{number:0{CODE_DIGITS}}"


def code_hash(key: bytes, code_id: UUID, code: str) -> bytes:
    """What is kept of a code. Its id is a part of it: whoever has the code alone has nothing.

    There are so few codes that whoever reads the database could try them all: `key` is not in there in the open.
    """
    return hmac.digest(key, code_id.bytes + code.encode(errors="replace"), "sha256")


def token_text(secret: bytes) -> str:
    """The text of a token."""
    assert len(secret) == TOKEN_BYTES, "a token has 256 random bits"
    return urlsafe_b64encode(secret).rstrip(b"=").decode("ascii")


def token_hash(text: str) -> bytes:
    """What is kept of a token."""
    return sha256(text.encode()).digest()
