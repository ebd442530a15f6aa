"""The copy of the history: which of the two is read, how events keep the copy, how it is made anew, and erased.

Ended requests belong to it; `ended_requests` knows them.

An event only says that there is something to copy. What is written comes from the ledger, so whoever writes to the
broker can't write into anybody's history.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from prometheus_client import Counter

from billfold.identity.events import USER_CLOSED
from billfold.kernel import ids
from billfold.kernel.events import Event
from billfold.ledger import Ledger
from billfold.ledger import contracts as ledger_contracts
from billfold.ledger import events as ledger_events
from billfold.ledger.contracts import Entry, EntryFilter
from billfold.platform.cql import CqlUnavailable
from billfold.platform.postgres.database import Database
from billfold.wallets import domain, errors, events
from billfold.wallets.adapters.history import Behind, History, Position
from billfold.wallets.adapters.history.cql import CqlHistory
from billfold.wallets.adapters.history.postgresql import JournalHistory
from billfold.wallets.contracts import HistoryRebuilt, HistorySource
from billfold.wallets.domain import Side
from billfold.wallets.service.ended_requests import PATIENCE_S, RequestCopies
from billfold.wallets.store import accounts as store
from billfold.wallets.store import departures

#: Accounts whose entries are copied at the same time when the copy is made anew.
AT_A_TIME = 8
#: Accounts that are looked up in one go.
ACCOUNTS_BLOCK = 400

READS = Counter(
    "billfold_history_reads",
    "Lists of transactions that were read while there is a copy, by where, and why not in the copy.",
    ["source", "reason"],
)

#: What was done, and how many accounts and requests there are.
Progress = Callable[[HistoryRebuilt, int], None]


class Reading:
    """The copy where it proves to be whole, and otherwise the journal."""

    def __init__(self, *, ledger: Ledger, copy: CqlHistory | None) -> None:
        self._journal: History = JournalHistory(ledger)
        self._copy = copy

    async def entries(
        self,
        *,
        sides: Sequence[Side],
        filter: EntryFilter,  # noqa: A002 - it is what the caller means
        after: Position | None,
        limit: int,
    ) -> tuple[list[Entry], HistorySource]:
        """See `History.entries`; and where they were read."""
        if self._copy is not None:
            try:
                found = await self._copy.entries(sides=sides, filter=filter, after=after, limit=limit)
            except (Behind, CqlUnavailable) as why:
                READS.labels("postgresql", str(why) if isinstance(why, Behind) else "unavailable").inc()
            else:
                READS.labels("cql", "").inc()
                return found, "cql"
        return await self._journal.entries(sides=sides, filter=filter, after=after, limit=limit), "postgresql"


class HistoryCopy:
    """What keeps the copy. Each step may be repeated, and done by several processes at the same time."""

    #: The events that it takes.
    TYPES = (ledger_events.POSTED, *events.REQUEST_ENDED, USER_CLOSED)

    def __init__(self, *, database: Database, ledger: Ledger, copy: CqlHistory) -> None:
        self._database = database
        self._ledger = ledger
        self._copy = copy
        self._requests = RequestCopies(database=database, tables=copy.tables, copy=copy.requests)

    async def take(self, taken: Sequence[Event]) -> None:
        """Copy the transfers and ended requests that these events tell of, and erase those of owners who have left.

        Raises:
            CqlUnavailable, DatabaseUnavailable: take them again.
            TransferNotPosted, RequestNotEnded, InvalidId: an event tells of what is not there.
        """
        await self._copy_transfers(_about(taken, ledger_events.POSTED))
        await self._requests.take(_about(taken, *events.REQUEST_ENDED))
        closed = _about(taken, USER_CLOSED)
        if closed:
            await self._erase(closed)

    async def rebuild(self, *, progress: Progress) -> HistoryRebuilt:
        """Make the copy anew from the ledger; meanwhile the ledger is read. Events that come meanwhile are not lost.

        Raises:
            CqlUnavailable: the server was away for too long; begin again.
            RebuildOvertaken: another one has begun.
        """
        mine = ids.new()
        await self._copy.tables.wait_until_up(PATIENCE_S)
        await self._copy.tables.begin_again(mine)
        async with self._database.connection() as connection:
            total = await store.count(connection) + await self._requests.count()
        done = await self._copy_accounts(lambda done: progress(done, total))
        requests = await self._requests.take_all(
            progress=lambda copied: progress(msgspec.structs.replace(done, requests=copied), total)
        )
        if not await self._copy.tables.complete(mine):
            raise errors.RebuildOvertaken
        return msgspec.structs.replace(done, requests=requests)

    async def _erase(self, closed: Sequence[UUID]) -> None:
        async with self._database.connection() as connection:
            left = await departures.left(connection, closed)
            accounts = await store.of_wallets(connection, wallet_ids=list(itertools.chain(*left.values())))
        for owner, wallets in left.items():
            for wallet in wallets:
                await self._copy.erase(wallet, until=await self._last_recorded(accounts[wallet].values()))
            await self._requests.erase(owner)

    async def _last_recorded(self, account_ids: Collection[UUID]) -> datetime | None:
        """When the ledger recorded the last entry of these accounts: its clock is not the one here."""
        found = await self._ledger.entries(account_ids=list(account_ids), filter=EntryFilter(), after=None, limit=1)
        return found[0].recorded_at if found else None

    async def _copy_accounts(self, progress: Callable[[HistoryRebuilt], None]) -> HistoryRebuilt:
        done = HistoryRebuilt(accounts=0, entries=0)
        after: tuple[UUID, str] | None = None
        while True:
            async with self._database.connection() as connection:
                block = await store.of_those_who_stay(connection, after=after, limit=ACCOUNTS_BLOCK)
            for start in range(0, len(block), AT_A_TIME):
                part = block[start : start + AT_A_TIME]
                copied = await asyncio.gather(*map(self._copy_account, part))
                done = HistoryRebuilt(accounts=done.accounts + len(part), entries=done.entries + sum(copied))
                progress(done)
            if len(block) < ACCOUNTS_BLOCK:
                return done
            after = block[-1].wallet_id, block[-1].asset

    async def _copy_transfers(self, transfer_ids: Sequence[UUID]) -> None:
        if not transfer_ids:
            return
        transfers = await self._ledger.transfers(transfer_ids=transfer_ids)
        if len(transfers) < len(set(transfer_ids)):
            raise errors.TransferNotPosted
        entries = [entry for transfer in transfers for entry in domain.entries(transfer)]
        async with self._database.connection() as connection:
            kept = await store.staying(connection, account_ids=list({entry.account for entry in entries}))
        await self._copy.write([(kept[entry.account], entry) for entry in entries if entry.account in kept])

    async def _copy_account(self, kept: store.Kept) -> int:
        period = ledger_contracts.EntryFilter(recorded_from=self._copy.tables.kept_since)
        copied = 0
        async for block in self._ledger.stream_entries(account_ids=[kept.account_id], filter=period):
            rows = [(kept.wallet_id, entry) for entry in block]
            try:
                await self._copy.write(rows)
            except CqlUnavailable:
                await self._copy.tables.wait_until_up(PATIENCE_S)
                await self._copy.write(rows)
            copied += len(block)
        return copied


def _about(taken: Sequence[Event], *types: str) -> list[UUID]:
    """What the events of these types are about.

    Raises:
        InvalidId
    """
    return [ids.parse(one.subject) for one in taken if one.type in types]
