"""New passwords: of somebody who knows the old one, and of somebody who has forgotten it."""

from __future__ import annotations

import secrets
from uuid import UUID

from billfold.identity import errors
from billfold.identity.domain import addresses, codes
from billfold.identity.domain.addresses import Login
from billfold.identity.service.attempts import Attempts, of_login
from billfold.identity.service.logins import NOBODY, Logins
from billfold.identity.service.notices import NOBODY as NOBODYS_ADDRESS
from billfold.identity.service.notices import Notices
from billfold.identity.service.passwords import Passwords
from billfold.identity.service.sessions import Sessions
from billfold.identity.store import keys as owners
from billfold.identity.store import registrations as store
from billfold.identity.store import users
from billfold.identity.store.users import Person
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Connection, Database

_MINUTES = str(int(codes.TOKEN_FOR.total_seconds() // 60))


class PasswordChanges:
    """Forgotten passwords and others."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        passwords: Passwords,
        attempts: Attempts,
        notices: Notices,
        sessions: Sessions,
        logins: Logins,
        region: str | None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._attempts = attempts
        self._notices = notices
        self._sessions = sessions
        self._logins = logins
        self._region = region

    async def forgot(self, *, login: str, device: str, address: str) -> None:
        """Send a token for a new password to whoever logs in like this. It takes as long if nobody does.

        Raises:
            PhonesUnreachable: it is a phone, and nothing can be sent to one.
            TooManyAttempts: of this address, whatever it asks for.
        """
        await self._attempts.come(address)
        meant = addresses.login(login, region=self._region)
        if not await self._attempts.reset(meant.text):
            # Strangers fill nobody's mailbox. Whoever has asked so often has a mail that is good still.
            return
        token = codes.token_text(secrets.token_bytes(codes.TOKEN_BYTES))
        now = self._clock.now()
        async with self._database.transaction() as connection:
            found = await self._logins.find(connection, meant, address=address)
            person = found.person if found is not None else None
            user_id = person.id if person is not None else None
            await owners.lock_owner(connection, user_id or NOBODY)
            await store.insert_reset(
                connection, codes.token_hash(token), user_id=user_id, now=now, expires_at=now + codes.TOKEN_FOR
            )
            await self._notices.tell_attempt(
                connection,
                "user.reset_requested.v1",
                user_id,
                login=addresses.masked(meant.text),
                device=device,
                address=address,
            )
            await store.begin_pretending(connection)
            await self._notices.write(
                connection,
                template="password_reset",
                to=_address(meant, person),
                locale=person.locale if person is not None else "en",
                token=token,
                minutes=_MINUTES,
            )
            await store.end_pretending(connection, real=person is not None)

    async def reset(self, *, token: str, password: str, device: str, address: str) -> None:
        """Set a new password by a token that was sent, and log out everywhere.

        Raises:
            ResetTokenInvalid: the token is another one, was used before, or its time is over.
            PasswordTooShort, PasswordTooLong, PasswordTooCommon, PasswordPersonal, PasswordsBusy: the token stays good.
        """
        await self._attempts.come(address)
        token_hash = codes.token_hash(token)
        async with self._database.connection() as connection:
            user_id = await store.user_of_reset(connection, token_hash, now=self._clock.now())
            person = await users.find(connection, user_id) if user_id is not None else None
        if person is None:
            raise errors.ResetTokenInvalid(pointer="/token")
        password_hash = await self._passwords.hash_new(password, personal=personal(person))
        async with self._database.transaction() as connection:
            await owners.lock_owner(connection, person.id)
            if not await store.use_reset(connection, token_hash, now=self._clock.now()):
                raise errors.ResetTokenInvalid(pointer="/token")
            await self._set(connection, person.id, password_hash, device=device, address=address)
            await self._sessions.end_all(connection, user_id=person.id, by=None, reason="password_reset")
            await self._notices.tell(
                connection, "user.password_reset.v1", person.id, {"device": device, "address": address}
            )
        # Whoever has tried to guess the old one has lost; the user need not wait for them.
        await self._attempts.ended_well("login", of_login("", person.id))

    async def change(self, *, by: Principal, current: str, new: str, device: str, address: str) -> None:
        """Set a new password, and end all other sessions.

        Raises:
            PasswordWrong, PasswordNotSet, TooManyAttempts, PasswordsBusy.
            PasswordTooShort, PasswordTooLong, PasswordTooCommon, PasswordPersonal.
        """
        async with self._database.connection() as connection:
            person = await users.find(connection, by.owner_id)
        if person is None:
            raise errors.CredentialsInvalid
        if person.password_hash is None:
            raise errors.PasswordNotSet
        if not await self._logins.check_password(user_id=person.id, password=current):
            raise errors.PasswordWrong(pointer="/current_password")
        password_hash = await self._passwords.hash_new(new, personal=personal(person), pointer="/new_password")
        async with self._database.transaction() as connection:
            await owners.lock_owner(connection, person.id)
            now = await users.find(connection, person.id)
            if now is None or now.password_hash != person.password_hash:
                raise errors.PasswordWrong(pointer="/current_password")
            await self._set(connection, person.id, password_hash, device=device, address=address)
            await self._sessions.end_all(
                connection, user_id=person.id, by=by, reason="password_changed", besides=by.credential_id
            )
            told = {"device": device, "address": address}
            await self._notices.tell(connection, "user.password_changed.v1", person.id, told, by=by)

    async def _set(
        self, connection: Connection, user_id: UUID, password_hash: str, *, device: str, address: str
    ) -> None:
        now = self._clock.now()
        await users.set_password(connection, user_id, password_hash, now=now)
        await store.forget_of(connection, user_id, now=now)
        person = await users.find(connection, user_id)
        if person is None:
            # The account was closed meanwhile, which had to wait for the same lock.
            raise errors.CredentialsInvalid
        await self._notices.write(
            connection,
            template="password_changed",
            to=person.email or person.phone,
            locale=person.locale,
            device=device,
            address=address,
        )


def personal(person: Person) -> list[str]:
    """What somebody's password must not be."""
    return [one for one in (person.email, person.phone, person.display_name) if one is not None]


def _address(meant: Login, person: Person | None) -> str:
    """Where the token goes: to the address that was named, for that one exists or doesn't whoever has it."""
    if meant.kind in {"email", "phone"}:
        return meant.text
    return (person.email or person.phone if person is not None else None) or NOBODYS_ADDRESS
