"""What was found out about credentials, believed for less than a second, so that the money path asks no database.

A key that is revoked, a session that has ended, an account that was closed, a role that was taken away: within that
time every process acts by it. Credentials are not kept, only their hashes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from time import monotonic
from uuid import UUID

import msgspec
import structlog

from billfold.identity import errors
from billfold.identity.domain import keys as domain
from billfold.identity.service import remembering
from billfold.identity.service.bearers import Bearer, Found
from billfold.kernel.clock import Clock
from billfold.kernel.errors import Unavailable
from billfold.kernel.principal import Principal

#: What was revoked is refused everywhere within a second, the time of the look-up included.
BELIEVED_S = 0.9
#: What is in use is looked up again before that, beside the requests that use it, so that none of them waits.
REFRESHED_AFTER_S = 0.45
#: Credentials in use within a second, in one process; each takes about half a kilobyte.
VERIFIED_MAX = 20_000
#: Refused ones are remembered apart, so that guessing can't push out those that are in use.
REFUSED_MAX = 5_000
#: Look-ups at a time of what this process does not know. Whoever tries one key after another waits behind themselves,
#: while those of what is in use have the rest of the database's connections.
STRANGERS_MAX = 2

log = structlog.get_logger(__name__)


class Verified(msgspec.Struct, gc=False):
    """Credentials that can be used. Times are those of the monotonic clock."""

    principal: Principal
    refresh_at: float
    until: float


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Credentials that are none, or none any more."""

    kind: type[errors.CredentialsInvalid]
    detail: str
    until: float


class Verifier:
    """The credentials that were verified within the last second."""

    def __init__(self, bearers: Sequence[Bearer], clock: Clock) -> None:
        """`bearers` are asked in this order whether credentials are of their kind."""
        self._bearers = bearers
        self._clock = clock
        self._verified: dict[bytes, Verified] = {}
        self._refused: dict[bytes, Refused] = {}
        self._strangers = asyncio.Semaphore(STRANGERS_MAX)
        self._lookups: dict[bytes, asyncio.Task[Principal]] = {}
        #: How often something was forgotten. A look-up that began before may have read what was so until then.
        self._forgotten = 0
        #: Keys and sessions that were used since this was emptied.
        self.used: set[UUID] = set()

    def remembered(self, token: bytes) -> Principal | None:
        """Whose credentials these are, if that is known."""
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
        """Whose credentials these are.

        Raises:
            CredentialsInvalid, DatabaseUnavailable, KeysUnavailable.
        """
        token_hash = domain.hash_of(token)
        refused = self._refused.get(token_hash)
        if refused is not None and monotonic() < refused.until:
            raise refused.kind(refused.detail)
        # Whoever asks for the same meanwhile waits for the same look-up; one that hangs up does not end it.
        principal = await asyncio.shield(self._look_up(token, token_hash))
        self.used.add(principal.credential_id)
        return principal

    def forget(self, one: UUID) -> None:
        """Look up again at their next use: a key, a session, or all credentials of a person, by their id."""
        self._forgotten += 1
        for token_hash, known in list(self._verified.items()):
            if one in (known.principal.credential_id, known.principal.user_id):
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
        if error is not None and not isinstance(error, errors.CredentialsInvalid | Unavailable):
            log.error("looking up credentials failed", exc_info=error)

    async def _verify(self, token: bytes, token_hash: bytes) -> Principal:
        asked_at, forgotten = monotonic(), self._forgotten
        try:
            async with self._queue(token, token_hash):
                found = await self._read(token, token_hash)
        except errors.CredentialsInvalid as error:
            self._verified.pop(token_hash, None)
            refused = Refused(type(error), error.detail, asked_at + BELIEVED_S)
            remembering.keep(self._refused, token_hash, refused, REFUSED_MAX)
            raise
        if forgotten != self._forgotten:
            # It may be what was forgotten meanwhile: good for those who have asked, and for nobody after them.
            return found.principal
        until = asked_at + BELIEVED_S
        if found.expires_at is not None:
            until = min(until, asked_at + (found.expires_at - self._clock.now()).total_seconds())
        verified = Verified(found.principal, asked_at + REFRESHED_AFTER_S, until)
        remembering.keep(self._verified, token_hash, verified, VERIFIED_MAX)
        return found.principal

    async def _read(self, token: bytes, token_hash: bytes) -> Found:
        return await self._bearer(token).look_up(token, token_hash)

    def _queue(self, token: bytes, token_hash: bytes) -> AbstractAsyncContextManager[None]:
        # Another server may take its time, and credentials of ours must not wait for that.
        at_once = token_hash in self._verified or self._bearer(token).asks_others
        return contextlib.nullcontext() if at_once else self._strangers

    def _bearer(self, token: bytes) -> Bearer:
        return next(bearer for bearer in self._bearers if bearer.knows(token))
