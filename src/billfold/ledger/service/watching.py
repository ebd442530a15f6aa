"""Accounts that are followed. One look at all of them together, again and again, wakes those whose account has changed.

What a reader has not taken stands in the journal and nowhere else, so a slow one costs no memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

from billfold.kernel.errors import Unavailable
from billfold.ledger import errors
from billfold.ledger.contracts import Account, Entry, EntryFilter, Watched
from billfold.ledger.store import accounts as account_store
from billfold.ledger.store import reading
from billfold.platform.postgres.database import Database

#: A look is one index seek for each account; people do not notice less.
LOOK_S = 0.1
WATCHERS_MAX = 2_000


class _Watcher:
    """Somebody who follows an account: woken by a change, or by what keeps us from looking."""

    def __init__(self, account_id: UUID) -> None:
        self.account_id = account_id
        self.woken = asyncio.Event()
        self.seen: Account | None = None
        self.failure: Unavailable | None = None


class Watching:
    """Everybody who follows an account in this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers: set[_Watcher] = set()
        self._looking: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def watch(self, account_id: UUID, after: datetime | None) -> AsyncIterator[Watched]:
        """See Ledger.watch."""
        if len(self._watchers) >= WATCHERS_MAX:
            raise errors.Overloaded("Too many accounts are being watched; try again later, or at another server.")
        watcher = _Watcher(account_id)
        self._watchers.add(watcher)
        try:
            last = after if after is not None else await self._newest(account_id)
            while True:
                watcher.woken.clear()
                account, entries = await self._read(account_id, last)
                watcher.seen = account
                if entries:
                    last = entries[-1].recorded_at
                yield Watched(account=account, entries=entries)
                if len(entries) < reading.STREAM_BLOCK:
                    self._look_again()
                    await watcher.woken.wait()
                    if watcher.failure is not None:
                        raise watcher.failure
        finally:
            self._watchers.discard(watcher)

    async def _newest(self, account_id: UUID) -> datetime | None:
        async with self._database.connection() as connection:
            newest = await reading.entries(connection, [account_id], EntryFilter(), after=None, limit=1)
        return newest[0].recorded_at if newest else None

    async def _read(self, account_id: UUID, last: datetime | None) -> tuple[Account, list[Entry]]:
        """The account, and its entries from behind `last` on up to that state of it."""
        after = None if last is None else (last, account_id)
        async with self._database.connection() as connection:
            found = await account_store.accounts(connection, [account_id])
            if not found:
                raise errors.AccountUnknown
            entries = await reading.block(connection, [account_id], EntryFilter(), after=after)
        return found[0], [entry for entry in entries if entry.version <= found[0].version]

    def _look_again(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="watch accounts")

    async def _look(self) -> None:
        """Until nobody watches any more."""
        while self._watchers:
            await asyncio.sleep(LOOK_S)
            waiting = [watcher for watcher in self._watchers if not watcher.woken.is_set()]
            try:
                async with self._database.connection() as connection:
                    ids = list({watcher.account_id for watcher in waiting})
                    found = {account.id: account for account in await account_store.accounts(connection, ids)}
            except Unavailable as error:
                for watcher in waiting:
                    watcher.failure = error
                    watcher.woken.set()
                return
            for watcher in waiting:
                if found.get(watcher.account_id) != watcher.seen:
                    watcher.woken.set()
