"""The part of the facade that reads: balances at any instant, entries, transfers and holds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from billfold.ledger import errors
from billfold.ledger.contracts import BalancePoint, Entry, EntryFilter, EntrySummary, Hold, HoldStatus, Transfer
from billfold.ledger.store import batch as batch_store
from billfold.ledger.store import everybody, reading
from billfold.platform.postgres.database import Connection, Database

#: Every database transaction that posts has ended by then; reads of an older past need not wait for any.
SETTLED_AFTER = timedelta(minutes=5)
#: A chart has no more pixels; each point is a few index seeks.
POINTS_MAX = 1_000

_Read = Callable[[Connection, Sequence[tuple[UUID, datetime]]], Awaitable[list[int]]]


class Reader:
    """What has been written. Nothing here changes anything."""

    _database: Database

    async def now(self) -> datetime:
        """What time it is by the clock that entries are recorded by."""
        async with self._database.connection() as connection:
            return await reading.clock(connection)

    async def balances_recorded(self, *, points: Sequence[tuple[UUID, datetime]]) -> list[BalancePoint]:
        """The posted balance of each (account, instant) as it was recorded then; never changes later (I15).

        Raises:
            InstantInFuture: an instant has not come yet.
        """
        return await self._balances(points, reading.recorded)

    async def balances_effective(self, *, points: Sequence[tuple[UUID, datetime]]) -> list[BalancePoint]:
        """The posted balance of each (account, instant) with every entry counted from its effective_at on.

        Changes later only by back-dated entries.

        Raises:
            InstantInFuture: an instant has not come yet.
        """
        return await self._balances(points, reading.effective)

    async def balance_history(
        self, *, account_id: UUID, since: datetime, until: datetime, step: timedelta, effective: bool
    ) -> list[BalancePoint]:
        """The balance at since, since + step, …, until.

        Raises:
            TooManyPoints: more than 1,000.
            InstantInFuture: `until` has not come yet.
        """
        assert since <= until and step > timedelta(0), "callers check the period"
        if (until - since) / step > POINTS_MAX - 2:
            raise errors.TooManyPoints
        points = [(account_id, at) for at in reading.instants(since, until, step)]
        return await self._balances(points, reading.effective if effective else reading.recorded)

    async def _balances(self, points: Sequence[tuple[UUID, datetime]], read: _Read) -> list[BalancePoint]:
        if not points:
            return []
        async with self._database.connection() as connection:
            last = max(at for _, at in points)
            if not await _settled(connection, [account for account, _ in points], last):
                raise errors.InstantInFuture
            found = await read(connection, points)
        return [BalancePoint(at=at, posted=posted) for (_, at), posted in zip(points, found, strict=True)]

    async def entries(
        self,
        *,
        account_ids: Sequence[UUID],
        filter: EntryFilter,  # noqa: A002 - it is what the caller means
        after: tuple[datetime, UUID] | None,
        limit: int,
    ) -> list[Entry]:
        """Entries of the accounts, newest first, from behind the entry (recorded_at, account) on.

        Those of a period that is over never change (I15).
        """
        async with self._database.connection() as connection:
            await _settled(connection, account_ids, filter.recorded_to)
            return await reading.entries(connection, account_ids, filter, after=after, limit=limit)

    async def stream_entries(
        self,
        *,
        account_ids: Sequence[UUID],
        filter: EntryFilter,  # noqa: A002 - it is what the caller means
    ) -> AsyncIterator[list[Entry]]:
        """Entries of the accounts, oldest first, in blocks: any number of them in constant memory.

        Those of a period that is over never change (I15).
        """
        after: tuple[datetime, UUID] | None = None
        while True:
            async with self._database.connection() as connection:
                if after is None:
                    await _settled(connection, account_ids, filter.recorded_to)
                block = await reading.block(connection, account_ids, filter, after=after)
            if block:
                yield block
            if len(block) < reading.STREAM_BLOCK:
                return
            after = (block[-1].recorded_at, block[-1].account)

    async def summary(
        self,
        *,
        account_ids: Sequence[UUID],
        filter: EntryFilter,  # noqa: A002 - it is what the caller means
    ) -> EntrySummary:
        """Count and sums of the entries that the filter selects; those of a period that is over never change (I15)."""
        async with self._database.connection() as connection:
            await _settled(connection, account_ids, filter.recorded_to)
            return await reading.summary(connection, account_ids, filter)

    async def entries_of_all(
        self,
        *,
        filter: EntryFilter,  # noqa: A002 - it is what the caller means
        after: tuple[UUID, UUID] | None,
        limit: int,
    ) -> list[Entry]:
        """Entries of all user accounts, newest first, from behind the entry (transfer, account) on.

        Those of a period that is over never change (I15).
        """
        async with self._database.connection() as connection:
            await _all_settled(connection, filter.recorded_to)
            return await everybody.entries(connection, filter, after=after, limit=limit)

    async def summaries_of_all(
        self,
        *,
        filter: EntryFilter,  # noqa: A002 - it is what the caller means
    ) -> dict[str, EntrySummary]:
        """Count and sums of the entries of all user accounts that the filter selects, for each asset that has any.

        Those of a period that is over never change (I15).
        """
        async with self._database.connection() as connection:
            await _all_settled(connection, filter.recorded_to)
            return await everybody.summaries(connection, filter)

    async def transfer(self, *, transfer_id: UUID) -> Transfer:
        """A transfer.

        Raises:
            TransferUnknown: there is none.
        """
        async with self._database.connection() as connection:
            found = await batch_store.transfers(connection, [transfer_id])
        if not found:
            raise errors.TransferUnknown
        return found[transfer_id]

    async def transfers(self, *, transfer_ids: Sequence[UUID]) -> list[Transfer]:
        """These transfers, where they exist, in no order. Always read in the database itself, as the relay does."""
        async with self._database.connection() as connection:
            return list((await batch_store.transfers(connection, list(set(transfer_ids)))).values())

    async def hold(self, *, hold_id: UUID) -> Hold:
        """A hold.

        Raises:
            HoldUnknown: there is none.
        """
        async with self._database.connection() as connection:
            found = await batch_store.holds(connection, [hold_id])
        if not found:
            raise errors.HoldUnknown
        return found[hold_id]

    async def holds(
        self, *, account_ids: Sequence[UUID], status: HoldStatus | None, after: UUID | None, limit: int
    ) -> list[Hold]:
        """Holds of the accounts, newest first, from behind the hold `after` on."""
        async with self._database.connection() as connection:
            return await reading.holds(connection, account_ids, status=status, after=after, limit=limit)

    async def holds_of_all(self, *, status: HoldStatus | None, after: UUID | None, limit: int) -> list[Hold]:
        """Holds of all user accounts, newest first, from behind the hold `after` on."""
        async with self._database.connection() as connection:
            return await everybody.holds(connection, status=status, after=after, limit=limit)


async def _settled(connection: Connection, account_ids: Sequence[UUID], until: datetime | None) -> bool:
    """Wait until nothing can be recorded before `until` any more; False if it has not come yet, or there is no end."""
    over, recently = await _over(connection, until)
    if recently:
        await reading.wait_for_postings(connection, account_ids)
    return over


async def _all_settled(connection: Connection, until: datetime | None) -> None:
    """As `_settled`, for all accounts."""
    _, recently = await _over(connection, until)
    if recently:
        await everybody.wait_for_postings(connection)


async def _over(connection: Connection, until: datetime | None) -> tuple[bool, bool]:
    """Whether `until` has come, and whether that is so short a time ago that postings before it may be in flight."""
    if until is None:
        return False, False
    now = await reading.clock(connection)
    return until < now, until < now and now - until < SETTLED_AFTER
