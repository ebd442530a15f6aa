"""How a request that was accepted ends, exactly once: with its transfer, or without one for ever.

First it is written down what it is to end as without a transfer; then the ledger closes its key; then the end is
written down, in one database transaction with the event that tells of it. A process that dies in between has decided
nothing that the next one does not find.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from billfold.kernel import facts, idempotency, ids, origin
from billfold.kernel.clock import Clock
from billfold.kernel.errors import BillfoldError
from billfold.kernel.origin import Origin
from billfold.ledger import Ledger
from billfold.ledger import contracts as ledger
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Database
from billfold.platform.postgres.groups import Groups
from billfold.platform.telemetry import traces
from billfold.wallets import contracts, events
from billfold.wallets.contracts import MoneyRequest, Order, RequestError
from billfold.wallets.store import requests as store
from billfold.wallets.store.requests import EndsAs, Row

#: What is kept of why a request has failed.
_DETAIL_MAX = 1_000


class _End(NamedTuple):
    """With what a request ends, where that comes from, and where in its trace."""

    request_id: UUID
    transfer_id: UUID | None
    of: Origin | None
    traceparent: str | None


class Endings:
    """Ends requests. What a process ends at about the same time is written down together."""

    def __init__(self, *, database: Database, ledger: Ledger, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._groups = Groups("end requests", self._write)

    async def without_transfer(self, request_id: UUID, ends_as: EndsAs, why: BillfoldError | None = None) -> Row | None:
        """End a request so, unless it is to end otherwise or money was moved by now; None if it has ended before.

        Raises:
            IdempotencyKeyInUse: it is being carried out.
            Unavailable: PostgreSQL is away. Somebody goes on with it later.
        """
        reason, detail, pointer = (None, None, None) if why is None else told(why)
        async with self._database.connection() as connection:
            row = await store.intend(
                connection, request_id, ends_as=ends_as, reason=reason, detail=detail, pointer=pointer
            )
        return None if row is None else await self.close(row)

    async def close(self, row: Row) -> Row | None:
        """End a request that is meant to end without a transfer, unless money was moved by now.

        Raises: as `without_transfer`.
        """
        transfer_id = None
        try:
            (result,) = (await self._ledger.void(key=row.key)).results
            if isinstance(result, ledger.Transfer):
                transfer_id = result.id
        except idempotency.IdempotencyKeyReused:
            pass  # The key stands for something else, so it will never be this.
        return await self.end(row.id, transfer_id=transfer_id)

    async def end(self, request_id: UUID, *, transfer_id: UUID | None) -> Row | None:
        """Write down what the ledger has decided, and tell it; None if somebody has done so before."""
        place = traces.current()
        end = _End(request_id, transfer_id, origin.current(), None if place is None else place.traceparent())
        row = await self._groups.do(end)
        if row is None:
            # Somebody holds it or has ended it. Its neighbours need not wait for whoever that is.
            (row,) = await self._write([end], wait=True)
        return row

    async def _write(self, ends: Sequence[_End], *, wait: bool = False) -> list[Row | None]:
        """What has ended by each of these, in one database transaction."""
        now = self._clock.now()
        firsts: dict[UUID, _End] = {}
        for end in ends:
            firsts.setdefault(end.request_id, end)
        async with self._database.transaction() as connection:
            transfer_ids = {end.request_id: end.transfer_id for end in firsts.values()}
            ended = await store.end(connection, transfer_ids, now=now, wait=wait)
            if ended:
                await self._ledger.unreserve(keys=[row.key for row in ended], transaction=connection)
                await outbox.append_all(connection, [_told_of(row, firsts[row.id], now) for row in ended])
        rows = {row.id: row for row in ended}
        # It has ended once, so one of those who ended it gets it.
        return [rows.pop(end.request_id, None) for end in ends]


def _told_of(row: Row, end: _End, now: datetime) -> outbox.Told:
    event = events.request_event(
        event_id=str(ids.new()),
        kind="transfer.completed.v1" if row.status == "completed" else "transfer.failed.v1",
        request=view(row),
        owner_id=row.owner_id,
        time=now,
    )
    return outbox.Told(
        event=msgspec.structs.replace(event, traceparent=end.traceparent),
        of=end.of,
        outcome=facts.DONE if row.status == "completed" else row.reason or row.status,
    )


def told(error: BillfoldError) -> tuple[str, str, str | None]:
    """What is kept of an error: its code, its sentence, and the field at fault."""
    return error.code, error.detail[:_DETAIL_MAX], error.pointer


def order_of(row: Row) -> Order:
    """The order as it was sent."""
    return msgspec.convert(row.content, Order)


def view(row: Row) -> MoneyRequest:
    """A request as its owner sees it."""
    order = order_of(row)
    error = None
    if row.reason is not None:
        assert row.detail is not None, "the table checks it"
        error = RequestError(code=row.reason, detail=row.detail, pointer=row.pointer)
    return MoneyRequest(
        id=row.id,
        kind=order.kind,
        status=row.status,
        source=order.source or contracts.OUTSIDE,
        target=order.target or contracts.OUTSIDE,
        money=order.money,
        reference=order.reference,
        description=order.description,
        metadata=order.metadata,
        accepted_at=row.accepted_at,
        expires_at=row.expires_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        tries=row.tries,
        transfer_id=row.transfer_id,
        error=error,
    )
