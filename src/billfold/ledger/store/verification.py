"""Reading the journal again from its entries, in blocks, to hold balances against it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from billfold.ledger.domain import backdating
from billfold.platform.postgres.database import Connection

#: Entries of one account that one statement reads: a second's work at most.
PAGE = 100_000
#: Counting a hundred million transfers takes a minute; a statement that takes longer than this is stuck.
WHOLE_TIMEOUT_S = 900


class Stretch(msgspec.Struct, frozen=True):
    """Where to go on in an account's entries: behind `after`, and what they came to so far.

    `late` is the sum of the back-dated ones, `late_count` their number and `late_mark` their mark (see _MARK).
    """

    account: UUID
    after: datetime
    version: int
    balance: int
    late: int
    late_count: int
    late_mark: int


class Reread(msgspec.Struct, frozen=True):
    """A stretch of an account's entries read again, and the account's row in the same snapshot."""

    account: UUID
    #: Entries read in this stretch.
    count: int
    #: Whether every version and balance follows from the one before.
    versions_follow: bool
    balances_follow: bool
    #: Whether every back-dated entry has its running total.
    totals_follow: bool
    #: Whether every entry is in the account's asset.
    assets_agree: bool
    #: Whether every reversal and settlement says of what.
    links_there: bool
    #: State after the stretch, by the entries.
    last_recorded: datetime
    version: int
    balance: int
    late: int
    late_count: int
    late_mark: int
    #: The account's row.
    row_version: int
    row_posted: int
    row_held: int
    row_recorded_us: int
    holds_remaining: int
    #: Running totals of back-dated money, and the mark of its sums by period.
    totals_count: int
    periods_mark: int

    @property
    def following(self) -> Stretch:
        """Where to go on."""
        return Stretch(
            self.account, self.last_recorded, self.version, self.balance, self.late, self.late_count, self.late_mark
        )


# Sums by period agree with the entries if each bucket does. To compare them without grouping millions of entries again,
# each amount is multiplied by a hash of its bucket, and all are added: the entries' mark is the periods' mark, whatever
# the order and however many entries share a bucket.
_MARK = """
coalesce(sum(amount * (
    SELECT sum(hashint8extended((extract(epoch FROM effective_at) * 1000000)::bigint >> shift, shift))
    FROM unnest($9::int[]) AS width (shift)
)) FILTER (WHERE effective_at < recorded_at), 0)
"""

# Ordered by recorded_at, an entry's rank must be its version and the running sum its balance: that no version is
# missing or repeated, that time never goes back along versions, and that no amount was changed, follow from these two.
_REREAD = f"""
SELECT stretch.account, read.count, read.versions_follow, read.balances_follow, read.totals_follow, read.assets_agree,
       read.links_there, coalesce(read.last_recorded, stretch.after), stretch.version + read.count,
       stretch.balance + read.amount, stretch.late + read.late, stretch.late_count + read.late_count,
       stretch.late_mark + read.late_mark, account.version, account.posted, account.held, account.last_recorded_us,
       (SELECT coalesce(sum(amount - settled), 0) FROM ledger.holds
        WHERE account_id = stretch.account AND status = 'active'),
       (SELECT count(*) FROM ledger.backdated_totals WHERE account_id = stretch.account),
       (SELECT coalesce(sum(amount * hashint8extended(bucket, shift)), 0) FROM ledger.backdated_periods
        WHERE account_id = stretch.account)
FROM unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::numeric[], $5::numeric[], $6::bigint[], $7::numeric[])
    AS stretch (account, after, version, balance, late, late_count, late_mark)
JOIN ledger.accounts AS account ON account.id = stretch.account,
LATERAL (
    SELECT count(*) AS count, coalesce(bool_and(version = stretch.version + rank), true) AS versions_follow,
           coalesce(bool_and(balance = stretch.balance + running), true) AS balances_follow,
           coalesce(bool_and(asset = account.asset), true) AS assets_agree,
           coalesce(bool_and(EXISTS (
               SELECT FROM ledger.links AS link
               WHERE link.transfer_id = numbered.transfer_id AND link.relation::text = numbered.kind::text
           )) FILTER (WHERE kind IN ('reversal', 'settlement')), true) AS links_there,
           max(recorded_at) AS last_recorded, coalesce(sum(amount), 0) AS amount,
           coalesce(sum(amount) FILTER (WHERE effective_at < recorded_at), 0) AS late,
           count(*) FILTER (WHERE effective_at < recorded_at) AS late_count, {_MARK} AS late_mark,
           coalesce(bool_and(stretch.late + running_late IS NOT DISTINCT FROM (
               SELECT total FROM ledger.backdated_totals AS total
               WHERE total.account_id = stretch.account AND total.recorded_at = numbered.recorded_at
           )) FILTER (WHERE effective_at < recorded_at), true) AS totals_follow
    FROM (
        SELECT version, balance, amount, asset, kind, transfer_id, recorded_at, effective_at,
               row_number() OVER in_time AS rank, sum(amount) OVER in_time AS running,
               sum(amount) FILTER (WHERE effective_at < recorded_at) OVER in_time AS running_late
        FROM (
            SELECT * FROM ledger.entries AS entry
            WHERE entry.account = stretch.account AND entry.recorded_at > stretch.after
            ORDER BY entry.recorded_at LIMIT $8
        ) AS page
        WINDOW in_time AS (ORDER BY recorded_at ROWS UNBOUNDED PRECEDING)
    ) AS numbered
) AS read
"""


async def reread(connection: Connection, stretches: Sequence[Stretch]) -> list[Reread]:
    """Read the next PAGE entries of each stretch."""
    columns: list[list[Any]] = [
        list(column) for column in zip(*(msgspec.structs.astuple(stretch) for stretch in stretches), strict=True)
    ]
    found = await connection.fetch(_REREAD, *columns, PAGE, backdating.SHIFTS)
    return [Reread(*row) for row in found]


async def take_time(connection: Connection, *, parallel: bool) -> None:
    """Let the server give the statements of this database transaction the time that a look at everything takes."""
    await connection.execute(f"SET LOCAL statement_timeout = '{WHOLE_TIMEOUT_S}s'")
    if not parallel:
        await connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")


async def entries_counted(connection: Connection) -> tuple[int, int]:
    """How many transfers there are, and how many entries all accounts count, in one snapshot."""
    row = await connection.fetchrow(
        "SELECT count(*), (SELECT coalesce(sum(version), 0)::bigint FROM ledger.accounts) FROM ledger.transfers",
        timeout=WHOLE_TIMEOUT_S,
    )
    assert row is not None, "an aggregate always has a row"
    return row[0], row[1]


async def false_links(connection: Connection, limit: int) -> list[tuple[UUID, str]]:
    """Reversals that are not the opposite of their target, and settlements that don't debit their hold's account."""
    found = await connection.fetch(
        """
        SELECT link.transfer_id, link.relation::text FROM ledger.links AS link
        LEFT JOIN ledger.transfers AS transfer ON transfer.id = link.transfer_id
        LEFT JOIN ledger.transfers AS original ON original.id = link.target AND link.relation = 'reversal'
        LEFT JOIN ledger.holds AS hold ON hold.id = link.target AND link.relation = 'settlement'
        WHERE link.relation <> 'group' AND (
            transfer.kind::text IS DISTINCT FROM link.relation::text
            OR transfer.debit_account IS DISTINCT FROM coalesce(original.credit_account, hold.account_id)
            OR (original.id IS NOT NULL AND transfer.credit_account <> original.debit_account)
        )
        LIMIT $1
        """,
        limit,
        timeout=WHOLE_TIMEOUT_S,
    )
    return [(row[0], row[1]) for row in found]


async def over_reversed(connection: Connection, limit: int) -> list[tuple[UUID, int, int]]:
    """Transfers of which more than their amount was reversed, with both."""
    found = await connection.fetch(
        """
        SELECT original.id, original.amount, sum(transfer.amount) FROM ledger.links AS link
        JOIN ledger.transfers AS transfer ON transfer.id = link.transfer_id
        JOIN ledger.transfers AS original ON original.id = link.target
        WHERE link.relation = 'reversal' GROUP BY original.id HAVING sum(transfer.amount) > original.amount LIMIT $1
        """,
        limit,
        timeout=WHOLE_TIMEOUT_S,
    )
    return [(row[0], row[1], row[2]) for row in found]


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
    found = await connection.fetch(
        "SELECT asset, sum(posted) FROM ledger.accounts GROUP BY asset", timeout=WHOLE_TIMEOUT_S
    )
    return {asset: int(total) for asset, total in found}


async def below_floor(connection: Connection, limit: int) -> list[tuple[UUID, int, int]]:
    """Accounts whose available balance is below their floor, with both.

    A frozen one may be: that is where a forced transfer leaves it, until it is covered or somebody has looked.
    """
    found = await connection.fetch(
        "SELECT id, posted - held, floor FROM ledger.accounts "
        "WHERE posted - held < floor AND status <> 'frozen' LIMIT $1",
        limit,
        timeout=WHOLE_TIMEOUT_S,
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
        timeout=WHOLE_TIMEOUT_S,
    )
    return [(row[0], int(row[1]), int(row[2])) for row in found]
