"""Refresh tokens, and how long sessions last."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from datetime import timedelta
from hashlib import sha256

#: 256 bits, as of API keys: what is kept of it needs neither salt nor a slow hash.
REFRESH_BYTES = 32
#: People and secret scanners know it by this.
PREFIX = "bfr_"
_FORM = re.compile(r"bfr_[A-Za-z0-9_-]{43}", re.ASCII)

#: A session that is not used for so long has ended.
IDLE_MAX = timedelta(days=30)
#: However much it is used, its user shows again who they are after this.
SESSION_MAX = timedelta(days=90)
#: Sessions of one person. The one that was used longest ago makes room.
SESSIONS_MAX = 50
#: Where somebody has been within this time is a place that they are known at.
KNOWN_FOR = timedelta(days=30)


def refresh_text(secret: bytes) -> str:
    """The text of a refresh token."""
    assert len(secret) == REFRESH_BYTES, "a refresh token has 256 random bits"
    return PREFIX + urlsafe_b64encode(secret).rstrip(b"=").decode("ascii")


def refresh_hash(text: str) -> bytes | None:
    """What is kept of a refresh token; None if the text is none at all."""
    return sha256(text.encode("ascii")).digest() if _FORM.fullmatch(text) else None
