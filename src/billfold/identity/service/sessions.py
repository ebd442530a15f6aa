"""Sessions: logins on devices. Each has a family of refresh tokens, of which one at a time is good, once.

A refresh token that comes twice was copied, or its answer was lost: nobody can tell which, so its session ends and its
user is told (RFC 9700, 4.14.2).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from billfold.identity import errors, events
from billfold.identity.contracts import ADDRESS_MAX, DEVICE_MAX, Session, SessionTokens, scopes_of
from billfold.identity.domain import sessions as domain
from billfold.identity.service.notices import Notices
from billfold.identity.service.signing import Tokens
from billfold.identity.store import sessions as store
from billfold.kernel import ids
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database, after_commit

#: Rows that one round of forgetting deletes.
_FORGOTTEN_AT_ONCE = 1_000


class Sessions:
    """Logins, and the tokens that stand for them."""

    def __init__(
        self, *, database: Database, clock: Clock, tokens: Tokens, notices: Notices, forget: Callable[[UUID], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._tokens = tokens
        self._notices = notices
        #: Whatever this process believes of a session is believed no more.
        self._forget = forget

    async def start(
        self,
        connection: Connection,
        *,
        user_id: UUID,
        methods: Sequence[str],
        device: str,
        address: str,
        new_account: bool = False,
    ) -> SessionTokens:
        """A new session of somebody who has just proved who they are by `methods`; in the caller's transaction.

        Its user is told by mail if they have not been at this address before, however they have logged in.

        Raises:
            CredentialsInvalid: the account was closed meanwhile.
        """
        now, device, address = self._clock.now(), device[:DEVICE_MAX], address[:ADDRESS_MAX]
        bearer = await store.lock_user(connection, user_id)
        if bearer is None:
            raise errors.CredentialsInvalid
        known = new_account or await store.was_at(connection, user_id, address, since=now - domain.KNOWN_FOR)
        if not known:
            await self._notices.write_to(connection, user_id, template="new_login", device=device, address=address)
        session_id, expires_at = ids.new(), now + domain.IDLE_MAX
        await store.insert(
            connection,
            session_id=session_id,
            user_id=user_id,
            methods=methods,
            device=device,
            address=address,
            now=now,
            expires_at=expires_at,
        )
        surplus = await store.revoke_surplus(connection, user_id=user_id, most=domain.SESSIONS_MAX, now=now)
        data = {"device": device, "address": address, "methods": list(methods)}
        await self._tell(connection, "session.started.v1", user_id, session_id, data)
        for ended in surplus:
            await self._tell(connection, "session.ended.v1", user_id, ended, {"reason": "too_many"})
            after_commit(connection, partial(self._forget, ended))
        session = Session(
            id=str(session_id),
            user_id=str(user_id),
            device=device,
            address=address,
            methods=list(methods),
            created_at=now,
            authenticated_at=now,
            last_used_at=now,
            expires_at=expires_at,
        )
        return await self._issue(connection, session, bearer.roles, now)

    async def refresh(self, *, token: str, address: str) -> SessionTokens:
        """New tokens for a refresh token, which is used up by that. The device stays what it said at the login.

        Raises:
            RefreshTokenInvalid: it is none, has expired, or its session has ended.
            RefreshTokenReused: it was used before. Its session has ended now.
        """
        token_hash = domain.refresh_hash(token)
        if token_hash is None:
            raise errors.RefreshTokenInvalid
        async with self._database.transaction() as connection:
            now = self._clock.now()
            session_id = await store.use_token(connection, token_hash, now=now)
            if session_id is not None:
                return await self._prolonged(connection, session_id, address=address, now=now)
        # In a transaction of its own: an error must not undo the end of the session.
        await self._refused(token_hash)
        raise errors.RefreshTokenReused

    async def _prolonged(
        self, connection: Connection, session_id: UUID, *, address: str, now: datetime
    ) -> SessionTokens:
        user_id = await store.user_of(connection, session_id)
        bearer = await store.lock_user(connection, user_id) if user_id is not None else None
        session = await store.prolong(
            connection,
            session_id,
            address=address[:ADDRESS_MAX],
            now=now,
            expires_at=now + domain.IDLE_MAX,
            longest=domain.SESSION_MAX,
        )
        if bearer is None or session is None:
            raise errors.RefreshTokenInvalid
        return await self._issue(connection, session, bearer.roles, now)

    async def _refused(self, token_hash: bytes) -> None:
        """End the session of a token that was used before.

        Raises:
            RefreshTokenInvalid: it was not; it is wrong in another way.
        """
        async with self._database.transaction() as connection:
            now = self._clock.now()
            family = await store.family(connection, token_hash)
            if family is None or not family.used:
                raise errors.RefreshTokenInvalid
            await store.lock_user(connection, family.user_id)
            gone = await store.revoke(
                connection, user_id=family.user_id, session_id=family.session_id, besides=None, now=now
            )
            if gone:
                await self._tell(connection, "session.reuse_detected.v1", family.user_id, family.session_id, {})
                after_commit(connection, partial(self._forget, family.session_id))
                await self._notices.write_to(connection, family.user_id, template="refresh_reuse")

    async def list(self, *, by: Principal) -> list[Session]:
        """One's own sessions that have not ended, the one used last first."""
        async with self._database.connection() as connection:
            current = by.credential_id if by.is_session else None
            return await store.alive(connection, user_id=by.owner_id, current=current, now=self._clock.now())

    async def end(self, *, by: Principal, session_id: UUID) -> None:
        """End one of one's own sessions: within a second no process takes its tokens. Ending it again changes nothing.

        Raises:
            SessionUnknown: there is none, or it is somebody else's.
        """
        async with self._database.transaction() as connection:
            if not await store.exists(connection, user_id=by.owner_id, session_id=session_id):
                raise errors.SessionUnknown
            await self._end(connection, by.owner_id, by=by, session_id=session_id, reason="logout")

    async def end_all(
        self,
        connection: Connection,
        *,
        user_id: UUID,
        by: Principal | None,
        reason: str,
        besides: UUID | None = None,
    ) -> None:
        """End somebody's sessions, all or all `besides` one, in the caller's transaction."""
        await self._end(connection, user_id, by=by, besides=besides, reason=reason)

    async def log_out_everywhere(self, *, by: Principal) -> None:
        """End all of one's own sessions, this one too."""
        async with self._database.transaction() as connection:
            await self._end(connection, by.owner_id, by=by, reason="logout_everywhere")

    async def forget_ended(self) -> bool:
        """Delete some of what ended long ago, and say whether there may be more."""
        async with self._database.transaction() as connection:
            gone = await store.forget_ended(connection, now=self._clock.now(), limit=_FORGOTTEN_AT_ONCE)
        return gone == _FORGOTTEN_AT_ONCE

    async def _end(
        self,
        connection: Connection,
        user_id: UUID,
        *,
        by: Principal | None,
        reason: str,
        session_id: UUID | None = None,
        besides: UUID | None = None,
    ) -> None:
        await store.lock_user(connection, user_id)
        gone = await store.revoke(
            connection, user_id=user_id, session_id=session_id, besides=besides, now=self._clock.now()
        )
        for ended in gone:
            await self._tell(connection, "session.ended.v1", user_id, ended, {"reason": reason}, by=by)
            after_commit(connection, partial(self._forget, ended))

    async def _issue(
        self, connection: Connection, session: Session, roles: frozenset[str], now: datetime
    ) -> SessionTokens:
        text = domain.refresh_text(secrets.token_bytes(domain.REFRESH_BYTES))
        token_hash = domain.refresh_hash(text)
        assert token_hash is not None, "it was just written"
        session_id = UUID(session.id)
        await store.insert_token(
            connection, token_hash=token_hash, session_id=session_id, now=now, expires_at=session.expires_at
        )
        access, until = await self._tokens.issue(
            connection,
            user_id=UUID(session.user_id),
            session_id=session_id,
            scopes=scopes_of(roles),
            roles=roles,
            methods=session.methods,
            authenticated_at=session.authenticated_at,
        )
        return SessionTokens(
            user_id=session.user_id,
            session_id=session.id,
            access_token=access,
            expires_in=int((until - now).total_seconds()),
            refresh_token=text,
            refresh_expires_in=int((session.expires_at - now).total_seconds()),
        )

    async def _tell(
        self,
        connection: Connection,
        kind: events.SessionEventType,
        user_id: UUID,
        session_id: UUID,
        data: Mapping[str, Any],
        *,
        by: Principal | None = None,
    ) -> None:
        event = events.person_event(
            event_id=str(ids.new()),
            kind=kind,
            user_id=str(user_id),
            subject=str(session_id),
            by=by,
            time=self._clock.now(),
            data={"session_id": str(session_id), **data},
        )
        await outbox.append(connection, event)
