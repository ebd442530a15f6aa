"""What people are told by mail about their accounts, and what everybody else is told by events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from billfold.identity import events
from billfold.identity.domain import addresses
from billfold.identity.service.sessions import Post
from billfold.kernel import clock as clocks
from billfold.kernel import ids
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection

#: A mail that nobody gets takes its time in the name of this address.
NOBODY = "nobody@example.invalid"


class Notices:
    """Writes mails and events in the caller's database transaction."""

    def __init__(self, *, mail: Post, clock: Clock) -> None:
        self._mail = mail
        self._clock = clock

    async def write(self, connection: Connection, *, template: str, to: str | None, locale: str, **values: str) -> None:
        """Send a mail, or a short message to a phone. Without an address there is nobody to tell."""
        if to is None:
            return
        template = addresses.template(template, to)
        values = {"time": clocks.format(self._clock.now()), **values}
        await self._mail.append(connection, template=template, to=to, locale=locale, values=values)

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
        await outbox.append(connection, event)
