"""Reading the journal again from its entries, in blocks, to hold balances against it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from billfold.platform.postgres.database import Connection

#: Entries of one account that one statement reads: a second's work at most.
PAGE = 100_000


class Stretch(msgspec.Struct, frozen=True):
    """Where to go on in an account's entries: behind `after`, at `version`, with `balance` and `late` so far."""

    account: UUID
    after: datetime
    version: int
    balance: int
    late: int


class Reread(msgspec.Struct, frozen=True):
    """A stretch of an account's entries read again, and the account's row in the same snapshot."""

    account: UUID
    #: Entries read in this stretch.
    count: int
    #: Whether every version and balance follows from the one before.
    versions_follow: bool
    balances_follow: bool
    #: State after the stretch, by the entries.
    last_recorded: datetime | None
    version: int
    balance: int
    late: int
    #: The account's row.
    row_version: int
    row_posted: int
    row_held: int
    holds_remaining: int
    #: The least and the greatest sum of back-dated money over all period widths, and the running total's last.
    periods_least: int
    periods_most: int
    total_last: int


# Ordered by recorded_at, an entry's rank must be its version and the running sum its balance: that no version is
# missing or repeated, that time never goes back along versions, and that nothing was changed, follow from these two.
_REREAD = """
SELECT stretch.account, read.count, read.versions_follow, read.balances_follow, read.last_recorded,
       stretch.version + read.count, stretch.balance + read.amount, stretch.late + read.late,
       account.version, account.posted, account.held,
       (SELECT coalesce(sum(amount - settled), 0) FROM ledger.holds
        WHERE account_id = stretch.account AND status = 'active'),
       periods.least, periods.most,
       coalesce((SELECT total FROM ledger.backdated_totals AS late WHERE late.account_id = stretch.account
                 ORDER BY recorded_at DESC LIMIT 1), 0)
FROM unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::numeric[], $5::numeric[])
    AS stretch (account, after, version, balance, late)
JOIN ledger.accounts AS account ON account.id = stretch.account,
LATERAL (
    SELECT count(*) AS count, coalesce(bool_and(version = stretch.version + rank), true) AS versions_follow,
           coalesce(bool_and(balance = stretch.balance + running), true) AS balances_follow,
           max(recorded_at) AS last_recorded, coalesce(sum(amount), 0) AS amount,
           coalesce(sum(amount) FILTER (WHERE effective_at < recorded_at), 0) AS late
    FROM (
        SELECT version, balance, amount, recorded_at, effective_at,
               row_number() OVER in_time AS rank, sum(amount) OVER in_time AS running
        FROM (
            SELECT * FROM ledger.entries AS entry
            WHERE entry.account = stretch.account AND entry.recorded_at > stretch.after
            ORDER BY entry.recorded_at LIMIT $6
        ) AS page
        WINDOW in_time AS (ORDER BY recorded_at ROWS UNBOUNDED PRECEDING)
    ) AS numbered
) AS read,
LATERAL (
    SELECT coalesce(min(amount), 0) AS least, coalesce(max(amount), 0) AS most FROM (
        SELECT sum(amount) AS amount FROM ledger.backdated_periods
        WHERE account_id = stretch.account GROUP BY shift
    ) AS widths
) AS periods
"""


async def reread(connection: Connection, stretches: Sequence[Stretch]) -> list[Reread]:
    """Read the next PAGE entries of each stretch."""
    columns: list[list[Any]] = [
        list(column) for column in zip(*(msgspec.structs.astuple(stretch) for stretch in stretches), strict=True)
    ]
    found = await connection.fetch(_REREAD, *columns, PAGE)
    return [Reread(*row) for row in found]


async def sizes(connection: Connection, after: UUID | None, limit: int) -> list[tuple[UUID, int]]:
    """The next accounts in the order of their ids, with how many entries each has."""
    found = await connection.fetch(
        "SELECT id, version FROM ledger.accounts WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2", after, limit
    )
    return [(row["id"], row["version"]) for row in found]


async def totals(connection: Connection) -> tuple[int, int, int]:
    """How many accounts, entries and holds there are."""
    row = await connection.fetchrow(
        "SELECT count(*), coalesce(sum(version), 0)::bigint, (SELECT count(*) FROM ledger.holds) FROM ledger.accounts"
    )
    assert row is not None, "an aggregate always has a row"
    return row[0], row[1], row[2]


async def sums_by_asset(connection: Connection) -> dict[str, int]:
    """The sum of all balances of each asset."""
    found = await connection.fetch("SELECT asset, sum(posted) FROM ledger.accounts GROUP BY asset")
    return {asset: int(total) for asset, total in found}


async def below_floor(connection: Connection, limit: int) -> list[tuple[UUID, int, int]]:
    """Accounts whose available balance is below their floor, with both."""
    found = await connection.fetch(
        "SELECT id, posted - held, floor FROM ledger.accounts WHERE posted - held < floor LIMIT $1", limit
    )
    return [(row[0], int(row[1]), int(row[2])) for row in found]


async def false_holds(connection: Connection, limit: int) -> list[tuple[UUID, int, int]]:
    """Holds whose settled amount is not the sum of their settlements, with both."""
    found = await connection.fetch(
        """
        SELECT hold.id, hold.settled, coalesce(sum(transfer.amount), 0)
        FROM ledger.holds AS hold
        LEFT JOIN ledger.links AS link ON link.target = hold.id AND link.relation = 'settlement'
        LEFT JOIN ledger.transfers AS transfer ON transfer.id = link.transfer_id
        GROUP BY hold.id
        HAVING hold.settled <> coalesce(sum(transfer.amount), 0)
            OR (hold.status = 'active' AND hold.settled = hold.amount)
        LIMIT $1
        """,
        limit,
    )
    return [(row[0], int(row[1]), int(row[2])) for row in found]
