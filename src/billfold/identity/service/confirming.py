"""Showing once more that it is you: a session that lies open is not enough for what changes whose account it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from billfold.identity import errors
from billfold.identity.service.proofs import Proofs
from billfold.identity.service.step_up import StepUp
from billfold.identity.store import users as store
from billfold.identity.store.users import Person
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database

#: Whoever has no password shows by a login of so late that it is them.
FRESH_FOR = timedelta(minutes=10)


class PasswordCheck(Protocol):
    """Knows people's passwords."""

    async def check_password(self, *, user_id: UUID, password: str) -> bool:
        """Whether it is this user's; wrong ones are counted."""
        ...


class Confirmations:
    """Asks whoever is logged in to show again that it is them. `by` is a session of theirs."""

    def __init__(
        self, *, database: Database, clock: Clock, proofs: Proofs, step_up: StepUp, passwords: PasswordCheck
    ) -> None:
        self._database = database
        self._clock = clock
        self._proofs = proofs
        self._step_up = step_up
        self._passwords = passwords

    async def by_password(self, *, by: Principal, password: str | None) -> Person:
        """Go on with the right password alone; without any, with a login of these minutes.

        Raises:
            PasswordWrong, LoginTooOld, TooManyAttempts, PasswordTooLong, PasswordsBusy.
            UserUnknown: the account was closed meanwhile.
        """
        person, _ = await self._person(by)
        await self._check_password(by, person, password)
        return person

    async def by_factor(
        self,
        *,
        by: Principal,
        operation: str,
        content: Mapping[str, str],
        password: str | None,
        proof: UUID | None,
    ) -> Person:
        """Go on with the approval of a factor; as `by_password` for whoever has no factor yet.

        Raises:
            StepUpRequired, and what `by_password` raises.
        """
        person, has_factor = await self._person(by)
        if has_factor:
            await self._step_up.demand(principal=by, operation=operation, content=content, key=None, proof=proof)
        else:
            await self._check_password(by, person, password)
        return person

    async def _person(self, by: Principal) -> tuple[Person, bool]:
        """Whoever asks, and whether they have a second factor."""
        async with self._database.connection() as connection:
            person = await store.find(connection, by.owner_id)
            if person is None:
                raise errors.UserUnknown
            return person, bool(await self._proofs.methods(connection, by.owner_id))

    async def _check_password(self, by: Principal, person: Person, password: str | None) -> None:
        if person.password_hash is None:
            async with self._database.connection() as connection:
                at = await store.logged_in_at(connection, by.credential_id)
            if at is None or self._clock.now() - at > FRESH_FOR:
                raise errors.LoginTooOld
        elif password is None or not await self._passwords.check_password(user_id=person.id, password=password):
            raise errors.PasswordWrong(pointer="/password")
