"""Requests that have ended, as a CQL server has them.

What has ended never changes, so what is here is as true as when it was written. What is not here says nothing: it may
be open, or on its way, or kept no longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from billfold.kernel import clock
from billfold.wallets.adapters.history import Behind, schema
from billfold.wallets.adapters.history.tables import READ_TIMEOUT_S, Tables
from billfold.wallets.contracts import MoneyRequest

_DECODER = msgspec.json.Decoder(MoneyRequest)


class CqlRequests:
    """The copy of ended requests: read, written and erased."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def ended(self, *, owner: UUID, request_id: UUID) -> MoneyRequest:
        """One of an owner's that has ended.

        Raises:
            Behind, CqlUnavailable: it is not here, or the copy is not made yet. Whether there is one, and how far it
                is, the table of requests says.
        """
        month = schema.month_of_id(request_id)
        if month is None:
            raise Behind("missing")
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                _, rows = await asyncio.gather(
                    self._tables.check_complete(),
                    self._tables.execute(schema.SELECT_REQUEST, owner, month, request_id),
                )
        except TimeoutError:
            raise Behind("timeout") from None
        if not rows:
            raise Behind("missing")
        try:
            return _DECODER.decode(rows[0][0])
        except msgspec.DecodeError:
            # A version that says less, or more, has written it.
            raise Behind("form") from None

    async def write(self, ended: Iterable[tuple[UUID, MoneyRequest]]) -> None:
        """Write requests with their owners; those that are there are written again, which changes nothing.

        Raises:
            CqlUnavailable: perhaps some were written, perhaps all.
        """
        rows = []
        for owner, request in ended:
            assert request.ended_at is not None, "what is open may still change"
            ended_us = clock.microseconds(request.ended_at)
            ttl_s = self._tables.ttl_left_s(ended_us)
            if ttl_s is not None:
                month = schema.month_of_id(request.id)
                body = msgspec.json.encode(request).decode()
                rows.append((owner, month, request.id, request.status, body, ended_us, ttl_s))
        await self._tables.execute_all(schema.INSERT_REQUEST, rows)

    async def erase(self, owner: UUID, *, months: Iterable[datetime], until: datetime) -> None:
        """Erase an owner's requests that were accepted in these months and ended `until` then, or now, for ever.

        Raises:
            CqlUnavailable: do it again.
        """
        erased_us = self._tables.erased_us(until)
        partitions = [(erased_us, owner, schema.month_of(clock.microseconds(month))) for month in months]
        await self._tables.execute_all(schema.ERASE_REQUESTS, partitions)
