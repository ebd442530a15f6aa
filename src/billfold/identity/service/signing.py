"""Access tokens: given out and checked; and the keys that sign them, which every process reads from the database.

A private key is opened from what the master keys sealed, and its public half is derived from it: whoever can write to
the database can add no key of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from billfold.identity import errors, events
from billfold.identity.contracts import ACCESS_MAX_S, Claims
from billfold.identity.domain import signing, tokens
from billfold.identity.domain.signing import SigningKey
from billfold.identity.store import signing as store
from billfold.kernel import clock as clocks
from billfold.kernel import ids
from billfold.kernel.clock import Clock
from billfold.platform.keys import Envelope
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database

#: Whoever signs, or meets a key that is not known, believes what was read within this time: a key that has leaked and
#: was replaced signs no longer, and unknown keys cost one look a second, however many there are.
BELIEVED = timedelta(seconds=1)


class Opened(msgspec.Struct, frozen=True):
    """A key with both its halves."""

    kept: SigningKey
    private: Ed25519PrivateKey
    public: Ed25519PublicKey


class Read(msgspec.Struct, frozen=True):
    """The keys as they were at an instant."""

    keys: dict[str, Opened]
    at: datetime

    def is_as_young(self, age: timedelta, now: datetime) -> bool:
        # A clock that was set back makes it as old as can be.
        return timedelta(0) <= now - self.at < age

    def good(self, now: datetime) -> dict[str, Opened]:
        """Those that are published and accepted."""
        return {key_id: key for key_id, key in self.keys.items() if signing.is_good(key.kept, now)}


class Tokens:
    """Access tokens."""

    def __init__(
        self, *, database: Database, envelope: Envelope, clock: Clock, issuer: str, access_seconds: int
    ) -> None:
        """`issuer` is the API as the world knows it."""
        assert access_seconds <= ACCESS_MAX_S, "a key is accepted as long as that after its last signature"
        self._database = database
        self._envelope = envelope
        self._clock = clock
        self._issuer = issuer
        self._access_seconds = access_seconds
        self._read: Read | None = None
        self._reading: asyncio.Task[Read] | None = None

    async def issue(
        self,
        connection: Connection,
        /,
        *,
        user_id: UUID,
        session_id: UUID,
        scopes: frozenset[str],
        roles: frozenset[str],
        methods: Sequence[str],
        authenticated_at: datetime,
    ) -> tuple[str, datetime]:
        """A new access token, and when it ends. `methods` and `authenticated_at` are how and when the person logged in.

        What has to be read is read by the caller's connection: were each login to wait for a second one, as many logins
        as there are connections would wait for each other.

        Raises:
            DatabaseUnavailable, KeysUnavailable.
        """
        now = self._clock.now()
        read = self._read
        if read is None or not read.is_as_young(BELIEVED, now):
            read = self._read = await self._opened(await store.all_keys(connection), now)
        kept = signing.signer((key.kept for key in read.keys.values()), now)
        assert kept is not None, "the first one is made when there is none"
        text, claims = tokens.unsigned(
            key_id=kept.id,
            issuer=self._issuer,
            user_id=user_id,
            session_id=session_id,
            scopes=scopes,
            roles=roles,
            methods=tuple(methods),
            authenticated_at=authenticated_at,
            token_id=ids.new(),
            now=now,
            seconds=self._access_seconds,
        )
        return tokens.signed(text, read.keys[kept.id].private.sign(text)), tokens.expires_at(claims)

    async def check(self, token: bytes) -> Claims:
        """What a token says that we have signed and that can be used now. Its session is another question.

        Raises:
            TokenInvalid, DatabaseUnavailable, KeysUnavailable.
        """
        unverified = tokens.read(token)
        key = await self._accepted(unverified.key_id)
        try:
            key.public.verify(unverified.signature, unverified.signed)
        except InvalidSignature as error:
            raise errors.TokenInvalid("The signature of this access token is wrong.") from error
        return tokens.claims_of(unverified.payload, issuer=self._issuer, now=self._clock.now())

    async def published(self) -> list[dict[str, Any]]:
        """The public keys that others check our tokens with, as JWKs.

        Raises:
            DatabaseUnavailable, KeysUnavailable.
        """
        read = await self._keys(signing.READ_EVERY)
        return [tokens.jwk(key.public.public_bytes_raw()) for key in read.good(self._clock.now()).values()]

    async def rotate(self, *, at_once: bool = False) -> SigningKey:
        """Make a new key. It signs when everybody knows it, and the others end when their last token has.

        `at_once` is for a key that has leaked: the new one signs now, and no token of the others is accepted any more.

        Raises:
            DatabaseUnavailable, KeysUnavailable.
        """
        made = await self._rotate(at_once=at_once, made_before=None)
        assert made is not None, "there is no condition"
        return made

    async def keep_rotated(self, *, every: timedelta) -> SigningKey | None:
        """Make a new key if the newest one is older than that, and forget those that have ended.

        Gives the new key, if this process has made it.

        Raises:
            DatabaseUnavailable, KeysUnavailable.
        """
        now = self._clock.now()
        async with self._database.connection() as connection:
            keys = await store.all_keys(connection)
            if not all(signing.is_good(key, now) for key in keys):
                await store.delete_retired(connection, now=now)
        if not signing.is_due(keys, now - every):
            return None
        return await self._rotate(at_once=False, made_before=now - every)

    async def _rotate(self, *, at_once: bool, made_before: datetime | None) -> SigningKey | None:
        """A new key; none if another process has made one, and the newest is not to be older than that."""
        now = self._clock.now()
        key, public = await self._new(now, signs_from=now if at_once else now + signing.OVERLAP)
        ends = now if at_once else key.signs_from + signing.ACCEPTED_AFTER
        async with self._database.transaction() as connection:
            await store.lock(connection)
            if made_before is not None and not signing.is_due(await store.all_keys(connection), made_before):
                return None
            await store.insert(connection, key, public=public)
            await store.retire_others(connection, key.id, at=ends)
            await outbox.append_fact(
                connection,
                "signing_key.replaced.v1",
                source=events.SOURCE,
                subject=key.id,
                time=now,
                data={"at_once": at_once, "others_end": clocks.format(ends)},
            )
        self._read = None
        return key

    async def _accepted(self, key_id: str) -> Opened:
        for age in (signing.READ_EVERY, BELIEVED):
            key = (await self._keys(age)).good(self._clock.now()).get(key_id)
            if key is not None:
                return key
        raise errors.TokenInvalid("This access token is signed with a key that is none of ours, or is none any more.")

    async def _keys(self, age: timedelta) -> Read:
        """The keys, read within that time. Whoever finds them too old reads them, and the others wait for that."""
        read = self._read
        if read is not None and read.is_as_young(age, self._clock.now()):
            return read
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_keys())
            self._reading.add_done_callback(self._have_read)
        return await asyncio.shield(self._reading)

    def _have_read(self, task: asyncio.Task[Read]) -> None:
        self._reading = None
        # Whoever waits gets the error; if they have all hung up, nobody misses it.
        if not task.cancelled() and task.exception() is None:
            self._read = task.result()

    async def _read_keys(self) -> Read:
        now = self._clock.now()
        async with self._database.connection() as connection:
            kept = await store.all_keys(connection)
        return await self._opened(kept, now)

    async def _opened(self, kept: Sequence[SigningKey], now: datetime) -> Read:
        if signing.signer(kept, now) is None:
            kept = await self._first(now)
        before = self._read.keys if self._read is not None else {}
        keys = {}
        for key in kept:
            if signing.is_good(key, now):
                opened = before.get(key.id)
                keys[key.id] = msgspec.structs.replace(opened, kept=key) if opened else await self._open(key)
        return Read(keys, now)

    async def _first(self, now: datetime) -> list[SigningKey]:
        """The keys with a first one among them, of however many processes that find none at the same time."""
        key, public = await self._new(now, signs_from=now)
        async with self._database.transaction() as connection:
            await store.lock(connection)
            if signing.signer(await store.all_keys(connection), now) is None:
                await store.insert(connection, key, public=public)
            return await store.all_keys(connection)

    async def _new(self, now: datetime, *, signs_from: datetime) -> tuple[SigningKey, dict[str, Any]]:
        private = Ed25519PrivateKey.generate()
        public = tokens.jwk(private.public_key().public_bytes_raw())
        sealed = await self._envelope.seal(private.private_bytes_raw(), context=_context(public["kid"]))
        key = SigningKey(id=public["kid"], sealed=sealed, created_at=now, signs_from=signs_from, retired_at=None)
        return key, public

    async def _open(self, key: SigningKey) -> Opened:
        private = Ed25519PrivateKey.from_private_bytes(await self._envelope.open(key.sealed, context=_context(key.id)))
        public = private.public_key()
        assert tokens.key_id(public.public_bytes_raw()) == key.id, "it was sealed for this id"
        return Opened(key, private, public)


def _context(key_id: str) -> str:
    return f"signing key {key_id}"
