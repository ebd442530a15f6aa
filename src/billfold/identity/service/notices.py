"""What people are told by mail about their accounts, and what everybody else is told by events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

import structlog

from billfold.identity import events
from billfold.identity.store import users
from billfold.kernel import clock as clocks
from billfold.kernel import facts, ids
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.mail.errors import PhonesUnreachable
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection

log = structlog.get_logger(__name__)

#: A mail that nobody gets takes its time in the name of this address.
NOBODY = "nobody@example.invalid"


class Post(Protocol):
    """Tells people by mail."""

    async def append(
        self, connection: Connection, /, *, template: str, to: str, locale: str, values: Mapping[str, str]
    ) -> None:
        """Send a mail if and only if the database transaction commits."""
        ...


class Notices:
    """Writes mails and events in the caller's database transaction."""

    def __init__(self, *, mail: Post, clock: Clock) -> None:
        self._mail = mail
        self._clock = clock

    async def write(self, connection: Connection, *, template: str, to: str | None, locale: str, **values: str) -> None:
        """Send a mail, or a short message to a phone. Without an address there is nobody to tell."""
        if to is None:
            return
        template = f"{template}_sms" if to.startswith("+") else template
        values = {"time": clocks.format(self._clock.now()), **values}
        await self._mail.append(connection, template=template, to=to, locale=locale, values=values)

    async def write_to(self, connection: Connection, user_id: UUID, *, template: str, **values: str) -> None:
        """Send a mail to somebody whose account is open, or a short message if they have a phone alone.

        What they are told of takes place even if no phone can be reached any more.
        """
        person = await users.find(connection, user_id)
        if person is None:
            return
        to = person.email or person.phone
        try:
            await self.write(connection, template=template, to=to, locale=person.locale, **values)
        except PhonesUnreachable:
            log.warning("somebody with a phone alone could not be told", user=str(user_id), template=template)

    async def write_of_identity(self, connection: Connection, user_id: UUID, *, provider: str, change: str) -> None:
        """Tell somebody that an account at a provider logs them in from now on (`added`), or no more (`removed`)."""
        await self.write_to(
            connection, user_id, template="factor_changed", factor="identity", change=change, provider=provider
        )

    async def tell(
        self,
        connection: Connection,
        kind: events.UserEventType,
        user_id: UUID,
        data: Mapping[str, Any],
        *,
        by: Principal | None = None,
    ) -> None:
        """Write an event. The owner's row is to be locked by now."""
        event = events.person_event(
            event_id=str(ids.new()), kind=kind, user_id=str(user_id), by=by, time=self._clock.now(), data=data
        )
        await outbox.append(connection, event)

    async def tell_attempt(
        self,
        connection: Connection,
        kind: events.UserEventType,
        user_id: UUID | None,
        *,
        login: str,
        device: str,
        address: str,
    ) -> None:
        """Write an event about what a stranger has attempted, whether the account exists or not."""
        event = events.attempt_event(
            event_id=str(ids.new()),
            kind=kind,
            user_id=str(user_id) if user_id else None,
            login=login,
            device=device,
            address=address,
            time=self._clock.now(),
        )
        await outbox.append(connection, event, outcome="login_failed" if kind == "user.login_failed.v1" else facts.DONE)
