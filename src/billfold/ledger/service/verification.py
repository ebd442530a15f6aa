"""`ledger verify`: balances and versions derived again from the entries and compared with what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

from billfold.kernel import clock
from billfold.ledger.contracts import Fault, Verification
from billfold.ledger.store import guards
from billfold.ledger.store import verification as store
from billfold.ledger.store.verification import Reread, Stretch
from billfold.platform.postgres.database import Connection, Database

Progress = Callable[[int, int], None]
_T = TypeVar("_T")

#: Accounts looked up at once, and the entries that one statement may read of several small ones.
ACCOUNTS_PER_LOOK = 1_000
ENTRIES_PER_STATEMENT = 50_000
#: When more is wrong than this, the rest of the list helps nobody.
FAULTS_MAX = 1_000

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


class _Paced:
    """A database that is looked at for `share` of the time at most: each look is followed by a rest in proportion."""

    def __init__(self, database: Database, share: float) -> None:
        assert 0 < share <= 1, "it is a part of the time"
        self._database = database
        self._share = share

    async def look(self, read: Callable[[Connection], Awaitable[_T]], *, at_all: bool = False) -> _T:
        """What `read` finds; `at_all` in one statement takes its time, and one core unless all of the time is ours."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with self._database.transaction() as connection:
            if at_all:
                await store.take_time(connection, parallel=self._share == 1)
            found = await read(connection)
        await asyncio.sleep((loop.time() - began) * (1 / self._share - 1))
        return found


async def verify(database: Database, progress: Progress | None, *, share: float = 1) -> Verification:
    """Check I1, I2, I4, I7, I10, I11 and I15 over the whole ledger while it works; `progress` gets (entries done, of).

    docs/why/reliability.md says which part of each shows here, and what shows the others. PostgreSQL is kept at work
    for `share` of the time.
    """
    paced = _Paced(database, share)
    accounts, entries, holds = await paced.look(store.totals)
    faults: list[Fault] = []
    done = 0
    async for count, found in _accounts(paced):
        done += count
        faults.extend(found)
        if progress is not None:
            progress(min(done, entries), entries)
        if len(faults) >= FAULTS_MAX:
            break
    faults += await _answers(paced)
    faults += await _guards(paced)
    transfers, whole = await _whole(paced)
    faults.extend(whole)
    return Verification(accounts=accounts, transfers=transfers, holds=holds, faults=faults[:FAULTS_MAX])


async def _accounts(paced: _Paced) -> AsyncIterator[tuple[int, list[Fault]]]:
    """Every account, in blocks of about ENTRIES_PER_STATEMENT: how many entries were read, and what is wrong."""
    last: UUID | None = None
    while True:
        sizes = await paced.look(partial(store.sizes, after=last, limit=ACCOUNTS_PER_LOOK))
        if not sizes:
            return
        last = sizes[-1][0]
        for block in _blocks(sizes):
            async for found in _block(paced, block):
                yield found


def _blocks(sizes: list[tuple[UUID, int]]) -> Iterator[list[UUID]]:
    block: list[UUID] = []
    size = 0
    for account, entries in sizes:
        if block and size + entries > ENTRIES_PER_STATEMENT:
            yield block
            block, size = [], 0
        block.append(account)
        size += entries
    yield block


async def _block(paced: _Paced, accounts: list[UUID]) -> AsyncIterator[tuple[int, list[Fault]]]:
    """One block, in as many rounds as its longest account has pages."""
    stretches = [Stretch(account, _BEGINNING, 0, 0, 0, 0, 0) for account in accounts]
    while stretches:
        reread = await paced.look(partial(store.reread, stretches=stretches))
        faults = [fault for found in reread for fault in _faults(found)]
        yield sum(found.count for found in reread), faults
        stretches = [found.following for found in reread if found.count == store.PAGE]


def _faults(found: Reread) -> Iterator[Fault]:
    if not found.versions_follow:
        yield Fault(invariant="I7", subject=found.account, detail="The versions of its entries have a gap or a repeat.")
    if not found.balances_follow:
        yield Fault(invariant="I2", subject=found.account, detail="An entry's balance is not the sum up to it.")
    if not found.totals_follow:
        detail = "The running total of its back-dated entries is not their sum."
        yield Fault(invariant="I15", subject=found.account, detail=detail)
    if not found.assets_agree:
        yield Fault(invariant="I1", subject=found.account, detail="An entry is in another asset than the account.")
    if not found.links_there:
        detail = "A reversal or settlement among its entries does not say of what."
        yield Fault(invariant="I11", subject=found.account, detail=detail)
    if found.count < store.PAGE:  # Otherwise there is more to read before the row can be compared.
        yield from _row_faults(found)


def _row_faults(found: Reread) -> Iterator[Fault]:
    if found.row_version != found.version:
        detail = f"It counts {found.row_version} entries and has {found.version}."
        yield Fault(invariant="I7", subject=found.account, detail=detail)
    elif found.version and found.row_recorded_us != clock.microseconds(found.last_recorded):
        detail = "The time of its last entry is not what the account remembers."
        yield Fault(invariant="I7", subject=found.account, detail=detail)
    if found.row_posted != found.balance:
        detail = f"Its balance is {found.row_posted} and its entries sum to {found.balance}."
        yield Fault(invariant="I2", subject=found.account, detail=detail)
    if found.row_held != found.holds_remaining:
        detail = f"It holds {found.row_held} and its active holds sum to {found.holds_remaining}."
        yield Fault(invariant="I10", subject=found.account, detail=detail)
    if found.periods_mark != found.late_mark:
        detail = "Its back-dated entries and their sums by period differ."
        yield Fault(invariant="I15", subject=found.account, detail=detail)
    if found.totals_count != found.late_count:
        detail = f"It has {found.late_count} back-dated entries and {found.totals_count} running totals."
        yield Fault(invariant="I15", subject=found.account, detail=detail)


async def _answers(paced: _Paced) -> list[Fault]:
    """What is wrong with the answers of keys. Two of one transfer are found if they were given about the same time."""
    false: dict[UUID, bool] = {}
    for page in range(0, await paced.look(guards.answer_pages), guards.PAGES_PER_LOOK):
        false.update(await paced.look(partial(guards.false_answers, page=page, limit=FAULTS_MAX)))
        if len(false) >= FAULTS_MAX:
            break
    whys = {True: "another key has the same answer", False: "it is not there"}
    return [
        Fault(invariant="I4", subject=digest, detail=f"A transfer is this key's answer, and {whys[there]}.")
        for digest, there in false.items()
    ]


async def _guards(paced: _Paced) -> list[Fault]:
    """What no longer keeps the journal from being changed."""
    faults = []
    for table, unguarded, changeable in await paced.look(guards.unguarded):
        if unguarded:
            detail = "The trigger that refuses to change or delete its rows is gone, or switched off."
            faults.append(Fault(invariant="I11", subject=table, detail=detail))
        if changeable:
            detail = "The role billfold_app may change or delete its rows."
            faults.append(Fault(invariant="I11", subject=table, detail=detail))
    return faults


async def _whole(paced: _Paced) -> tuple[int, list[Fault]]:
    """The number of transfers, and what can only be said of everything together; each statement is one snapshot."""
    transfers, counted = await paced.look(store.entries_counted, at_all=True)
    sums = await paced.look(store.sums_by_asset, at_all=True)
    below = await paced.look(partial(store.below_floor, limit=FAULTS_MAX), at_all=True)
    holds = await paced.look(partial(store.false_holds, limit=FAULTS_MAX), at_all=True)
    links = await paced.look(partial(store.false_links, limit=FAULTS_MAX), at_all=True)
    reversed_ = await paced.look(partial(store.over_reversed, limit=FAULTS_MAX), at_all=True)
    faults = [
        Fault(invariant="I1", subject=asset, detail=f"All balances together are {total}, not zero.")
        for asset, total in sums.items()
        if total
    ]
    if counted != 2 * transfers:
        detail = f"The {transfers} transfers have two entries each, and the accounts count {counted}."
        faults.append(Fault(invariant="I1", subject="transfers", detail=detail))
    faults += [
        Fault(invariant="I2", subject=account, detail=f"Its available balance {available} is below its floor {floor}.")
        for account, available, floor in below
    ]
    faults += [
        Fault(invariant="I10", subject=hold, detail=f"It says {settled} are settled; its settlements sum to {total}.")
        for hold, settled, total in holds
    ]
    faults += [
        Fault(invariant="I11", subject=transfer, detail=f"It is no {relation} of what it says it is.")
        for transfer, relation in links
    ]
    faults += [
        Fault(invariant="I11", subject=transfer, detail=f"Its amount is {amount}, and {total} of it was reversed.")
        for transfer, amount, total in reversed_
    ]
    return transfers, faults
