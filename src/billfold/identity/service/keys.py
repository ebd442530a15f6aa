"""Owners and their API keys."""

from __future__ import annotations

import secrets
from functools import partial
from uuid import UUID

from billfold.identity import errors, events
from billfold.identity.contracts import KEY_SCOPES, KEYS_MAX, ApiKey, CreatedApiKey, Grant, Mode, Owner
from billfold.identity.domain import keys as domain
from billfold.identity.service.step_up import StepUp
from billfold.identity.service.verified import Verifier
from billfold.identity.store import keys as store
from billfold.kernel import clock as clocks
from billfold.kernel import idempotency, ids, looks, paging
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database, UniqueViolation, after_commit

#: The operator's key of a new installation.
BOOTSTRAP_KEY_NAME = "First key"


class Keys:
    """Owners and API keys. `by` is the principal who asks; None stands for somebody at the machine itself."""

    def __init__(self, *, database: Database, verifier: Verifier, clock: Clock, step_up: StepUp) -> None:
        self._database = database
        self._clock = clock
        self._verifier = verifier
        self._step_up = step_up

    async def create_owner(self, *, name: str) -> Owner:
        """A new owner.

        Raises:
            OwnerExists: the name is taken.
        """
        async with self._database.transaction() as connection:
            owner = await store.insert_owner(connection, owner_id=ids.new(), name=name, now=self._clock.now())
        if owner is None:
            raise errors.OwnerExists(pointer="/name")
        return owner

    async def find_owner(self, *, name: str) -> Owner:
        """The owner of that name.

        Raises:
            OwnerUnknown.
        """
        async with self._database.connection() as connection:
            owner = await store.owner_named(connection, name)
        if owner is None:
            raise errors.OwnerUnknown(pointer="/name")
        return owner

    async def create_key(
        self,
        *,
        by: Principal | None,
        grant: Grant,
        request: idempotency.Key | None = None,
        proof: UUID | None = None,
    ) -> tuple[CreatedApiKey, bool]:
        """A new key, and whether it is that of an earlier, equal `request`: then its text is not known any more.

        A person approves each new key with a factor of theirs; `proof` is that approval.

        Raises:
            OwnerUnknown, OwnerNotYours, ScopeNotYours, ExpiryNotYours, ApiKeyExpiryInPast, TooManyApiKeys
            ApiKeyInvalid: the key that asks was revoked while it did.
            IdempotencyKeyReused: the request's key stands for another one.
            StepUpRequired, SecondFactorMissing: a person has not approved it.
        """
        if by is not None:
            domain.check_grant(by, grant)
            if by.user_id is not None and not await self._is_repeated(request):
                await self._step_up.demand(
                    principal=by, operation="api_key.create", content=_approved(grant), key=request, proof=proof
                )
        async with self._database.transaction() as connection:
            if not await store.lock_owner(connection, grant.owner_id):
                raise errors.OwnerUnknown(pointer="/owner_id")
            # Nobody else has the factor that each new key of a person takes.
            if by is not None and by.user_id is None and await store.is_person(connection, grant.owner_id):
                raise errors.OwnerNotYours(pointer="/owner_id")
            # A statement of its own, which sees an account that was closed while the lock was waited for.
            if await store.has_left(connection, grant.owner_id):
                raise errors.OwnerUnknown(pointer="/owner_id")
            if request is not None and (earlier := await _earlier(connection, request)):
                return _created(earlier, None), True
            return await self._insert(connection, by, grant, request), False

    async def _is_repeated(self, request: idempotency.Key | None) -> bool:
        """Whether the key of this request was created before: its text is not given out again."""
        if request is None:
            return False
        async with self._database.connection() as connection:
            return await _earlier(connection, request) is not None

    async def _insert(
        self, connection: Connection, by: Principal | None, grant: Grant, request: idempotency.Key | None
    ) -> CreatedApiKey:
        now = self._clock.now()
        domain.check_expiry(grant.expires_at, now=now)
        creator = await store.find_key(connection, by.credential_id, owner=None) if by is not None else None
        if creator is not None:
            domain.check_creator(creator, grant.expires_at)
        if await store.count_usable(connection, grant.owner_id, now=now) >= KEYS_MAX:
            raise errors.TooManyApiKeys
        key_id, mode = ids.new(), creator.mode if creator else grant.mode
        text = domain.text_of(key_id, mode, secrets.token_bytes(domain.SECRET_BYTES))
        try:
            key = await store.insert_key(
                connection,
                key_id=key_id,
                grant=grant,
                mode=mode,
                key_hash=domain.hash_of(text.encode()),
                request=request,
                now=now,
            )
        except UniqueViolation:
            # Requests for the same owner wait for each other, so this one's key is in use for another owner.
            raise idempotency.IdempotencyKeyReused from None
        await self._tell(connection, "api_key.created.v1", key, by)
        return _created(key, text)

    async def list_keys(
        self, *, by: Principal | None, limit: int | None = None, cursor: str | None = None
    ) -> paging.Page[ApiKey]:
        """The keys that `by` may see, the newest first.

        Raises:
            InvalidLimit, InvalidCursor.
        """
        limit = paging.check_limit(limit)
        before = paging.decode(cursor, UUID) if cursor is not None else None
        async with self._database.connection() as connection:
            keys = await store.list_keys(connection, owner=_seen_by(by), before=before, limit=limit + 1)
        return paging.cut(keys, limit, place=lambda key: key.id)

    async def find_key(self, *, by: Principal | None, key_id: UUID) -> ApiKey:
        """One key.

        Raises:
            ApiKeyUnknown: there is none, or `by` may not see it.
        """
        async with self._database.connection() as connection:
            key = await store.find_key(connection, key_id, owner=_seen_by(by))
        if key is None:
            raise errors.ApiKeyUnknown
        looks.saw(own=by is not None and key.owner_id == str(by.owner_id))
        return key

    async def revoke_key(self, *, by: Principal | None, key_id: UUID) -> ApiKey:
        """Revoke a key: within a second no process takes it any more. Revoking it again changes nothing.

        Raises:
            ApiKeyUnknown: there is none, or `by` may not see it.
        """
        async with self._database.transaction() as connection:
            key = await store.find_key(connection, key_id, owner=_acted_on_by(by))
            if key is None:
                raise errors.ApiKeyUnknown
            await store.lock_owner(connection, UUID(key.owner_id))
            revoked = await store.revoke(connection, key_id, now=self._clock.now())
            if revoked is not None:
                await self._tell(connection, "api_key.revoked.v1", revoked, by)
                after_commit(connection, partial(self._verifier.forget, key_id))
        return revoked or await self.find_key(by=by, key_id=key_id)

    async def revoke_all(self, connection: Connection, *, owner: UUID, by: Principal | None) -> None:
        """Revoke every key of the owner, whose row is locked, in the caller's database transaction."""
        now = self._clock.now()
        for key_id in await store.usable(connection, owner, now=now):
            revoked = await store.revoke(connection, key_id, now=now)
            if revoked is not None:
                await self._tell(connection, "api_key.revoked.v1", revoked, by)
                after_commit(connection, partial(self._verifier.forget, key_id))

    async def bootstrap(self, *, owner_name: str, mode: Mode = "test") -> str:
        """The text of a new key with every scope, for the owner of that name, who is created if need be."""
        try:
            owner = await self.create_owner(name=owner_name)
        except errors.OwnerExists:
            owner = await self.find_owner(name=owner_name)
        grant = Grant(owner_id=UUID(owner.id), name=BOOTSTRAP_KEY_NAME, scopes=KEY_SCOPES, mode=mode)
        key, _ = await self.create_key(by=None, grant=grant)
        assert key.key is not None, "a key that was just created has its text"
        return key.key

    async def _tell(
        self, connection: Connection, kind: events.ApiKeyEventType, key: ApiKey, by: Principal | None
    ) -> None:
        event = events.api_key_event(
            event_id=str(ids.new()),
            kind=kind,
            key=key,
            by=str(by.credential_id) if by else None,
            time=self._clock.now(),
        )
        await outbox.append(connection, event)


def _seen_by(principal: Principal | None) -> UUID | None:
    """Whose things are shown: None is everybody's."""
    return None if principal is None or principal.sees_everybody else principal.owner_id


def _acted_on_by(principal: Principal | None) -> UUID | None:
    """Whose things may be changed: None is everybody's."""
    return None if principal is None or principal.is_operator else principal.owner_id


def _approved(grant: Grant) -> dict[str, str]:
    """What the approval of a key is bound to: all of it."""
    return {
        "owner_id": str(grant.owner_id),
        "name": grant.name,
        "scopes": " ".join(sorted(grant.scopes)),
        "expires_at": clocks.format(grant.expires_at) if grant.expires_at else "never",
    }


async def _earlier(connection: Connection, request: idempotency.Key) -> ApiKey | None:
    found = await store.key_of_request(connection, request.digest)
    if found is None:
        return None
    key, fingerprint = found
    if fingerprint != request.fingerprint:
        raise idempotency.IdempotencyKeyReused
    return key


def _created(key: ApiKey, text: str | None) -> CreatedApiKey:
    return CreatedApiKey(**{name: getattr(key, name) for name in ApiKey.__struct_fields__}, key=text)
