"""How somebody gets an account: they ask for one, and show that the address is theirs.

Whether the address has an account already is told to the address, and to nobody else: whoever asks gets the same answer
in the same time.
"""

from __future__ import annotations

import secrets
from uuid import UUID

from billfold.identity import errors
from billfold.identity.contracts import Awaited, Registration, SessionTokens
from billfold.identity.domain import addresses, codes, names
from billfold.identity.domain.addresses import AddressKind
from billfold.identity.service import zones
from billfold.identity.service.attempts import Attempts
from billfold.identity.service.notices import Notices
from billfold.identity.service.passwords import Passwords
from billfold.identity.service.secrets import Secret
from billfold.identity.service.sessions import Sessions
from billfold.identity.store import registrations as store
from billfold.identity.store import users
from billfold.identity.store.registrations import Pending
from billfold.kernel import ids
from billfold.kernel.clock import Clock
from billfold.platform.postgres.database import Connection, Database, UniqueViolation


class Registrations:
    """New accounts."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        passwords: Passwords,
        attempts: Attempts,
        notices: Notices,
        sessions: Sessions,
        code_key: Secret,
        region: str | None,
    ) -> None:
        """`region` is the country of phone numbers that are written without one."""
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._attempts = attempts
        self._notices = notices
        self._sessions = sessions
        self._code_key = code_key
        self._region = region

    async def register(self, *, new: Registration, address: str) -> Awaited:
        """Send a code to the address that `new` has; `verify` goes on.

        Raises:
            AddressNeeded, InvalidEmail, InvalidPhone, InvalidDisplayName, InvalidTimeZone.
            PasswordTooShort, PasswordTooLong, PasswordTooCommon, PasswordPersonal.
            PhonesUnreachable: it is a phone, and nothing can be sent to one.
            TooManyAttempts, PasswordsBusy.
        """
        kind, to = self._address(new)
        name = names.display_name(new.display_name)
        zones.check(new.time_zone)
        await self._attempts.come(address)
        password_hash = await self._passwords.hash_new(new.password, personal=(to, name))
        sends = await self._attempts.code(to, asker=address)
        pending = Pending(
            email=to if kind == "email" else None,
            phone=to if kind == "phone" else None,
            password_hash=password_hash,
            display_name=name,
            locale=new.locale,
            time_zone=new.time_zone,
        )
        key = await self._code_key()
        async with self._database.transaction() as connection:
            awaited = await send_code(
                connection,
                key,
                kind=kind,
                to=to,
                locale=new.locale,
                clock=self._clock,
                notices=self._notices,
                sends=sends,
            )
            await store.insert(connection, UUID(awaited.id), pending)
        return awaited

    async def verify(self, *, registration_id: UUID, code: str, device: str, address: str) -> SessionTokens:
        """Make the account that was asked for, and log in to it.

        Raises:
            CodeWrong: the code is another one, was used before, or its time is over.
            AddressTaken: somebody who has the address was first.
        """
        await self._attempts.come(address)
        key = await self._code_key()
        try:
            async with self._database.transaction() as connection:
                now, code_hash = self._clock.now(), codes.code_hash(key, registration_id, code)
                right = await store.use_code(
                    connection, registration_id, code_hash=code_hash, most=codes.ATTEMPTS_MAX, now=now
                )
                if right:
                    return await self._open(connection, registration_id, device=device, address=address)
        except UniqueViolation:
            raise errors.AddressTaken from None
        # The attempt is counted by now.
        raise errors.CodeWrong(pointer="/code")

    async def _open(self, connection: Connection, registration_id: UUID, *, device: str, address: str) -> SessionTokens:
        pending = await store.take(connection, registration_id)
        if pending is None:
            raise errors.CodeWrong(pointer="/code")
        user_id = ids.new()
        await users.insert(
            connection,
            user_id=user_id,
            email=pending.email,
            phone=pending.phone,
            password_hash=pending.password_hash,
            display_name=pending.display_name,
            locale=pending.locale,
            time_zone=pending.time_zone,
            now=self._clock.now(),
        )
        told = {
            "email": addresses.masked(pending.email) if pending.email else None,
            "phone": addresses.masked(pending.phone) if pending.phone else None,
            "locale": pending.locale,
            "address": address,
        }
        await self._notices.tell(connection, "user.registered.v1", user_id, told)
        return await self._sessions.start(
            connection, user_id=user_id, methods=["pwd"], device=device, address=address, new_account=True
        )

    def _address(self, new: Registration) -> tuple[AddressKind, str]:
        if new.email is not None and new.phone is None:
            return "email", addresses.email(new.email)
        if new.phone is not None and new.email is None:
            return "phone", addresses.phone(new.phone, region=self._region)
        raise errors.AddressNeeded


async def send_code(
    connection: Connection,
    key: bytes,
    *,
    kind: AddressKind,
    to: str,
    locale: str,
    clock: Clock,
    notices: Notices,
    sends: bool,
) -> Awaited:
    """Send a code to an address, or tell it that it has an account already. Whoever asks can't tell which.

    Nor whether anything was sent: without `sends` the address has had as much as strangers may cause.
    """
    taken = await users.has_address(connection, kind, to)
    code_id, code, now = ids.new(), codes.code_text(secrets.randbelow(codes.CODES)), clock.now()
    expires_at = now + codes.CODE_FOR
    # The hash of a code that nobody is told can't be met by any.
    code_hash = secrets.token_bytes(32) if taken else codes.code_hash(key, code_id, code)
    await store.insert_code(connection, code_id, code_hash=code_hash, now=now, expires_at=expires_at)
    template = "account_exists" if taken else "verification_code"
    values = {} if taken else {"code": code, "minutes": str(int(codes.CODE_FOR.total_seconds() // 60))}
    if sends:
        await notices.write(connection, template=template, to=to, locale=locale, **values)
    return Awaited(id=str(code_id), expires_at=expires_at)
