"""What operators do with events that a consumer has refused: look, have them tried again, or leave them for good."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from billfold.kernel import errors, paging
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.messaging import outbox, refused
from billfold.platform.messaging.refused import RefusedEvent, RefusedEventContent, Status
from billfold.platform.postgres.database import Database

#: As for dead letters: whoever works off the ones sees the others.
SCOPE: Final = "dead_letters:write"


class RefusedEventUnknown(errors.NotFound):
    """There is no such refused event."""

    code = "refused_event_unknown"


class RefusedEventClosed(errors.Conflict):
    """The event has been applied or discarded."""

    code = "refused_event_closed"


class WorkingOff:
    """Use cases about refused events. All of them take the scope."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def page(
        self,
        *,
        principal: Principal,
        consumer: str | None = None,
        status: Status | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> paging.Page[RefusedEvent]:
        """Refused events, the newest first.

        Raises:
            MissingScope, InvalidCursor, InvalidLimit
        """
        principal.require(SCOPE)
        size = paging.check_limit(limit)
        before = None if cursor is None else paging.decode(cursor, UUID)
        async with self._database.connection() as connection:
            found = await refused.page(connection, consumer=consumer, status=status, before=before, limit=size + 1)
        return paging.cut(found, size, place=lambda event: event.id)

    async def get(self, *, principal: Principal, refused_event_id: UUID) -> RefusedEventContent:
        """One of them, with its content.

        Raises:
            MissingScope, RefusedEventUnknown
        """
        principal.require(SCOPE)
        async with self._database.connection() as connection:
            found = await refused.get(connection, refused_event_id)
        if found is None:
            raise RefusedEventUnknown
        return found

    async def retry(self, *, principal: Principal, refused_event_id: UUID) -> RefusedEventContent:
        """Have its consumer try it once more, in its own process and among what else it takes.

        However often it is asked for, the event is applied at most once: the consumer knows what it has applied. A try
        that has ended its process is not repeated by itself; the event stays `retrying`, and this may be called again.

        Raises:
            MissingScope, RefusedEventUnknown, RefusedEventClosed
        """
        return await self._decided(principal, refused_event_id, "refused_event.retried.v1")

    async def discard(self, *, principal: Principal, refused_event_id: UUID) -> RefusedEventContent:
        """Leave it as it is for good. A consumer that has it in hand meanwhile may apply it yet; then it says so.

        Raises:
            MissingScope, RefusedEventUnknown, RefusedEventClosed
        """
        return await self._decided(principal, refused_event_id, "refused_event.discarded.v1")

    async def _decided(self, principal: Principal, refused_event_id: UUID, kind: str) -> RefusedEventContent:
        """Change it, and have the audit keep who has: both or none."""
        found = await self.get(principal=principal, refused_event_id=refused_event_id)
        change = refused.want if kind == "refused_event.retried.v1" else refused.discard
        async with self._database.transaction() as connection:
            if not await change(connection, refused_event_id):
                raise RefusedEventClosed
            await outbox.append_fact(
                connection,
                kind,
                source=refused.SOURCE,
                subject=str(refused_event_id),
                time=self._clock.now(),
                data={"consumer": found.consumer, "source": found.source, "id": found.event_id},
            )
        return await self.get(principal=principal, refused_event_id=refused_event_id)
