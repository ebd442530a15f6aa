"""`ledger verify`: balances and versions derived again from the entries and compared with what is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID

from billfold.kernel import clock
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
    """Check I1, I2, I7, I10, I11 and I15 over the whole ledger while it works; `progress` gets (entries done, of).

    What I15 rests on are the sums of back-dated money; of I11, what links say.
    """
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
    transfers, whole = await _whole(database)
    faults.extend(whole)
    return Verification(accounts=accounts, transfers=transfers, holds=holds, faults=faults[:FAULTS_MAX])


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
    stretches = [Stretch(account, _BEGINNING, 0, 0, 0, 0, 0) for account in accounts]
    while stretches:
        async with database.connection() as connection:
            reread = await store.reread(connection, stretches)
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


async def _whole(database: Database) -> tuple[int, list[Fault]]:
    """The number of transfers, and what can only be said of everything together; each statement is one snapshot."""
    async with database.transaction() as connection:
        await store.take_time(connection)
        transfers, counted = await store.entries_counted(connection)
        sums = await store.sums_by_asset(connection)
        below = await store.below_floor(connection, FAULTS_MAX)
        holds = await store.false_holds(connection, FAULTS_MAX)
        links = await store.false_links(connection, FAULTS_MAX)
        reversed_ = await store.over_reversed(connection, FAULTS_MAX)
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
