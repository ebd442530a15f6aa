"""People, as those look after them who work here: finding them, giving them roles, and signing them out.

Nobody changes their own roles. A role that reaches beyond its bearer's own things is given by two people, but for the
first ones: whoever is at the machine itself needs nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

import msgspec

from billfold.identity import errors, events
from billfold.identity.contracts import Approved, Demand, Executor, Role, User, UserDetail
from billfold.identity.domain import addresses, handles
from billfold.identity.domain import roles as domain
from billfold.identity.service.approvals import Approvals
from billfold.identity.service.notices import Notices
from billfold.identity.service.sessions import Sessions
from billfold.identity.store import keys as owners
from billfold.identity.store import sessions as session_store
from billfold.identity.store import staff as store
from billfold.kernel import idempotency, ids, paging
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database

READ = "users:read"
WRITE = "users:write"
#: The kind of an approval.
ROLES = "roles"


class Staff:
    """What is done for and about other people."""

    def __init__(
        self, *, database: Database, clock: Clock, approvals: Approvals, sessions: Sessions, notices: Notices
    ) -> None:
        self._database = database
        self._clock = clock
        self._approvals = approvals
        self._sessions = sessions
        self._notices = notices
        approvals.carried_out_by(self._executors())

    async def list(
        self,
        *,
        by: Principal,
        email: str | None = None,
        handle: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> paging.Page[User]:
        """People, the newest first; or the one with exactly this address or handle.

        Raises:
            MissingScope, InvalidEmail, HandleInvalid, HandleMixed, InvalidLimit, InvalidCursor.
        """
        by.require(READ)
        size = paging.check_limit(limit)
        query = store.UserQuery(
            email=None if email is None else addresses.email(email, pointer="email"),
            handle=None if handle is None else handles.canonical(handle.removeprefix("@")),
            before=None if cursor is None else paging.decode(cursor, UUID),
        )
        async with self._database.connection() as connection:
            found = await store.page(connection, query, limit=size + 1)
        return paging.cut(found, size, place=lambda user: user.id)

    async def find(self, *, by: Principal, user_id: UUID) -> UserDetail:
        """Somebody, and where they are logged in.

        Raises:
            MissingScope, UserUnknown.
        """
        by.require(READ)
        async with self._database.connection() as connection:
            user = await self._user(connection, user_id)
            alive = await session_store.alive(connection, user_id=user_id, current=None, now=self._clock.now())
        return UserDetail(**{name: getattr(user, name) for name in User.__struct_fields__}, sessions=alive)

    async def set_roles(self, *, by: Principal, user_id: UUID, roles: Collection[Role]) -> User:
        """Give somebody these roles and no others.

        Raises:
            MissingScope, SessionNeeded, OwnRoles, RolesApart, UserUnknown
            Deferred, TooManyApprovals: another person has to approve it.
        """
        by.require(WRITE)
        if by.require_person() == user_id:
            raise errors.OwnRoles
        domain.check_together(roles)
        async with self._database.connection() as connection:
            before = await self._user(connection, user_id)
        if set(before.roles) == set(roles):
            return before
        if domain.takes_two(before.roles, roles):
            await self._approvals.demand(principal=by, demand=_demand(by, before, roles))
        return await self._change(by, user_id, before=before.roles, roles=roles)

    async def grant(self, *, email: str, role: Role) -> User:
        """Give somebody one more role, as whoever is at the machine itself; one that acts on everybody replaces `user`.

        Raises:
            InvalidEmail, UserUnknown, RolesApart.
        """
        async with self._database.connection() as connection:
            user = await store.with_email(connection, addresses.email(email))
        if user is None:
            raise errors.UserUnknown
        if role in user.roles:
            return user
        return await self._change(None, UUID(user.id), before=user.roles, roles=domain.with_role(user.roles, role))

    async def sign_out(self, *, by: Principal, user_id: UUID) -> None:
        """End all sessions of somebody. Their API keys stay.

        Raises:
            MissingScope, SessionNeeded, UserUnknown.
        """
        by.require(WRITE)
        by.require_person()
        async with self._database.transaction() as connection:
            await self._user(connection, user_id)
            await self._sessions.end_all(connection, user_id=user_id, by=by, reason="signed_out")

    def _executors(self) -> Mapping[str, Executor]:
        async def change(approved: Approved) -> object:
            content = approved.content
            return await self._change(
                approved.principal,
                UUID(content["user_id"]),
                before=content["before"],
                roles=content["roles"],
                approval_id=approved.id,
            )

        return {ROLES: change}

    async def _change(
        self,
        by: Principal | None,
        user_id: UUID,
        *,
        before: Collection[str],
        roles: Collection[str],
        approval_id: UUID | None = None,
    ) -> User:
        async with self._database.transaction() as connection:
            # Whoever approves locks the one who has asked, and two may be asking for each other.
            for owner in sorted({user_id} | ({by.owner_id} if by else set())):
                await owners.lock_owner(connection, owner)
            user = await self._user(connection, user_id)
            if approval_id is not None and not await self._approvals.conclude(connection, approval_id):
                return user
            if set(user.roles) != set(before) or user.closed_at is not None:
                raise errors.RolesChanged
            await store.set_roles(connection, user_id, roles)
            changed = await self._user(connection, user_id)
            await self._tell(connection, changed, before=before, by=by)
        return changed

    async def _user(self, connection: Connection, user_id: UUID) -> User:
        user = await store.find(connection, user_id)
        if user is None:
            raise errors.UserUnknown
        return user

    async def _tell(self, connection: Connection, user: User, *, before: Collection[str], by: Principal | None) -> None:
        now = self._clock.now()
        event = events.person_event(
            event_id=str(ids.new()),
            kind="role.changed.v1",
            user_id=user.id,
            by=by,
            time=now,
            data={"roles": sorted(user.roles), "before": sorted(before)},
        )
        await outbox.append(connection, event, before={"roles": sorted(before)})
        await self._notices.write_to(
            connection, UUID(user.id), template="role_changed", roles=", ".join(sorted(user.roles))
        )


def _demand(by: Principal, user: User, roles: Collection[Role]) -> Demand:
    before, after = sorted(user.roles), sorted(set(roles))
    content = {"user_id": user.id, "before": before, "roles": after}
    return Demand(
        kind=ROLES,
        content=content | {"display_name": user.display_name},
        needs=frozenset({WRITE}),
        concerns=frozenset({UUID(user.id)}),
        key=idempotency.key_of_content(owner=by.owner_id, operation=ROLES, content=msgspec.json.encode(content)),
    )
