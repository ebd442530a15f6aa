"""The ledger's facade: one method per use case."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from billfold.kernel.assets import Asset
from billfold.kernel.errors import BillfoldError
from billfold.kernel.idempotency import Key
from billfold.ledger import errors
from billfold.ledger.contracts import (
    GROUP_MAX,
    Account,
    AccountStatus,
    BalancePoint,
    Entry,
    EntryFilter,
    EntrySummary,
    Hold,
    HoldChange,
    HoldStatus,
    NewAccount,
    NewHold,
    NewTransfer,
    Posting,
    Transfer,
    Verification,
)
from billfold.ledger.service import commands, verification
from billfold.ledger.service.assets import Assets
from billfold.ledger.service.journal import Journal
from billfold.ledger.service.posting import Poster
from billfold.ledger.store import accounts as account_store
from billfold.ledger.store import batch as batch_store
from billfold.ledger.store import reading
from billfold.platform.postgres.database import Connection, Database

#: Every database transaction that posts has ended by then; reads of an older past need not wait for any.
SETTLED_AFTER = timedelta(minutes=5)
#: A chart has no more pixels; each point is a few index seeks.
POINTS_MAX = 1_000


_Read = Callable[[Connection, Sequence[tuple[UUID, datetime]]], Awaitable[list[int]]]

log = structlog.get_logger(__name__)


class Ledger:
    """Accounts, transfers, holds, and balances now and at any instant.

    Amounts are whole smallest units. What moves money takes an idempotency key; the same key again gets the same
    answer, refusals too, and posts nothing. Everything that is returned has been committed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.assets_known = Assets(database)
        self._journal = Journal(self.assets_known)
        self._poster = Poster(database, journal=self._journal)
        #: Turns the outbox's pointers to batches into events.
        self.expand = self._journal.expand

    @classmethod
    async def start(cls, *, database: Database) -> Ledger:
        """A ledger on `database`, ready to post; must be closed."""
        ledger = cls(database)
        await ledger.assets()
        return ledger

    async def close(self) -> None:
        """Finish what waits."""
        await self._poster.close()

    # Posting

    async def post(self, *, key: Key, transfers: Sequence[NewTransfer], atomic: bool = True) -> Posting:
        """Post 1 to 1,000 transfers: all or nothing, or (not `atomic`) each that fits.

        A refused transfer stands in the results at its place; see Posting.single.

        Raises:
            IdempotencyKeyReused, IdempotencyKeyInUse, Overloaded, OutcomeUnknown, DatabaseUnavailable.
        """
        assert 1 <= len(transfers) <= GROUP_MAX, "callers check the length"
        posting: Posting = await self._poster.submit(commands.Post(key, transfers, atomic=atomic))
        return posting

    async def post_many(self, *, requests: Sequence[tuple[Key, NewTransfer]]) -> list[Posting | BillfoldError]:
        """Post many requests, each on its own and under its own key, and answer each at its place.

        The ledger's refusals stand in the postings; what is no answer of the ledger (a key reused or in use, too much
        waiting, the database away, a defect of ours) stands as its error. Others were posted, so none may hide them.
        """
        waiting: list[asyncio.Future[Posting] | BillfoldError] = []
        for key, new in requests:
            try:
                waiting.append(self._poster.enqueue(commands.Post(key, (new,), atomic=True)))
            except BillfoldError as error:
                waiting.append(error)
        outcomes: list[Posting | BillfoldError] = []
        for answer in waiting:
            try:
                outcomes.append(answer if isinstance(answer, BillfoldError) else await answer)
            except BillfoldError as error:
                outcomes.append(error)
            except Exception:  # noqa: BLE001 - the writer has logged it
                outcomes.append(errors.RequestFailed())
        return outcomes

    async def void(self, *, key: Key) -> Posting:
        """See to it that nothing is posted under `key` any more: its answer is Voided, for ever and for everybody.

        An answer that it has already stands, and is what this returns. Of a posting and a void that race, one wins.
        """
        posting: Posting = await self._poster.submit(commands.Void(key))
        return posting

    async def reverse(self, *, key: Key, transfer_id: UUID, amount: int | None) -> Posting:
        """Post the opposite of a transfer, or of `amount` of it; None is all that is left of it.

        Raises:
            TransferUnknown, TransferNotReversible, ReversalExceedsTransfer, and whatever refuses a transfer.
        """
        posting: Posting = await self._poster.submit(commands.Reverse(key, transfer_id, amount))
        return posting

    async def place_hold(self, *, key: Key, hold: NewHold) -> HoldChange:
        """Set money aside.

        Raises:
            AccountUnknown, AssetMismatch, AccountClosed, AccountFrozen, ExpiryInPast, InsufficientFunds.
        """
        change: HoldChange = await self._poster.submit(commands.PlaceHold(key, hold))
        return change

    async def settle_hold(
        self, *, key: Key, hold_id: UUID, credit_account: UUID, amount: int | None, release_rest: bool
    ) -> HoldChange:
        """Move held money, `amount` or all that is left, to an account; `release_rest` gives the remainder back.

        Raises:
            HoldUnknown, HoldEnded, SettlementExceedsHold, and whatever refuses a transfer.
        """
        change: HoldChange = await self._poster.submit(
            commands.SettleHold(key, hold_id, credit_account=credit_account, amount=amount, release_rest=release_rest)
        )
        return change

    async def release_hold(self, *, key: Key, hold_id: UUID) -> HoldChange:
        """Give held money back.

        Raises:
            HoldUnknown, HoldEnded.
        """
        change: HoldChange = await self._poster.submit(commands.ReleaseHold(key, hold_id))
        return change

    async def expire_holds(self, *, limit: int) -> int:
        """Give back the money of up to `limit` holds whose time is over, and say how many. Safe to run anywhere."""
        async with self._database.connection() as connection:
            due = await batch_store.due_holds(connection, limit)
        waiting = [self._poster.enqueue(commands.ExpireHold(None, hold_id)) for hold_id in due]
        expired = 0
        for hold_id, outcome in zip(due, await asyncio.gather(*waiting, return_exceptions=True), strict=True):
            if isinstance(outcome, errors.HoldEnded):
                log.debug("another process ended the hold first", hold=str(hold_id))
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                expired += 1
        return expired

    # Accounts

    async def open_accounts(self, *, accounts: Sequence[NewAccount], transaction: Connection | None = None) -> None:
        """Open accounts; one whose id exists is left as it is.

        Raises:
            AssetUnknown: there is no such asset.
        """
        for account in accounts:
            await self.assets_known.get(account.asset)
        async with self._within(transaction) as connection:
            await account_store.open_accounts(connection, accounts)

    async def set_status(
        self, *, account_ids: Sequence[UUID], status: AccountStatus, transaction: Connection | None = None
    ) -> None:
        """Freeze, unfreeze or close accounts. Whoever posts after this sees it: it is the same row lock.

        Raises:
            AccountUnknown: one of them does not exist.
            AccountClosed: one of them is closed, which is for ever.
            AccountNotEmpty: one that is to be closed still has money or holds.
        """
        async with self._within(transaction) as connection:
            locked = await account_store.lock(connection, account_ids)
            if len(locked) != len(set(account_ids)):
                raise errors.AccountUnknown
            if status != "closed" and any(account.status == "closed" for account in locked):
                raise errors.AccountClosed
            if status == "closed" and any(account.posted or account.held for account in locked):
                raise errors.AccountNotEmpty
            await account_store.set_status(connection, account_ids, status)

    async def set_floor(self, *, account_id: UUID, floor: int | None, transaction: Connection | None = None) -> None:
        """Change the lowest allowed available balance; None is no limit.

        Raises:
            AccountUnknown: there is no such account.
            InsufficientFunds: what is available is already below the new floor.
        """
        async with self._within(transaction) as connection:
            locked = await account_store.lock(connection, [account_id])
            if not locked:
                raise errors.AccountUnknown
            if floor is not None and locked[0].available < floor:
                raise errors.InsufficientFunds
            await account_store.set_floor(connection, account_id, floor)

    async def accounts(self, *, ids: Sequence[UUID], transaction: Connection | None = None) -> list[Account]:
        """These accounts as they are now, where they exist, in the order of `ids`."""
        async with self._reading(transaction) as connection:
            found = {account.id: account for account in await account_store.accounts(connection, ids)}
        return [found[account_id] for account_id in ids if account_id in found]

    async def external_account(self, *, asset: str) -> UUID:
        """The outside world's account of an asset.

        Raises:
            AssetUnknown: there is no such asset.
        """
        return await self.assets_known.external_account(asset)

    async def assets(self) -> dict[str, Asset]:
        """Every asset by its code."""
        return await self.assets_known.all()

    async def asset(self, *, code: str) -> Asset:
        """One asset, from memory when it has been seen before: assets never change.

        Raises:
            AssetUnknown: there is no such asset.
        """
        return await self.assets_known.get(code)

    async def add_asset(self, *, asset: Asset) -> None:
        """Add an asset and its external account; the same one again is no change.

        Raises:
            AssetExists: the code stands for another one.
        """
        await self.assets_known.add(asset)

    # Reading

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

    async def verify(self, *, progress: verification.Progress | None = None, share: float = 1) -> Verification:
        """Derive every balance and version again from the entries; `progress` gets (entries done, of).

        It keeps PostgreSQL at work for `share` of the time: 1 is full speed.
        """
        return await verification.verify(self._database, progress, share=share)

    @asynccontextmanager
    async def _within(self, transaction: Connection | None) -> AsyncIterator[Connection]:
        """The caller's database transaction, or one of our own."""
        if transaction is not None:
            yield transaction
        else:
            async with self._database.transaction() as connection:
                yield connection

    @asynccontextmanager
    async def _reading(self, transaction: Connection | None) -> AsyncIterator[Connection]:
        """The caller's database transaction, or any connection."""
        if transaction is not None:
            yield transaction
        else:
            async with self._database.connection() as connection:
                yield connection


async def _settled(connection: Connection, account_ids: Sequence[UUID], until: datetime | None) -> bool:
    """Wait until nothing can be recorded before `until` any more; False if it has not come yet, or there is no end."""
    if until is None:
        return False
    now = await reading.clock(connection)
    if until >= now:
        return False
    if now - until < SETTLED_AFTER:
        await reading.wait_for_postings(connection, account_ids)
    return True
