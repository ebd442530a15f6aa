"""What is read of all user accounts at once: entries, their sums and holds. No list of accounts is needed for that.

Entries are ordered by the ids of their transfers, so that the journal's primary key gives them in order and a page
reads no more of the journal than it tells of. Ids are made when a batch has its locks, so their order is that of
recording, up to the difference between the clocks of the processes that post.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from billfold.kernel import clock, ids
from billfold.ledger.contracts import Entry, EntryFilter, EntrySummary, Hold, HoldStatus
from billfold.ledger.store import reading, rows
from billfold.platform.postgres.database import Connection

#: An id is made by the clock of the process, recorded_at by the database's. They differ by less, whatever is wrong.
CLOCKS_APART_MAX = timedelta(days=1)
#: A batch is in flight for milliseconds.
_POLL_S = 0.005

# A subquery for each row, and not a join, so that the order of the primary key is kept. The comparison stands inside:
# so the planner takes half of the entries to be users', outside of it one in 200, and would rather sort the journal.
_OF_USERS = "(SELECT account.kind = 'user' FROM ledger.accounts AS account WHERE account.id = entry.account)"

_POSTING = """
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE relation = 'ledger.accounts'::regclass AND mode = ANY('{RowShareLock,RowExclusiveLock}') AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def wait_for_postings(connection: Connection) -> None:
    """Wait until whatever is being posted now to any account has ended, without a lock that would hold others up.

    A batch locks account rows before it reads the clock, so what is seen here is all that may be recorded before now.
    """
    in_flight = await _posting(connection)
    while in_flight:
        await asyncio.sleep(_POLL_S)
        in_flight &= await _posting(connection)


async def _posting(connection: Connection) -> set[str]:
    return {row[0] for row in await connection.fetch(_POSTING)}


async def entries(
    connection: Connection, wanted: EntryFilter, *, after: tuple[UUID, UUID] | None, limit: int
) -> list[Entry]:
    """Entries of all user accounts, newest first, from behind the entry (transfer, account) on."""
    arguments: list[Any] = [limit]
    narrowed = _narrowed(wanted, arguments)
    if after is not None:
        arguments.extend(after)
        place = len(arguments)
        narrowed += (
            f" AND entry.transfer_id <= ${place - 1} AND (entry.transfer_id, entry.account) < (${place - 1}, ${place})"
        )
    found = await connection.fetch(
        f"""
        SELECT {rows.ENTRY} FROM ledger.entries AS entry WHERE {_OF_USERS}{narrowed}
        ORDER BY transfer_id DESC, account DESC LIMIT $1
        """,
        *arguments,
    )
    return [rows.entry(row) for row in found]


async def summaries(connection: Connection, wanted: EntryFilter) -> dict[str, EntrySummary]:
    """Count and sums of the entries of all user accounts that `wanted` selects, for each asset that has any."""
    arguments: list[Any] = []
    narrowed = _narrowed(wanted, arguments)
    found = await connection.fetch(
        f"""
        SELECT asset, count(*), coalesce(sum(amount) FILTER (WHERE amount > 0), 0),
               coalesce(-sum(amount) FILTER (WHERE amount < 0), 0)
        FROM ledger.entries AS entry WHERE {_OF_USERS}{narrowed} GROUP BY asset
        """,
        *arguments,
    )
    return {row[0]: EntrySummary(count=row[1], credited=row[2], debited=row[3]) for row in found}


async def holds(connection: Connection, *, status: HoldStatus | None, after: UUID | None, limit: int) -> list[Hold]:
    """Holds of all accounts, newest first, from behind the hold `after` on."""
    # Only what is asked for is written down: a plan for "or is NULL" expects next to nothing, and sorts everything.
    given = {"status = ${}::text::ledger.hold_status": status, "id < ${}": after}
    wanted = {test: value for test, value in given.items() if value is not None}
    where = " AND ".join(test.format(place) for place, test in enumerate(wanted, start=2)) or "true"
    found = await connection.fetch(
        f"SELECT {rows.HOLD} FROM ledger.holds WHERE {where} ORDER BY id DESC LIMIT $1", limit, *wanted.values()
    )
    return [rows.hold(row) for row in found]


def _narrowed(wanted: EntryFilter, arguments: list[Any]) -> str:
    """The conditions of `wanted`; a period is told to the primary key as well, by the ids that can belong to it."""
    narrowed = reading.conditions(wanted, arguments)
    for sign, at, apart in (
        (">=", wanted.recorded_from, -CLOCKS_APART_MAX),
        ("<", wanted.recorded_to, CLOCKS_APART_MAX),
    ):
        if at is not None:
            arguments.append(_id_at(at, apart))
            narrowed += f" AND entry.transfer_id {sign} ${len(arguments)}"
    return narrowed


def _id_at(at: datetime, apart: timedelta) -> UUID:
    return ids.floor_of(max(0, clock.microseconds(at) // 1_000 + apart // timedelta(milliseconds=1)))
