"""People's own accounts: their profile, their addresses, and closing them. `by` is a session of theirs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from uuid import UUID

from msgspec import UNSET

from billfold.identity import errors
from billfold.identity.contracts import Awaited, Left, Profile, ProfileChange
from billfold.identity.domain import addresses, codes, names
from billfold.identity.domain.addresses import AddressKind
from billfold.identity.service import zones
from billfold.identity.service.attempts import Attempts
from billfold.identity.service.confirming import Confirmations
from billfold.identity.service.notices import Notices
from billfold.identity.service.proofs import Proofs
from billfold.identity.service.registrations import send_code
from billfold.identity.service.secrets import Secret
from billfold.identity.service.sessions import Sessions
from billfold.identity.store import keys as owners
from billfold.identity.store import registrations as pending
from billfold.identity.store import users as store
from billfold.identity.store.users import Person
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Connection, Database, UniqueViolation

#: What is left of the name of somebody who has closed their account.
_CLOSED_NAME = "Closed account"

#: Closes whatever somebody has elsewhere in the caller's database transaction, or says what keeps them from it.
Leaving = Callable[[Connection, UUID], Awaitable[Sequence[Left]]]


class Removing(Protocol):
    """Takes away what somebody has in this context, in the caller's database transaction."""

    async def __call__(self, connection: Connection, *, owner: UUID, by: Principal | None) -> None: ...


async def nothing_to_leave(_connection: Connection, _user_id: UUID) -> Sequence[Left]:
    """Of people who have nothing elsewhere."""
    return ()


class Users:
    """What people do with their own accounts."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        attempts: Attempts,
        notices: Notices,
        sessions: Sessions,
        confirmations: Confirmations,
        factors: Proofs,
        code_key: Secret,
        leaving: Leaving,
        removing: Sequence[Removing],
        region: str | None,
    ) -> None:
        """`leaving` closes what somebody has elsewhere; `removing` is told of each account that closes."""
        self._database = database
        self._clock = clock
        self._attempts = attempts
        self._notices = notices
        self._sessions = sessions
        self._confirmations = confirmations
        self._factors = factors
        self._code_key = code_key
        self._leaving = leaving
        self._removing = removing
        self._region = region

    async def me(self, *, by: Principal) -> Profile:
        """One's own profile.

        Raises:
            UserUnknown: whoever asks is no person.
        """
        async with self._database.connection() as connection:
            return await self._profile(connection, by.owner_id)

    async def change(self, *, by: Principal, change: ProfileChange) -> Profile:
        """Change what is given.

        Raises:
            InvalidDisplayName, InvalidTimeZone, UserUnknown.
        """
        if change.time_zone is not UNSET:
            zones.check(change.time_zone)
        name = UNSET if change.display_name is UNSET else names.display_name(change.display_name)
        async with self._database.transaction() as connection:
            await owners.lock_owner(connection, by.owner_id)
            before = await self._person(connection, by.owner_id)
            after = {
                "display_name": before.display_name if name is UNSET else name,
                "locale": before.locale if change.locale is UNSET else change.locale,
                "time_zone": before.time_zone if change.time_zone is UNSET else change.time_zone,
            }
            changed = [field for field, value in after.items() if getattr(before, field) != value]
            if changed:
                await store.change(connection, by.owner_id, **after)
                told = {"changed": changed, "locale": after["locale"], "time_zone": after["time_zone"]}
                await self._notices.tell(connection, "user.profile_changed.v1", by.owner_id, told, by=by)
            return await self._profile(connection, by.owner_id)

    async def want_address(
        self, *, by: Principal, kind: AddressKind, address: str, password: str | None, proof: UUID | None
    ) -> Awaited:
        """Send a code to a new address; `verify_address` goes on.

        Raises:
            InvalidEmail, InvalidPhone, PhonesUnreachable.
            StepUpRequired, PasswordWrong, LoginTooOld, TooManyAttempts, PasswordsBusy.
        """
        read = addresses.email(address) if kind == "email" else addresses.phone(address, region=self._region)
        content = {"kind": kind, "address": read}
        person = await self._confirmations.by_factor(
            by=by, operation="address.change", content=content, password=password, proof=proof
        )
        sends = await self._attempts.code(read, asker=str(by.owner_id))
        key = await self._code_key()
        async with self._database.transaction() as connection:
            awaited = await send_code(
                connection,
                key,
                kind=kind,
                to=read,
                locale=person.locale,
                clock=self._clock,
                notices=self._notices,
                sends=sends,
            )
            await pending.insert_change(connection, UUID(awaited.id), user_id=person.id, kind=kind, address=read)
        return awaited

    async def verify_address(self, *, by: Principal, kind: AddressKind, change_id: UUID, code: str) -> Profile:
        """Put the new address in the place of the old one, which is told.

        Raises:
            CodeWrong: the code is another one, was used before, or its time is over.
            AddressTaken: somebody who has the address was first.
        """
        key = await self._code_key()
        try:
            async with self._database.transaction() as connection:
                now, code_hash = self._clock.now(), codes.code_hash(key, change_id, code)
                if await pending.use_code(connection, change_id, code_hash=code_hash, most=codes.ATTEMPTS_MAX, now=now):
                    return await self._set_address(connection, by, kind, change_id)
        except UniqueViolation:
            raise errors.AddressTaken from None
        # The attempt is counted by now.
        raise errors.CodeWrong(pointer="/code")

    async def close(self, *, by: Principal, password: str | None) -> None:
        """Close one's account for ever: wallets, sessions and keys end with it, and its addresses are free again.

        All of it is one database transaction. Wallets are locked, found empty and closed in there, so money that is on
        its way arrives before, and keeps the account open, or is refused afterwards.

        Raises:
            MoneyLeft: its detail says where money is.
            PasswordWrong, LoginTooOld, TooManyAttempts, PasswordsBusy.
        """
        await self._confirmations.by_password(by=by, password=password)
        async with self._database.transaction() as connection:
            await owners.lock_owner(connection, by.owner_id)
            person = await self._person(connection, by.owner_id)
            if left := await self._leaving(connection, by.owner_id):
                raise errors.MoneyLeft(_where(left))
            for remove in self._removing:
                await remove(connection, owner=by.owner_id, by=by)
            now = self._clock.now()
            await self._sessions.end_all(connection, user_id=person.id, by=by, reason="account_closed")
            await pending.forget_of(connection, person.id, now=now)
            await self._notices.write(
                connection, template="account_closed", to=person.email or person.phone, locale=person.locale
            )
            await store.close(connection, person.id, name=_CLOSED_NAME, now=now)
            await self._notices.tell(connection, "user.closed.v1", person.id, {}, by=by)

    async def _set_address(self, connection: Connection, by: Principal, kind: AddressKind, change_id: UUID) -> Profile:
        await owners.lock_owner(connection, by.owner_id)
        address = await pending.take_change(connection, change_id, user_id=by.owner_id, kind=kind)
        if address is None:
            raise errors.CodeWrong(pointer="/code")
        before = await self._person(connection, by.owner_id)
        now = self._clock.now()
        await store.set_address(connection, by.owner_id, kind, address, now=now)
        # A link for a new password that was sent to the old address must not open the account any more.
        await pending.forget_of(connection, by.owner_id, now=now)
        old = before.email if kind == "email" else before.phone
        told = {"kind": kind, "to": addresses.masked(address), "from": addresses.masked(old) if old else None}
        await self._notices.tell(connection, "user.address_changed.v1", by.owner_id, told, by=by)
        await self._notices.write(
            connection, template="address_changed", to=old or before.email or before.phone, locale=before.locale
        )
        return await self._profile(connection, by.owner_id)

    async def _person(self, connection: Connection, user_id: UUID) -> Person:
        person = await store.find(connection, user_id)
        if person is None:
            raise errors.UserUnknown
        return person

    async def _profile(self, connection: Connection, user_id: UUID) -> Profile:
        person = await self._person(connection, user_id)
        factors = await self._factors.methods(connection, user_id)
        return Profile(
            id=str(person.id),
            email=person.email,
            phone=person.phone,
            display_name=person.display_name,
            initials=names.initials(person.display_name),
            locale=person.locale,
            time_zone=person.time_zone,
            roles=person.roles,
            factors=list(factors),
            has_password=person.password_hash is not None,
            created_at=person.created_at,
        )


def _where(left: Sequence[Left]) -> str:
    places = "; ".join(f"{one.name} ({one.wallet}) {one.why}" for one in left)
    return f"Your account can't be closed: {places}. Move the money out, or have the wallet unfrozen, and try again."
