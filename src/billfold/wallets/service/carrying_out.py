"""Carries out requests that were accepted: the worker's side.

Each is done by the same call that moves money at once, in its owner's name and with its owner's idempotency key. So it
does not matter how often that is tried, by how many, or whether a process dies in between: money is moved once. The
steps are numbered, and the tests kill a process at each:

1. the request is stored with its event, and then answered        `requests`
2. it is taken: nobody else takes it for a while
3. the ledger moves its money, or refuses
4. what it is to end as is written down, if nothing was moved     `endings`
5. the ledger closes its key, if nothing was moved
6. its end is written down and told, with those of its neighbours
7. the broker hears that its event was taken                      the consumer
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextvars import Context
from datetime import timedelta
from uuid import UUID

import structlog

from billfold.identity import Identity
from billfold.kernel import origin
from billfold.kernel.clock import Clock
from billfold.kernel.deferred import Deferred
from billfold.kernel.errors import BillfoldError, InternalError
from billfold.kernel.principal import MissingScope
from billfold.ledger import errors as ledger_errors
from billfold.platform.postgres.database import Database
from billfold.platform.telemetry import traces
from billfold.wallets import domain, errors
from billfold.wallets.contracts import Backlog, RequestOutcomes
from billfold.wallets.service.endings import Endings, order_of, told
from billfold.wallets.service.movements import Movements
from billfold.wallets.store import requests as store
from billfold.wallets.store.requests import Row

#: What a round takes on: at a millisecond each it is over soon, and the ledger posts them in few batches.
AT_ONCE = 100
#: Nobody else takes them meanwhile. A round takes less than a second; one that lasts so long has died.
TAKEN_FOR = timedelta(seconds=30)
#: From this try on a request is carried out alone: perhaps it is what ends workers, and its neighbours shall not wait
#: for it each time.
SUSPECT_FROM = 3
#: Requests are counted up to here: beyond, it only matters that they are many.
COUNTED_MAX = 100_000

log = structlog.get_logger(__name__)


class CarryingOut:
    """Takes requests and carries them out. Any number of processes may do so at once."""

    def __init__(
        self, *, database: Database, identity: Identity, movements: Movements, endings: Endings, clock: Clock
    ) -> None:
        self._database = database
        self._identity = identity
        self._movements = movements
        self._endings = endings
        self._clock = clock

    async def named(
        self, *, request_ids: Sequence[UUID], traced: Mapping[UUID, traces.Place] | None = None
    ) -> RequestOutcomes:
        """Carry out these, if nobody else has taken them; how many have ended how, or are to be tried again.

        `traced` is where the events of those came from that are part of a trace.

        Raises:
            Unavailable: PostgreSQL is away; nothing is lost.
        """
        outcomes: Counter[str] = Counter()
        for first in range(0, len(request_ids), AT_ONCE):
            now = self._clock.now()
            async with self._database.transaction() as connection:
                taken = await store.take_named(
                    connection, request_ids[first : first + AT_ONCE], now=now, until=now + TAKEN_FOR
                )
            outcomes += await self._all(taken, traced or {})
        return outcomes

    async def due(self) -> RequestOutcomes:
        """Carry out what is due: what no event has told of, what was tried in vain, what a dead process has taken.

        Raises: as `named`.
        """
        now = self._clock.now()
        async with self._database.transaction() as connection:
            taken = await store.take_due(connection, now=now, until=now + TAKEN_FOR, limit=AT_ONCE)
        return await self._all(taken, {})

    async def backlog(self) -> Backlog:
        """What waits."""
        async with self._database.connection() as connection:
            count, age_s = await store.backlog(connection, most=COUNTED_MAX)
        return Backlog(count, age_s)

    async def _all(self, taken: Sequence[Row], traced: Mapping[UUID, traces.Place]) -> Counter[str]:
        if not taken:
            return Counter()
        standing = await self._identity.standing.of([row.principal for row in taken])

        def begin(row: Row, may: frozenset[str] | None) -> asyncio.Task[str]:
            place = traced.get(row.id) or traces.carried(row.traceparent)
            # In a context of its own: the batch is in the trace of its first. The audit has to know who works here.
            own = Context()
            own.run(origin.begin, origin.current())
            return asyncio.create_task(self._one(row, may, place), context=own)

        pairs = list(zip(taken, standing, strict=True))
        together = [begin(row, may) for row, may in pairs if row.tries < SUSPECT_FROM]
        # Each comes to its end, even when one has lost the database.
        found = await asyncio.gather(*together, return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException):
                raise one
        outcomes = [one for one in found if isinstance(one, str)]
        outcomes += [await begin(row, may) for row, may in pairs if row.tries >= SUSPECT_FROM]
        return Counter(outcomes)

    async def _one(self, row: Row, may: frozenset[str] | None, place: traces.Place | None) -> str:
        try:
            with traces.span("carry out request", parent=place), origin.in_name_of(row.principal):
                ended = await self._carried_out(row, may)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is tried again, and `_postponed` logs defects.
            return await self._postponed(row, error)
        # Somebody else has written down the same.
        return "repeated" if ended is None else ended.status

    async def _carried_out(self, row: Row, may: frozenset[str] | None) -> Row | None:
        if row.ends_as is not None:
            return await self._endings.close(row)
        if row.is_overdue:
            return await self._endings.without_transfer(row.id, "expired")
        try:
            _check_standing(row, may)
            moved = await self._movements.move(principal=row.principal, order=order_of(row), key=row.key_text)
        except BillfoldError as error:
            if error.retryable or isinstance(error, ledger_errors.RequestFailed):
                raise
            return await self._endings.without_transfer(row.id, "failed", error)
        return await self._endings.end(row.id, transfer_id=moved.transfer.id)

    async def _postponed(self, row: Row, error: Exception) -> str:
        """Let it be tried again: it met something that passes, or a defect of ours, which may be mended in time."""
        if isinstance(error, Deferred):
            error = errors.ApprovalAwaited()
        elif isinstance(error, InternalError) or not isinstance(error, BillfoldError):
            log.error("a request could not be carried out", request=str(row.id), exc_info=error)
            error = ledger_errors.RequestFailed()
        # Chance only spreads the tries.
        until = self._clock.now() + domain.retry_pause(row.tries, random.random())  # noqa: S311
        reason, detail, pointer = told(error)
        async with self._database.connection() as connection:
            await store.postpone(connection, row.id, until=until, reason=reason, detail=detail, pointer=pointer)
        log.warning("a request waits", request=str(row.id), reason=reason, until=until.isoformat())
        return "retried"


def _check_standing(row: Row, may: frozenset[str] | None) -> None:
    """Pass if what the request was sent with could still send it.

    Raises:
        CredentialsWithdrawn, MissingScope.
    """
    if may is None:
        raise errors.CredentialsWithdrawn
    lacking = set(row.scopes) - may
    if lacking:
        raise MissingScope(f"You lack the scope {min(lacking)} by now.")
