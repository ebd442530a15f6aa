"""The accounts elsewhere that people log in with: which there are, and their end."""

from __future__ import annotations

from uuid import UUID

from billfold.identity import errors, events
from billfold.identity.contracts import ExternalIdentity
from billfold.identity.service.confirming import Confirmations
from billfold.identity.service.notices import Notices
from billfold.identity.store import factors
from billfold.identity.store import keys as owners
from billfold.identity.store import providers as store
from billfold.kernel import ids
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database


class Identities:
    """Linked accounts."""

    def __init__(self, *, database: Database, clock: Clock, confirmations: Confirmations, notices: Notices) -> None:
        self._database = database
        self._clock = clock
        self._confirmations = confirmations
        self._notices = notices

    async def list(self, *, by: Principal) -> list[ExternalIdentity]:
        """One's own accounts elsewhere."""
        async with self._database.connection() as connection:
            return await store.of_owner(connection, by.owner_id)

    async def unlink(self, *, by: Principal, identity_id: UUID, password: str | None, proof: UUID | None) -> None:
        """Log in with that account no more.

        Raises:
            IdentityUnknown
            LastWayToLogIn: nobody could log in any more.
            StepUpRequired, PasswordWrong, LoginTooOld, TooManyAttempts, PasswordTooLong, PasswordsBusy.
        """
        linked = {one.id: one for one in await self.list(by=by)}.get(str(identity_id))
        if linked is None:
            raise errors.IdentityUnknown
        content = {"identity_id": linked.id, "provider": linked.provider, "name": linked.name}
        await self._confirmations.by_factor(
            by=by, operation="identity.unlink", content=content, password=password, proof=proof
        )
        async with self._database.transaction() as connection:
            await owners.lock_owner(connection, by.owner_id)
            gone = await store.delete(connection, identity_id, owner_id=by.owner_id)
            if gone is None:
                raise errors.IdentityUnknown
            if not await _can_log_in(connection, by.owner_id):
                raise errors.LastWayToLogIn
            await self._tell(connection, by.owner_id, gone, by)
            await self._notices.write_of_identity(connection, by.owner_id, provider=gone.provider, change="removed")

    async def unlink_all(self, connection: Connection, *, owner: UUID, by: Principal | None) -> None:
        """Let nobody log in any more with what is linked to an account that closes, in the caller's transaction."""
        for linked in await store.of_owner(connection, owner):
            await store.delete(connection, UUID(linked.id), owner_id=owner)
            await self._tell(connection, owner, linked, by)

    async def _tell(self, connection: Connection, owner: UUID, gone: ExternalIdentity, by: Principal | None) -> None:
        event = events.person_event(
            event_id=str(ids.new()),
            kind="identity.unlinked.v1",
            user_id=str(owner),
            subject=gone.id,
            by=by,
            time=self._clock.now(),
            data={"identity_id": gone.id, "provider": gone.provider, "subject": gone.subject},
        )
        await outbox.append(connection, event)


async def _can_log_in(connection: Connection, user_id: UUID) -> bool:
    return bool(
        await store.of_owner(connection, user_id)
        or await store.has_password(connection, user_id)
        or await factors.passkeys(connection, user_id)
    )
