"""`ledger verify`: balances and versions derived again from the entries and compared with what is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID

from billfold.ledger.contracts import Fault, Verification
from billfold.ledger.store import verification as store
from billfold.ledger.store.verification import Reread, Stretch
from billfold.platform.postgres.database import Database

Progress = Callable[[int, int], None]

#: Accounts looked up at once, and the entries that one statement may read of several small ones.
ACCOUNTS_PER_LOOK = 1_000
ENTRIES_PER_STATEMENT = 50_000
#: When more is wrong than this, the rest of the list helps nobody.
FAULTS_MAX = 1_000

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


async def verify(database: Database, progress: Progress | None) -> Verification:
    """Check I1, I2, I7 and I10 over the whole ledger while it goes on working; `progress` gets (entries done, of)."""
    async with database.connection() as connection:
        accounts, entries, holds = await store.totals(connection)
    faults: list[Fault] = []
    done = 0
    async for count, found in _accounts(database):
        done += count
        faults.extend(found)
        if progress is not None:
            progress(min(done, entries), entries)
        if len(faults) >= FAULTS_MAX:
            break
    faults.extend(await _whole(database))
    return Verification(accounts=accounts, transfers=entries // 2, holds=holds, faults=faults[:FAULTS_MAX])


async def _accounts(database: Database) -> AsyncIterator[tuple[int, list[Fault]]]:
    """Every account, in blocks of about ENTRIES_PER_STATEMENT: how many entries were read, and what is wrong."""
    last: UUID | None = None
    while True:
        async with database.connection() as connection:
            sizes = await store.sizes(connection, last, ACCOUNTS_PER_LOOK)
        if not sizes:
            return
        last = sizes[-1][0]
        for block in _blocks(sizes):
            async for found in _block(database, block):
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


async def _block(database: Database, accounts: list[UUID]) -> AsyncIterator[tuple[int, list[Fault]]]:
    """One block, in as many rounds as its longest account has pages."""
    stretches = [Stretch(account, _BEGINNING, 0, 0, 0) for account in accounts]
    while stretches:
        async with database.connection() as connection:
            reread = await store.reread(connection, stretches)
        faults = [fault for found in reread for fault in _faults(found)]
        yield sum(found.count for found in reread), faults
        stretches = [
            Stretch(found.account, found.last_recorded, found.version, found.balance, found.late)
            for found in reread
            if found.count == store.PAGE and found.last_recorded is not None
        ]


def _faults(found: Reread) -> Iterator[Fault]:
    if not found.versions_follow:
        yield Fault(invariant="I7", subject=found.account, detail="The versions of its entries have a gap or a repeat.")
    if not found.balances_follow:
        yield Fault(invariant="I2", subject=found.account, detail="An entry's balance is not the sum up to it.")
    if found.count == store.PAGE:
        return  # There is more to read before the row can be compared.
    if found.row_version != found.version:
        detail = f"It counts {found.row_version} entries and has {found.version}."
        yield Fault(invariant="I7", subject=found.account, detail=detail)
    if found.row_posted != found.balance:
        detail = f"Its balance is {found.row_posted} and its entries sum to {found.balance}."
        yield Fault(invariant="I2", subject=found.account, detail=detail)
    if found.row_held != found.holds_remaining:
        detail = f"It holds {found.row_held} and its active holds sum to {found.holds_remaining}."
        yield Fault(invariant="I10", subject=found.account, detail=detail)
    if not found.periods_least == found.periods_most == found.total_last == found.late:
        detail = f"Its back-dated entries sum to {found.late}, its periods and total do not."
        yield Fault(invariant="I2", subject=found.account, detail=detail)


async def _whole(database: Database) -> list[Fault]:
    """What can only be said of all accounts together; each statement is one snapshot."""
    async with database.connection() as connection:
        sums = await store.sums_by_asset(connection)
        below = await store.below_floor(connection, FAULTS_MAX)
        holds = await store.false_holds(connection, FAULTS_MAX)
    faults = [
        Fault(invariant="I1", subject=asset, detail=f"All balances together are {total}, not zero.")
        for asset, total in sums.items()
        if total
    ]
    faults += [
        Fault(invariant="I2", subject=account, detail=f"Its available balance {available} is below its floor {floor}.")
        for account, available, floor in below
    ]
    faults += [
        Fault(invariant="I10", subject=hold, detail=f"It says {settled} are settled; its settlements sum to {total}.")
        for hold, settled, total in holds
    ]
    return faults
