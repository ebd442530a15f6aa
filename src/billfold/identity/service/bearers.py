"""What credentials stand for: each kind is looked up in its own way. What was found out is remembered by `verified`."""

from __future__ import annotations

from datetime import datetime
from time import monotonic
from typing import Protocol
from uuid import UUID

import msgspec

from billfold.identity import errors
from billfold.identity.contracts import Claims, scopes_of
from billfold.identity.domain import keys, tokens
from billfold.identity.service import remembering
from billfold.identity.service.signing import Tokens
from billfold.identity.store import bearers as store
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database

#: A signature that was right stays right; how long it is known to be is a matter of memory.
SIGNATURE_BELIEVED_S = 60.0
#: Tokens in use within that time, in one process; each takes about a kilobyte.
SIGNATURES_MAX = 20_000


class Found(msgspec.Struct, frozen=True):
    """Credentials that can be used."""

    principal: Principal
    #: From when on they can't any more.
    expires_at: datetime | None


class Bearer(Protocol):
    """Knows one kind of credentials."""

    #: Whether a look-up may have to ask another server.
    asks_others: bool

    def knows(self, token: bytes) -> bool:
        """Whether it is of this kind, by its form."""
        ...

    async def look_up(self, token: bytes, token_hash: bytes) -> Found:
        """What it stands for now.

        Raises:
            CredentialsInvalid, DatabaseUnavailable, KeysUnavailable.
        """
        ...


class ApiKeys:
    """API keys, and whatever has no form of anything."""

    asks_others = False

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def knows(self, _token: bytes) -> bool:
        """Asked last: whoever sends nonsense is told that it is no key."""
        return True

    async def look_up(self, token: bytes, token_hash: bytes) -> Found:
        """Whose key it is. A person's key loses what its person may do no more.

        Raises:
            ApiKeyInvalid, DatabaseUnavailable.
        """
        key_id = keys.id_in(token)
        if key_id is None:
            raise errors.ApiKeyInvalid("This is neither an API key nor an access token.")
        async with self._database.connection() as connection:
            stored = await store.find_key(connection, key_id)
        if stored is None:
            raise errors.ApiKeyInvalid("This API key is not known.")
        key, person = stored.key, stored.person
        keys.check_usable(key, key_hash=stored.key_hash, token_hash=token_hash, now=self._clock.now())
        if person is None:
            principal = Principal(credential_id=key_id, owner_id=UUID(key.owner_id), scopes=frozenset(key.scopes))
            return Found(principal, key.expires_at)
        if person.closed:
            raise errors.ApiKeyInvalid("The account of this API key is closed.")
        principal = Principal(
            credential_id=key_id,
            owner_id=person.id,
            scopes=frozenset(key.scopes) & scopes_of(person.roles),
            user_id=person.id,
        )
        return Found(principal, key.expires_at)


class Signed(msgspec.Struct, frozen=True):
    """What a token says whose signature was right at an instant of the monotonic clock."""

    claims: Claims
    #: The key that has signed it.
    key_id: str
    checked_at: float


class AccessTokens:
    """Our own access tokens. What they say is believed for a while; that their session goes on is asked each time."""

    asks_others = False

    def __init__(self, database: Database, clock: Clock, tokens: Tokens) -> None:
        self._database = database
        self._clock = clock
        self._tokens = tokens
        self._signed: dict[bytes, Signed] = {}

    def knows(self, token: bytes) -> bool:
        """Whether it is a JWT."""
        return tokens.is_token(token)

    async def look_up(self, token: bytes, token_hash: bytes) -> Found:
        """Whose session it is for, and what they may do now: no more than their roles, nor than the token says.

        Raises:
            TokenInvalid, DatabaseUnavailable, KeysUnavailable.
        """
        signed = await self._signed_by_us(token, token_hash)
        claims, now = signed.claims, self._clock.now()
        async with self._database.connection() as connection:
            session = await store.find_session(connection, claims.sid, key_id=signed.key_id, now=now)
        if session is None or session.person.id != claims.sub or session.ended or session.expires_at <= now:
            raise errors.TokenInvalid("The session of this access token has ended; log in again.")
        if session.person.closed:
            raise errors.TokenInvalid("The account of this access token is closed.")
        if not session.key_is_good:
            raise errors.TokenInvalid("The key of this access token was withdrawn; refresh it, or log in again.")
        principal = Principal(
            credential_id=claims.sid,
            owner_id=claims.sub,
            scopes=tokens.scopes(claims) & scopes_of(session.person.roles),
            user_id=claims.sub,
            is_session=True,
        )
        return Found(principal, min(session.expires_at, tokens.refused_from(claims)))

    async def _signed_by_us(self, token: bytes, token_hash: bytes) -> Signed:
        known, asked_at = self._signed.get(token_hash), monotonic()
        if known is not None and asked_at < known.checked_at + SIGNATURE_BELIEVED_S:
            if self._clock.now() < tokens.refused_from(known.claims):
                return known
            del self._signed[token_hash]
        claims = await self._tokens.check(token)
        signed = Signed(claims, tokens.read(token).key_id, asked_at)
        remembering.keep(self._signed, token_hash, signed, SIGNATURES_MAX)
        return signed
