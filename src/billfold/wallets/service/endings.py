"""How a request that was accepted ends, exactly once: with its transfer, or without one for ever.

First it is written down what it is to end as without a transfer; then the ledger closes its key; then the end is
written down, in one database transaction with the event that tells of it. A process that dies in between has decided
nothing that the next one does not find.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from billfold.kernel import facts, idempotency, ids
from billfold.kernel.clock import Clock
from billfold.kernel.errors import BillfoldError
from billfold.ledger import Ledger
from billfold.ledger import contracts as ledger
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Database
from billfold.wallets import contracts, events
from billfold.wallets.contracts import MoneyRequest, Order, RequestError
from billfold.wallets.store import requests as store
from billfold.wallets.store.requests import EndsAs, Row

#: What is kept of why a request has failed.
_DETAIL_MAX = 1_000


class Endings:
    """Ends requests."""

    def __init__(self, *, database: Database, ledger: Ledger, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock

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
        now = self._clock.now()
        async with self._database.transaction() as connection:
            row = await store.end(connection, request_id, transfer_id=transfer_id, now=now)
            if row is None:
                return None
            await self._ledger.unreserve(keys=[row.key], transaction=connection)
            event = events.request_event(
                event_id=str(ids.new()),
                kind="transfer.completed.v1" if row.status == "completed" else "transfer.failed.v1",
                request=view(row),
                owner_id=row.owner_id,
                time=now,
            )
            outcome = facts.DONE if row.status == "completed" else row.reason or row.status
            await outbox.append(connection, event, outcome=outcome)
        return row


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
