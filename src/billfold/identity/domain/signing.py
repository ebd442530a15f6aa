"""Which signing key is good for what, at which time.

A new key is published at once and signs after OVERLAP, when everybody has it. The one before is accepted until the last
token that it signed has ended. A key that has leaked is good for nothing from that moment on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from billfold.identity.contracts import ACCESS_MAX_S, PUBLISHED_MAX_AGE_S

#: A process that publishes keys has looked at them within this time.
READ_EVERY = timedelta(seconds=60)
#: Between the publication of a key and its first signature: the sum of the two, and as much again for slow caches.
OVERLAP = 2 * (timedelta(seconds=PUBLISHED_MAX_AGE_S) + READ_EVERY)
#: From the first signature of the next key to the end of the last token of the one before, with clocks a minute apart.
ACCEPTED_AFTER = timedelta(seconds=ACCESS_MAX_S + 60)


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that signs access tokens, as it is kept: its private half sealed."""

    #: The thumbprint of its public half (RFC 7638), in tokens `kid`.
    id: str
    sealed: bytes
    created_at: datetime
    #: It is published before, so that whoever caches the published keys has it by then.
    signs_from: datetime
    #: From when on it is neither published nor accepted: none of its tokens can be valid any more, or it has leaked.
    retired_at: datetime | None


def is_good(key: SigningKey, now: datetime) -> bool:
    """Whether it is published, and its tokens accepted."""
    return key.retired_at is None or now < key.retired_at


def signer(keys: Iterable[SigningKey], now: datetime) -> SigningKey | None:
    """The one that signs now: the latest whose time has come, or the first to come."""
    good = [key for key in keys if is_good(key, now)]
    begun = [key for key in good if key.signs_from <= now]
    if begun:
        return max(begun, key=lambda key: (key.signs_from, key.id))
    return min(good, key=lambda key: (key.signs_from, key.id), default=None)


def is_due(keys: Iterable[SigningKey], made_before: datetime) -> bool:
    """Whether the newest key was made by then. Where there is none, the first one comes with the first need of it."""
    newest = max((key.created_at for key in keys), default=None)
    return newest is not None and newest <= made_before
