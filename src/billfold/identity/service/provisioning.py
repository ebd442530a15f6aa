"""Who an account at a provider is here: somebody known, or somebody new.

An account is known by its issuer and subject alone. An e-mail address never links one to somebody who is here already:
whoever can make a provider believe in an address would otherwise get at that person's money.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from billfold.identity import errors, events
from billfold.identity.contracts import NAME_MAX, Provider
from billfold.identity.domain.providers import Person
from billfold.identity.store import keys as owners
from billfold.identity.store import providers as store
from billfold.kernel import ids
from billfold.kernel.clock import Clock
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database, UniqueViolation


class Provisioning:
    """Makes somebody of an account that is seen for the first time, and links accounts to people."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def program(self, provider: Provider, *, client: str, subject: str) -> None:
        """An owner for a program, unless it has one."""
        async with self._database.transaction() as connection:
            name = f"{provider.name}: {client}"[:NAME_MAX]
            owner_id, now = ids.new(), self._clock.now()
            if await owners.insert_owner(connection, owner_id=owner_id, name=name, now=now) is None:
                # A client of that name was there before, or an owner: whatever is theirs is not this one's.
                name = f"{name[: NAME_MAX - len(str(owner_id)) - 1]} {owner_id}"
                await owners.insert_owner(connection, owner_id=owner_id, name=name, now=now)
            await self._link(connection, provider, subject=subject, owner_id=owner_id, name=client)

    async def person(self, provider: Provider, person: Person) -> None:
        """An account for a person, unless they have one. An address that somebody has stays theirs."""
        nameless = msgspec.structs.replace(person, email=None)
        for tried in (person, nameless) if person.email is not None else (nameless,):
            try:
                async with self._database.transaction() as connection:
                    await self.new_person(connection, provider, tried)
            except UniqueViolation:
                continue  # Somebody has the address.
            except errors.IdentityTaken:
                pass  # Another request of this very person was faster.
            return

    async def new_person(self, connection: Connection, provider: Provider, person: Person) -> UUID:
        """Somebody new, linked to their account, in the caller's transaction.

        Raises:
            IdentityTaken: the account was linked meanwhile.
            UniqueViolation: somebody has the address.
        """
        user_id, now = ids.new(), self._clock.now()
        await owners.insert_owner(connection, owner_id=user_id, name=f"user {user_id}", now=now)
        await store.insert_person(connection, user_id=user_id, person=person, now=now)
        await self._link(connection, provider, subject=person.subject, owner_id=user_id, name=person.name)
        return user_id

    async def link(self, connection: Connection, provider: Provider, person: Person, *, user_id: UUID) -> None:
        """Link the account to somebody who is here, in the caller's transaction.

        Raises:
            IdentityTaken: it is somebody else's.
        """
        await owners.lock_owner(connection, user_id)
        await self._link(connection, provider, subject=person.subject, owner_id=user_id, name=person.name)

    async def _link(
        self,
        connection: Connection,
        provider: Provider,
        *,
        subject: str,
        owner_id: UUID,
        name: str,
    ) -> None:
        now, identity_id = self._clock.now(), ids.new()
        linked = await store.insert(
            connection,
            identity_id=identity_id,
            provider=provider.name,
            issuer=provider.issuer,
            subject=subject,
            owner_id=owner_id,
            name=name,
            now=now,
        )
        if not linked:
            raise errors.IdentityTaken
        event = events.person_event(
            event_id=str(ids.new()),
            kind="identity.linked.v1",
            user_id=str(owner_id),
            subject=str(identity_id),
            by=None,
            time=now,
            data={"identity_id": str(identity_id), "provider": provider.name, "subject": subject},
        )
        await outbox.append(connection, event)
