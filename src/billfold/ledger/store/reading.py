"""Balances now and at any instant, entries, summaries, transfers and holds. Nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from billfold.kernel import clock as instants_of
from billfold.ledger.contracts import Entry, EntryFilter, EntrySummary, Hold, HoldStatus
from billfold.ledger.domain import backdating
from billfold.ledger.store import rows
from billfold.platform.postgres.database import Connection

#: Entries are streamed in blocks of this size, so that memory does not grow with the statement.
STREAM_BLOCK = 2_000

# One seek on each side; the later of the two is the last entry at the instant.
_RECORDED = """
coalesce((
    SELECT balance FROM (
        (SELECT recorded_at, debit_balance AS balance FROM ledger.transfers
         WHERE debit_account = wanted.account_id AND recorded_at <= wanted.at ORDER BY recorded_at DESC LIMIT 1)
        UNION ALL
        (SELECT recorded_at, credit_balance FROM ledger.transfers
         WHERE credit_account = wanted.account_id AND recorded_at <= wanted.at ORDER BY recorded_at DESC LIMIT 1)
    ) AS last ORDER BY recorded_at DESC LIMIT 1
), 0)
"""

# Every point brings its own ranges along: to look them up would take the square of the number of points.
_SPANS = ", ".join(f"({shift}, wanted.first_{shift}, wanted.end_{shift})" for shift in backdating.SHIFTS)
_SPAN_COLUMNS = ", ".join(f"first_{shift}, end_{shift}" for shift in backdating.SHIFTS)
_SPAN_ARRAYS = ", ".join(f"${number}::bigint[]" for number in range(3, 3 + 2 * len(backdating.SHIFTS)))

# Recorded by then, less what of it was back-dated, plus all that is back-dated to before then.
_EFFECTIVE = f"""
SELECT {_RECORDED} - coalesce((
    SELECT total FROM ledger.backdated_totals AS late
    WHERE late.account_id = wanted.account_id AND late.recorded_at <= wanted.at ORDER BY late.recorded_at DESC LIMIT 1
), 0) + coalesce((
    SELECT sum(part.amount) FROM (VALUES {_SPANS}) AS span (shift, first_bucket, end_bucket), LATERAL (
        SELECT sum(period.amount) AS amount FROM ledger.backdated_periods AS period
        WHERE period.account_id = wanted.account_id AND period.shift = span.shift
          AND period.bucket >= span.first_bucket AND period.bucket < span.end_bucket
    ) AS part
), 0) AS posted
FROM unnest($1::uuid[], $2::timestamptz[], {_SPAN_ARRAYS}) WITH ORDINALITY
    AS wanted (account_id, at, {_SPAN_COLUMNS}, place)
ORDER BY place
"""


async def clock(connection: Connection) -> datetime:
    """The database's clock: the one that entries are recorded by."""
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return now


async def wait_for_postings(connection: Connection, ids: Sequence[UUID]) -> None:
    """Wait until no posting to these accounts that is in flight now is in flight any more.

    Whoever locks them afterwards reads a later clock, so what is then read about an instant before stays true (I15).
    So the locks need not be kept: in a transaction of its own, this holds up nobody.
    """
    await connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM ledger.accounts WHERE id = ANY($1) ORDER BY id FOR SHARE) AS waited",
        list(set(ids)),
    )


async def recorded(connection: Connection, points: Sequence[tuple[UUID, datetime]]) -> list[int]:
    """The posted balance of each (account, instant), as recorded by then."""
    found = await connection.fetch(
        f"""
        SELECT {_RECORDED} AS posted
        FROM unnest($1::uuid[], $2::timestamptz[]) WITH ORDINALITY AS wanted (account_id, at, place) ORDER BY place
        """,
        [account for account, _ in points],
        [at for _, at in points],
    )
    return [row["posted"] for row in found]


async def effective(connection: Connection, points: Sequence[tuple[UUID, datetime]]) -> list[int]:
    """The posted balance of each (account, instant), counting each entry from its effective_at on."""
    ranges = [backdating.ranges(instants_of.microseconds(at)) for _, at in points]
    columns: list[list[int]] = []
    for spans in zip(*ranges, strict=True):
        columns += ([span.first for span in spans], [span.end for span in spans])
    found = await connection.fetch(_EFFECTIVE, [account for account, _ in points], [at for _, at in points], *columns)
    return [row["posted"] for row in found]


def conditions(wanted: EntryFilter, arguments: list[Any]) -> str:
    """SQL that narrows `entry` to `wanted`; its arguments are added to `arguments`."""
    parts: list[str] = []

    def add(condition: str, value: Any) -> None:
        if value is not None:
            arguments.append(value)
            parts.append(condition.format(f"${len(arguments)}"))

    add("entry.recorded_at >= {}", wanted.recorded_from)
    add("entry.recorded_at < {}", wanted.recorded_to)
    add("entry.kind::text = ANY({})", sorted(wanted.kinds) if wanted.kinds is not None else None)
    add("entry.reference = {}", wanted.reference)
    add("entry.asset = {}", wanted.asset)
    add("abs(entry.amount) >= {}", wanted.amount_min)
    add("abs(entry.amount) <= {}", wanted.amount_max)
    if wanted.direction is not None:
        parts.append("entry.amount > 0" if wanted.direction == "in" else "entry.amount < 0")
    return "".join(f" AND {part}" for part in parts)


async def entries(
    connection: Connection,
    account_ids: Sequence[UUID],
    wanted: EntryFilter,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Entry]:
    """Entries of the accounts, newest first, from behind the entry (recorded_at, account) on."""
    arguments: list[Any] = [account_ids, limit]
    narrowed = conditions(wanted, arguments)
    if after is not None:
        arguments.extend(after)
        place = len(arguments)
        narrowed += (
            f" AND entry.recorded_at <= ${place - 1} AND (entry.recorded_at, entry.account) < (${place - 1}, ${place})"
        )
    found = await connection.fetch(
        f"""
        SELECT {rows.ENTRY} FROM unnest($1::uuid[]) AS wanted (account_id), LATERAL (
            SELECT * FROM ledger.entries AS entry
            WHERE entry.account = wanted.account_id{narrowed} ORDER BY entry.recorded_at DESC LIMIT $2
        ) AS newest
        ORDER BY recorded_at DESC, account DESC LIMIT $2
        """,
        *arguments,
    )
    return [rows.entry(row) for row in found]


async def block(
    connection: Connection, account_ids: Sequence[UUID], wanted: EntryFilter, *, after: tuple[datetime, UUID] | None
) -> list[Entry]:
    """The next STREAM_BLOCK entries of the accounts, oldest first, from behind the entry (recorded_at, account) on."""
    arguments: list[Any] = [account_ids, STREAM_BLOCK]
    narrowed = conditions(wanted, arguments)
    if after is not None:
        arguments.extend(after)
        place = len(arguments)
        narrowed += (
            f" AND entry.recorded_at >= ${place - 1} AND (entry.recorded_at, entry.account) > (${place - 1}, ${place})"
        )
    found = await connection.fetch(
        f"""
        SELECT {rows.ENTRY} FROM unnest($1::uuid[]) AS wanted (account_id), LATERAL (
            SELECT * FROM ledger.entries AS entry
            WHERE entry.account = wanted.account_id{narrowed} ORDER BY entry.recorded_at LIMIT $2
        ) AS oldest
        ORDER BY recorded_at, account LIMIT $2
        """,
        *arguments,
    )
    return [rows.entry(row) for row in found]


async def summary(connection: Connection, account_ids: Sequence[UUID], wanted: EntryFilter) -> EntrySummary:
    """Count and sums of the entries that `wanted` selects."""
    arguments: list[Any] = [account_ids]
    narrowed = conditions(wanted, arguments)
    row = await connection.fetchrow(
        f"""
        SELECT count(*), coalesce(sum(amount) FILTER (WHERE amount > 0), 0),
               coalesce(-sum(amount) FILTER (WHERE amount < 0), 0)
        FROM ledger.entries AS entry WHERE entry.account = ANY($1){narrowed}
        """,
        *arguments,
    )
    assert row is not None, "an aggregate always has a row"
    return EntrySummary(count=row[0], credited=row[1], debited=row[2])


async def holds(
    connection: Connection,
    account_ids: Sequence[UUID],
    *,
    status: HoldStatus | None,
    after: UUID | None,
    limit: int,
) -> list[Hold]:
    """Holds of the accounts, newest first, from behind the hold `after` on."""
    found = await connection.fetch(
        f"""
        SELECT {rows.HOLD} FROM ledger.holds
        WHERE account_id = ANY($1) AND ($2::text IS NULL OR status::text = $2) AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,
        account_ids,
        status,
        after,
        limit,
    )
    return [rows.hold(row) for row in found]


def instants(since: datetime, until: datetime, step: timedelta) -> list[datetime]:
    """since, since + step, …, and until."""
    count = (until - since) // step
    found = [since + step * number for number in range(count + 1)]
    return found if found[-1] == until else [*found, until]
