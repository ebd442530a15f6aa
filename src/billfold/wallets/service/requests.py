"""Movements of money that are accepted now and carried out later: accepted, looked at, waited for, cancelled.

Whether money was moved is decided by the request's key in the ledger, which is the caller's own: whoever answers that
first, the worker, the same request sent to be done at once, or a cancellation, has decided for ever. The status here
follows it, and each step can be repeated, so it does not matter where a process dies. `carrying_out` is the worker's
side.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec

from billfold.kernel import idempotency, ids, paging
from billfold.kernel.clock import Clock
from billfold.kernel.errors import BillfoldError, Refusal, catalogue
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database
from billfold.platform.telemetry import traces
from billfold.wallets import contracts, errors, events
from billfold.wallets.contracts import Acceptance, MoneyRequest, Order, RequestLimits, RequestStatus
from billfold.wallets.service import orders
from billfold.wallets.service.endings import Endings, view
from billfold.wallets.service.movements import Movements
from billfold.wallets.service.watching import Watch
from billfold.wallets.store import requests as store
from billfold.wallets.store.requests import Row

#: The broker tells a worker within milliseconds. Who has not been told by then finds it in the database.
TOLD_WITHIN = timedelta(seconds=2)


class Requests:
    """Use cases about requests that are carried out later."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        movements: Movements,
        endings: Endings,
        limits: RequestLimits,
        clock: Clock,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._movements = movements
        self._endings = endings
        self._limits = limits
        self._clock = clock
        self._watch = Watch(database)

    async def accept(self, *, principal: Principal, order: Order, key: str, step_up: UUID | None = None) -> Acceptance:
        """Keep a transfer, deposit or withdrawal to be carried out later. What is returned has been committed.

        Whatever can be known without the ledger is refused now, and a factor or a second person is asked for now. What
        the ledger has answered under this key is answered again.

        Raises:
            BacklogFull, IdempotencyKeyReused, and whatever refuses the order before the ledger is asked.
            Deferred, StepUpRequired: as in `Movements.move`.
        """
        principal.require(contracts.ORDER_SCOPES[order.kind])
        ours = orders.key(principal, key, order)
        known = await self._known_or_room(principal, ours)
        if known is not None:
            return Acceptance(request=view(known), replayed=True)
        await self._movements.check(principal=principal, order=order, key=key, step_up=step_up)
        if await self._ledger.answered(keys=[ours]):
            return Acceptance(moved=await self._movements.move(principal=principal, order=order, key=key))
        return await self._insert(principal, order, ours, key)

    async def _known_or_room(self, principal: Principal, key: idempotency.Key) -> Row | None:
        """What was accepted with this key; otherwise there is room for another one.

        So many as are accepted at the very same moment may come on top: a limit that holds to the last one would make
        all of them wait for each other.
        """
        limits = self._limits
        async with self._database.connection() as connection:
            known = await store.of_key(connection, key.digest)
            if known is not None:
                return _checked(known, key)
            theirs, everybodys = await store.count_open(
                connection, principal.owner_id, owners_max=limits.open_per_owner_max, most=limits.open_max
            )
        if theirs >= limits.open_per_owner_max:
            raise errors.BacklogFull("Too many of your accepted requests wait to be carried out; try again later.")
        if everybodys >= limits.open_max:
            raise errors.BacklogFull
        return None

    async def _insert(self, principal: Principal, order: Order, key: idempotency.Key, key_text: str) -> Acceptance:
        now = self._clock.now()
        place = traces.current()
        # No more rights than it takes.
        needs = principal.scopes & {contracts.ORDER_SCOPES[order.kind], contracts.OPERATOR}
        async with self._database.transaction() as connection:
            row = await store.insert(
                connection,
                request_id=ids.new(),
                by=msgspec.structs.replace(principal, scopes=needs),
                content=msgspec.to_builtins(order),
                key=key,
                key_text=key_text,
                now=now,
                expires_at=now + self._limits.expire_after,
                due_at=now + TOLD_WITHIN,
                traceparent=None if place is None else place.traceparent(),
            )
            if row is not None:
                await self._ledger.reserve(key=key, transaction=connection)
                await self._tell(connection, row)
                return Acceptance(request=view(row))
            known = await store.of_key(connection, key.digest)
        assert known is not None, "it is in the way, and none is ever deleted"
        return Acceptance(request=view(_checked(known, key)), replayed=True)

    async def _tell(self, connection: Connection, row: Row) -> None:
        event = events.request_event(
            event_id=str(ids.new()),
            kind=events.REQUEST_ACCEPTED,
            request=view(row),
            owner_id=row.owner_id,
            time=row.accepted_at,
        )
        await outbox.append(connection, event)

    async def page(
        self,
        *,
        principal: Principal,
        status: RequestStatus | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> paging.Page[MoneyRequest]:
        """One's own, the newest first.

        Raises:
            MissingScope, InvalidCursor, InvalidLimit
        """
        principal.require(contracts.TRANSFERS_READ)
        size = paging.check_limit(limit)
        before = None if cursor is None else paging.decode(cursor, UUID)
        async with self._database.connection() as connection:
            found = await store.page(connection, owner=principal.owner_id, status=status, before=before, limit=size + 1)
        more = paging.encode(found[size - 1].id) if len(found) > size else None
        return paging.Page([view(row) for row in found[:size]], more)

    async def request(self, *, principal: Principal, request_id: UUID, wait_s: float = 0) -> MoneyRequest:
        """One's own, as it is when it has ended, or else after so many seconds.

        Raises:
            MissingScope, RequestUnknown
        """
        principal.require(contracts.TRANSFERS_READ)
        row = await self._find(principal, request_id)
        if wait_s > 0 and row.ended_at is None:
            await self._watch.until_ended(request_id, wait_s, owner=principal.owner_id)
            row = await self._find(principal, request_id)
        return view(row)

    async def outcome(self, *, principal: Principal, accepted: MoneyRequest, wait_s: float) -> Acceptance:
        """What becomes of a request within so many seconds: what was moved, or how far it has come.

        Raises: whatever it was refused for by then.
        """
        await self._watch.until_ended(accepted.id, wait_s, owner=principal.owner_id)
        row = await self._find(principal, accepted.id)
        if row.transfer_id is not None:
            transfer = await self._ledger.transfer(transfer_id=row.transfer_id)
            return Acceptance(moved=contracts.Moved(await self._movements.seen(principal, transfer)))
        if row.status == "failed":
            raise _refusal(row)
        return Acceptance(request=view(row))

    async def cancel(self, *, principal: Principal, request_id: UUID) -> MoneyRequest:
        """Take back what was not carried out yet. Cancelling again changes nothing.

        Raises:
            MissingScope, RequestUnknown
            RequestEnded: money was moved, or it has ended otherwise.
            IdempotencyKeyInUse: it is being carried out at this very moment.
        """
        principal.require(contracts.ORDER_SCOPES["transfer"])
        row = await self._find(principal, request_id)
        if row.ended_at is None:
            row = await self._endings.without_transfer(row.id, "cancelled") or await self._find(principal, request_id)
        if row.status != "cancelled":
            raise errors.RequestEnded(f"The request is {row.status}, so it can't be cancelled any more.")
        return view(row)

    async def _find(self, principal: Principal, request_id: UUID) -> Row:
        async with self._database.connection() as connection:
            found = await store.find(connection, request_id, owner=principal.owner_id)
        if found is None:
            raise errors.RequestUnknown
        return found


def _checked(known: Row, key: idempotency.Key) -> Row:
    if known.key_fingerprint != key.fingerprint:
        raise idempotency.IdempotencyKeyReused
    return known


def _refusal(row: Row) -> BillfoldError:
    """What it was refused for, as the error that it was."""
    kinds = {error.code: error for error in catalogue()}
    # An older version may have known errors that there are no more.
    return kinds.get(row.reason or "", Refusal)(row.detail, pointer=row.pointer)
