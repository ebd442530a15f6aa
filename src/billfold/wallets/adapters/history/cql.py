"""The history as a CQL server has it: a copy of the journal that events keep up, by wallet and month.

An account's versions have no gaps, so what is read shows by itself whether it is whole. What the ledger has posted and
the copy lacks yet is seen by the account's version, which is read first: so whoever has just paid sees it, from here or
from the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from billfold.kernel.clock import Clock
from billfold.ledger import Ledger
from billfold.ledger.contracts import Entry, EntryFilter
from billfold.platform import cql
from billfold.wallets.adapters.history import Behind, Position, scan, schema
from billfold.wallets.adapters.history.requests import CqlRequests
from billfold.wallets.adapters.history.scan import Chain, Range
from billfold.wallets.adapters.history.tables import READ_TIMEOUT_S, Tables
from billfold.wallets.domain import Side

#: Accounts of one list; each is read on its own. An owner who has more of them asks the journal, or names a wallet.
ACCOUNTS_MAX = 16
#: Rows that a rare filter may pass over in each account, before the journal's indexes are the better way.
SCANNED_MAX = 2_000
#: Rows in one answer when a filter is rare; a page is smaller.
BLOCK = 200
#: A period that ended so lately may still get entries that are being posted. The journal waits for them.
RECENT = timedelta(minutes=10)

#: An account's months, the newest first, with its last version in each.
_Months = list[tuple[int, int]]


class _Question(NamedTuple):
    wanted: EntryFilter
    after: Position | None
    limit: int


class CqlHistory:
    """The copy: read, written and erased."""

    def __init__(
        self, *, session: cql.Session, ledger: Ledger, keyspace: str, ttl_days: int | None, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self.tables = Tables(session=session, keyspace=keyspace, ttl_days=ttl_days, clock=clock)
        #: Not part of any list here, and kept beside them.
        self.requests = CqlRequests(self.tables)

    async def entries(
        self,
        *,
        sides: Sequence[Side],
        filter: EntryFilter,  # noqa: A002 - it is what the caller means
        after: Position | None,
        limit: int,
    ) -> list[Entry]:
        """See `History.entries`."""
        if len(sides) > ACCOUNTS_MAX:
            raise Behind("accounts")
        if not sides:
            return []
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                return await self._entries(sides, _Question(filter, after, limit))
        except TimeoutError:
            raise Behind("timeout") from None

    async def _entries(self, sides: Sequence[Side], question: _Question) -> list[Entry]:
        wanted = question.wanted
        if wanted.recorded_to is not None and self._clock.now() - RECENT < wanted.recorded_to:
            raise Behind("recent")
        # Before anything is read here: what is posted later may be missing, and nothing else.
        accounts = await self._ledger.accounts(ids=[side.account for side in sides])
        versions = {account.id: account.version for account in accounts}
        wallets = {UUID(side.wallet) for side in sides}
        _, found = await asyncio.gather(self.tables.check_complete(), asyncio.gather(*map(self._months, wallets)))
        months = {account: its for of_wallet in found for account, its in of_wallet.items()}
        await self._check_newest(versions, {account: its[0][1] for account, its in months.items()})
        parts = await asyncio.gather(
            *(self._of_account(side, months.get(side.account, []), versions[side.account], question) for side in sides)
        )
        merged = sorted((entry for part in parts for entry in part), key=scan.newest_first, reverse=True)
        return merged[: question.limit]

    async def _check_newest(self, versions: Mapping[UUID, int], copied: Mapping[UUID, int]) -> None:
        """Go on if the last version of each account is here, and no later one than there is.

        Raises:
            Behind: it lags; or it comes from a ledger that has been restored since to an earlier instant.
        """
        if any(version and copied.get(account, 0) < version for account, version in versions.items()):
            raise Behind("lag")
        newer = [account for account, version in versions.items() if copied.get(account, 0) > version]
        if newer and any(copied[one.id] > one.version for one in await self._ledger.accounts(ids=newer)):
            raise Behind("ahead")

    async def write(self, entries: Iterable[tuple[UUID, Entry]]) -> None:
        """Write entries with their wallets; those that are there are written again, which changes nothing.

        Raises:
            CqlUnavailable: perhaps some were written, perhaps all.
        """
        rows = []
        months: dict[tuple[UUID, int], tuple[UUID, UUID, int, int, int, int]] = {}
        for wallet, entry in entries:
            row = schema.row_of(wallet, entry)
            month, recorded_us = row[1], row[3]
            ttl_s = self.tables.ttl_left_s(recorded_us)
            if ttl_s is None:
                continue
            rows.append((*row, recorded_us, ttl_s))
            before = months.get((entry.account, month))
            if before is None or before[3] < entry.version:
                months[entry.account, month] = (wallet, entry.account, month, entry.version, recorded_us, ttl_s)
        await self.tables.execute_all(schema.INSERT, rows)
        # Last, for they tell that the entries are there.
        await self.tables.execute_all(schema.INSERT_MONTH, months.values())

    async def erase(self, wallet: UUID, *, until: datetime | None) -> None:
        """Erase all that is here of a wallet with its last entry `until` then, if it has any.

        What was recorded by then, or before now, can't come back, whichever event comes late.

        Raises:
            CqlUnavailable: do it again.
        """
        erased_us = self.tables.erased_us(until)
        months = {month for its in (await self._months(wallet)).values() for month, _ in its}
        erased = [(erased_us, wallet, month) for month in months]
        await self.tables.execute_all(schema.ERASE, erased)
        # Last, for it is by them that the others are found when this ends halfway.
        await self.tables.execute(schema.ERASE_MONTHS, erased_us, wallet)

    async def _months(self, wallet: UUID) -> dict[UUID, _Months]:
        months: dict[UUID, _Months] = {}
        for account, month, version in await self.tables.execute(schema.SELECT_MONTHS, wallet):
            months.setdefault(account, []).append((month, version))
        return months

    async def _of_account(self, side: Side, months: _Months, version: int, question: _Question) -> list[Entry]:
        """The account's part of an answer: more than belongs to it in the end, and never less."""
        within = scan.wanted(side.account, question.wanted, question.after)
        newer = older = None
        if within.needs_newer:
            above = [month for month, _ in reversed(months) if month >= schema.month_of(within.newest_us)]
            newer = await self._beside(schema.SELECT_NEWER, side, above, within.newest_us)
        chain = Chain(within, version=version, newer=newer)
        selected = await self._scan(side, months, within, chain, question)
        if len(selected) == question.limit:
            return selected
        if not (chain.is_at_the_first or within.ends_at_the_first):
            below = [month for month, _ in months if month <= schema.month_of(within.oldest_us)]
            older = await self._beside(schema.SELECT_OLDER, side, below, within.oldest_us)
        ttl_days = self.tables.ttl_days
        chain.end(older=older, horizon_us=schema.horizon_us(self.tables.now_us, ttl_days) if ttl_days else None)
        return selected

    async def _scan(self, side: Side, months: _Months, within: Range, chain: Chain, question: _Question) -> list[Entry]:
        """What the question selects of the rows in the range, until there is enough of it."""
        wanted, _, limit = question
        selected: list[Entry] = []
        scanned = 0
        block = BLOCK if scan.passes_over(wanted) else limit + 1
        bottom, top = schema.month_of(within.oldest_us), schema.month_of(within.newest_us)
        for month in (one for one, _ in months if bottom <= one <= top):
            async for rows in self._blocks(side, month, within, block):
                for row in rows:
                    entry = schema.entry_of(side.account, row)
                    if chain.add(entry) and scan.selects(wanted, entry):
                        selected.append(entry)
                        if len(selected) == limit:
                            return selected
                scanned += len(rows)
                if scanned > SCANNED_MAX:
                    raise Behind("filter")
        return selected

    async def _blocks(self, side: Side, month: int, within: Range, size: int) -> AsyncIterator[list[tuple[Any, ...]]]:
        """The rows of a month in the range, the newest first."""
        newest_us = within.newest_us
        while True:
            rows = await self.tables.execute(
                schema.SELECT, UUID(side.wallet), month, side.account, newest_us, within.oldest_us, size
            )
            yield rows
            if len(rows) < size:
                return
            newest_us = rows[-1][0] - 1

    async def _beside(self, statement: str, side: Side, months: Sequence[int], us: int) -> int | None:
        """The version of the nearest row beyond an instant; months with rows are looked into, the nearest first."""
        for month in months:
            rows = await self.tables.execute(statement, UUID(side.wallet), month, side.account, us)
            if rows:
                version: int = rows[0][0]
                return version
        return None
