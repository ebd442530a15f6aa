"""Movements of money that are accepted now and carried out later: accepted, looked at, waited for, cancelled.

Whether money was moved is decided by the request's key in the ledger, which is the caller's own: whoever answers that
first, the worker, the same request sent to be done at once, or a cancellation, has decided for ever. The status here
follows it, and each step can be repeated, so it does not matter where a process dies. `carrying_out` is the worker's
side.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from billfold.kernel import idempotency, ids, paging
from billfold.kernel.errors import BillfoldError, Refusal, catalogue
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.platform.telemetry import traces
from billfold.wallets import contracts, errors
from billfold.wallets.contracts import Acceptance, FoundRequest, MoneyRequest, Order, RequestLimits, RequestStatus
from billfold.wallets.service import orders
from billfold.wallets.service.ended_requests import EndedRequests
from billfold.wallets.service.endings import Endings, view
from billfold.wallets.service.intake import Intake
from billfold.wallets.service.movements import Movements
from billfold.wallets.service.watching import Watch
from billfold.wallets.store import requests as store
from billfold.wallets.store.requests import Row


class Requests:
    """Use cases about requests that are carried out later."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        movements: Movements,
        endings: Endings,
        ended: EndedRequests,
        limits: RequestLimits,
    ) -> None:
        """`ended` is the copy of those that have ended."""
        self._database = database
        self._ledger = ledger
        self._movements = movements
        self._endings = endings
        self._ended = ended
        self._intake = Intake(database=database, ledger=ledger, limits=limits)
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
        known = await self._intake.known_or_room(principal.owner_id, ours)
        if known is not None:
            return Acceptance(request=view(_checked(known, ours)), replayed=True)
        await self._movements.check(principal=principal, order=order, key=key, step_up=step_up)
        if await self._intake.is_answered(ours):
            return Acceptance(moved=await self._movements.move(principal=principal, order=order, key=key))
        return await self._insert(principal, order, ours, key)

    async def _insert(self, principal: Principal, order: Order, key: idempotency.Key, key_text: str) -> Acceptance:
        place = traces.current()
        new = store.New(
            id=ids.new(),
            owner_id=principal.owner_id,
            user_id=principal.user_id,
            credential_id=principal.credential_id,
            is_session=principal.is_session,
            # No more rights than it takes.
            scopes=sorted(principal.scopes & {contracts.ORDER_SCOPES[order.kind], contracts.OPERATOR}),
            content=msgspec.to_builtins(order),
            key_text=key_text,
            key_digest=key.digest,
            key_fingerprint=key.fingerprint,
            traceparent=None if place is None else place.traceparent(),
        )
        stored = await self._intake.store(new)
        return Acceptance(request=view(_checked(stored, key)), replayed=stored.id != new.id)

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

    async def request(self, *, principal: Principal, request_id: UUID, wait_s: float = 0) -> FoundRequest:
        """One's own, as it is when it has ended, or else after so many seconds.

        Raises:
            MissingScope, RequestUnknown
        """
        principal.require(contracts.TRANSFERS_READ)
        ended = await self._ended.find(owner=principal.owner_id, request_id=request_id)
        if ended is not None:
            return FoundRequest(request=ended, source="cql")
        row = await self._find(principal, request_id)
        if wait_s > 0 and row.ended_at is None:
            await self._watch.until_ended(request_id, wait_s, owner=principal.owner_id)
            row = await self._find(principal, request_id)
        return FoundRequest(request=view(row))

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
            RequestUnknown
            MissingScope: the caller can't send such a request, either.
            RequestEnded: money was moved, or it has ended otherwise.
            IdempotencyKeyInUse: it is being carried out at this very moment.
        """
        row = await self._find(principal, request_id)
        principal.require(contracts.ORDER_SCOPES[view(row).kind])
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
