"""Logging in with a password. Whoever can't, learns nothing: not whether there is such an account, nor why not."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final, NoReturn
from uuid import UUID

from billfold.identity import errors
from billfold.identity.contracts import SecondFactor, SessionTokens
from billfold.identity.domain import addresses
from billfold.identity.domain import aliases as alias_domain
from billfold.identity.domain import passwords as domain
from billfold.identity.domain.addresses import Login
from billfold.identity.service.attempts import Attempts, of_login
from billfold.identity.service.notices import Notices
from billfold.identity.service.passwords import Passwords, Verdict
from billfold.identity.service.second_factors import SecondFactors
from billfold.identity.service.sessions import Sessions
from billfold.identity.store import aliases
from billfold.identity.store import keys as owners
from billfold.identity.store import users as store
from billfold.identity.store.users import Found, Person
from billfold.kernel.clock import Clock
from billfold.kernel.errors import Invalid
from billfold.platform.postgres.database import Connection, Database

#: An owner that there is not. Stands for nobody, where the statements must be those that somebody would have.
NOBODY = UUID(int=0)
#: When whoever has to wait is told so. Longer than hashing takes, shorter than the first wait.
REFUSED_AFTER_S: Final = 0.5


class Logins:
    """Logins with a password."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        passwords: Passwords,
        attempts: Attempts,
        notices: Notices,
        sessions: Sessions,
        second_factors: SecondFactors,
        region: str | None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._attempts = attempts
        self._notices = notices
        self._sessions = sessions
        self._second_factors = second_factors
        self._region = region
        self._refused_after_s = REFUSED_AFTER_S

    async def login(self, *, login: str, password: str, device: str, address: str) -> SessionTokens | SecondFactor:
        """A new session of whoever has this e-mail address, phone number or handle, or what that still needs.

        Raises:
            LoginFailed: nobody logs in like this, for whatever reason.
            PasswordTooLong: that can be nobody's password.
            TooManyAttempts, PasswordsBusy.
        """
        domain.normalised(password)
        meant = addresses.login(login, region=self._region)
        # First of all: in a storm of logins most are refused here, and must cost next to nothing.
        self._passwords.check_free()
        began = monotonic()
        found = await self._find(meant, address)
        person = found.person if found is not None else None
        known = found is not None and found.known_there
        about = of_login(meant.text, person.id if person is not None else None)
        count = self._attempts.known if known else self._attempts.stranger
        if wait_s := await count(about, address=address):
            await self._refuse(wait_s, began)
        verdict = await self._passwords.verify(password, person.password_hash if person is not None else None)
        async with self._database.transaction() as connection:
            await owners.lock_owner(connection, person.id if person is not None else NOBODY)
            answer = None
            if person is not None and verdict.ok:
                answer = await self._start(connection, person, verdict, device, address)
            if answer is None:
                await self._notices.tell_attempt(
                    connection,
                    "user.login_failed.v1",
                    person.id if person is not None else None,
                    login=addresses.masked(meant.text),
                    device=device,
                    address=address,
                )
        if answer is None:
            # Only the right password is better off where its user is known: a wrong one is answered like a stranger's.
            if known and (wait_s := await self._attempts.stranger(about, address=address)):
                await self._refuse(wait_s, began)
            raise errors.LoginFailed
        await self._attempts.ended_well("login", about, known_at=address if known else None)
        return answer

    async def _refuse(self, wait_s: int, began: float) -> NoReturn:
        """Tell somebody to wait, always as late after they began, whether a password was looked at or not.

        Raises:
            TooManyAttempts
        """
        await asyncio.sleep(max(0.0, began + self._refused_after_s - monotonic()))
        raise errors.TooManyAttempts(wait_s)

    async def check_password(self, *, user_id: UUID, password: str) -> bool:
        """Whether it is the password of somebody who is logged in. Wrong ones make the next wait for longer.

        Raises:
            PasswordTooLong, TooManyAttempts, PasswordsBusy.
        """
        domain.normalised(password)
        self._passwords.check_free()
        async with self._database.connection() as connection:
            person = await store.find(connection, user_id)
        await self._attempts.begin("password", str(user_id))
        verdict = await self._passwords.verify(password, person.password_hash if person is not None else None)
        if verdict.ok:
            await self._attempts.ended_well("password", str(user_id))
        return verdict.ok

    async def find(self, connection: Connection, meant: Login, *, address: str) -> Found | None:
        """Whoever is meant by a login that comes from `address`."""
        handle_of = None
        if meant.kind == "handle":
            handle_of = await _owner_of(connection, meant.text)
        return await store.find_login(connection, meant, handle_of=handle_of, address=address, now=self._clock.now())

    async def _find(self, meant: Login, address: str) -> Found | None:
        async with self._database.connection() as connection:
            return await self.find(connection, meant, address=address)

    async def _start(
        self, connection: Connection, person: Person, verdict: Verdict, device: str, address: str
    ) -> SessionTokens | SecondFactor | None:
        """Begin the session of somebody whose owner's row is locked; None if their password has changed meanwhile."""
        now = await store.find(connection, person.id)
        if now is None or now.password_hash != person.password_hash:
            return None
        if verdict.rehash is not None:
            await store.replace_hash(connection, person.id, verdict.rehash)
        needed = await self._second_factors.needed(connection, user_id=person.id, methods=["pwd"])
        if needed is not None:
            return needed
        return await self._sessions.start(
            connection, user_id=person.id, methods=["pwd"], device=device, address=address
        )


async def _owner_of(connection: Connection, handle: str) -> UUID | None:
    try:
        name = alias_domain.read(handle)
    except Invalid:
        return None
    alias = await aliases.find(connection, name, owner=None) if name.kind == "handle" else None
    return UUID(alias.owner_id) if alias is not None else None
