"""What was found out about keys, believed for less than a second, so that the money path asks no database who calls.

A key that is revoked anywhere is refused here within that time. Tokens are not kept, only their hashes.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from time import monotonic
from typing import TypeVar
from uuid import UUID

import msgspec
import structlog

from billfold.identity import errors
from billfold.identity.domain import keys as domain
from billfold.identity.store import keys as store
from billfold.kernel.clock import Clock
from billfold.kernel.errors import Unavailable
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database

#: A revoked key is refused everywhere within a second, the time of the look-up included.
BELIEVED_S = 0.9
#: A key in use is looked up again before that, beside the requests that use it, so that none of them waits.
REFRESHED_AFTER_S = 0.45
#: Keys in use within a second, in one process; each takes about half a kilobyte.
KEYS_MAX = 20_000
#: Refused tokens are remembered apart, so that guessing at keys can't push out those that are in use.
REFUSED_MAX = 5_000

#: Look-ups at a time of keys that this process does not know. Whoever tries one key after another waits behind
#: themselves, while those of keys in use have the rest of the database's connections.
STRANGERS_MAX = 2

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Verified(msgspec.Struct, gc=False):
    """A key that can be used. Times are those of the monotonic clock."""

    principal: Principal
    refresh_at: float
    until: float


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A token that is no key, or no key any more."""

    detail: str
    until: float


class Verifier:
    """The keys that were verified within the last second."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._verified: dict[bytes, Verified] = {}
        self._refused: dict[bytes, Refused] = {}
        self._strangers = asyncio.Semaphore(STRANGERS_MAX)
        self._lookups: dict[bytes, asyncio.Task[Principal]] = {}
        #: Keys that were used since this was emptied.
        self.used: set[UUID] = set()

    def remembered(self, token: bytes) -> Principal | None:
        """Whose key this is, if that is known."""
        token_hash = domain.hash_of(token)
        known = self._verified.get(token_hash)
        if known is None:
            return None
        now = monotonic()
        if now > known.until:
            return None
        if now > known.refresh_at:
            # One look-up is enough; others are not started while it runs.
            known.refresh_at = known.until
            _ = self._look_up(token, token_hash)
        self.used.add(known.principal.credential_id)
        return known.principal

    async def authenticate(self, token: bytes) -> Principal:
        """Whose key this is.

        Raises:
            ApiKeyInvalid, DatabaseUnavailable.
        """
        token_hash = domain.hash_of(token)
        refused = self._refused.get(token_hash)
        if refused is not None and monotonic() < refused.until:
            raise errors.ApiKeyInvalid(refused.detail)
        # Whoever asks for the same key meanwhile waits for the same look-up; one that hangs up does not end it.
        principal = await asyncio.shield(self._look_up(token, token_hash))
        self.used.add(principal.credential_id)
        return principal

    def forget(self, key_id: UUID) -> None:
        """Look the key up again at its next use."""
        for token_hash, known in list(self._verified.items()):
            if known.principal.credential_id == key_id:
                del self._verified[token_hash]

    def _look_up(self, token: bytes, token_hash: bytes) -> asyncio.Task[Principal]:
        running = self._lookups.get(token_hash)
        if running is not None:
            return running
        task = asyncio.create_task(self._verify(token, token_hash))
        self._lookups[token_hash] = task
        task.add_done_callback(lambda done: self._ended(token_hash, done))
        return task

    def _ended(self, token_hash: bytes, task: asyncio.Task[Principal]) -> None:
        del self._lookups[token_hash]
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, errors.ApiKeyInvalid | Unavailable):
            log.error("looking up an API key failed", exc_info=error)

    async def _verify(self, token: bytes, token_hash: bytes) -> Principal:
        asked_at = monotonic()
        try:
            async with contextlib.nullcontext() if token_hash in self._verified else self._strangers:
                principal, expires_at = await self._read(token, token_hash)
        except errors.ApiKeyInvalid as error:
            self._verified.pop(token_hash, None)
            _keep(self._refused, token_hash, Refused(error.detail, asked_at + BELIEVED_S), REFUSED_MAX)
            raise
        until = asked_at + BELIEVED_S
        if expires_at is not None:
            until = min(until, asked_at + (expires_at - self._clock.now()).total_seconds())
        _keep(self._verified, token_hash, Verified(principal, asked_at + REFRESHED_AFTER_S, until), KEYS_MAX)
        return principal

    async def _read(self, token: bytes, token_hash: bytes) -> tuple[Principal, datetime | None]:
        key_id = domain.id_in(token)
        if key_id is None:
            raise errors.ApiKeyInvalid("This is no API key.")
        async with self._database.connection() as connection:
            stored = await store.find_stored(connection, key_id)
        if stored is None:
            raise errors.ApiKeyInvalid("This API key is not known.")
        key = stored.key
        domain.check_usable(key, key_hash=stored.key_hash, token_hash=token_hash, now=self._clock.now())
        principal = Principal(credential_id=key_id, owner_id=UUID(key.owner_id), scopes=frozenset(key.scopes))
        return principal, key.expires_at


def _keep(known: dict[bytes, T], token_hash: bytes, value: T, limit: int) -> None:
    """Put it last, and let go of the first ones: those that were kept longest ago."""
    known.pop(token_hash, None)
    while len(known) >= limit:
        del known[next(iter(known))]
    known[token_hash] = value
