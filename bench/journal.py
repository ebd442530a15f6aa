"""Accounts with long pasts, written by SQL in seconds, in the ledger's own form: `ledger verify` finds nothing wrong.

Transfer number n of such an account moves one unit into it, a fixed step of time after number n − 1, so the right
balance at any instant is known without asking the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from billfold.kernel import ids
from billfold.ledger import Ledger, contracts
from billfold.ledger.domain import backdating
from billfold.platform.postgres.database import Database

Progress = Callable[[int], None]

ASSET = "USD"
#: Rows of one statement: a few seconds, so that the progress bar moves and Ctrl-C is heard.
CHUNK = 100_000
#: All entries of an account were recorded within this time before now.
RECORDED_WITHIN = timedelta(days=365)
#: Value dates of back-dated entries lie within this time before the first of them was recorded.
EFFECTIVE_WITHIN = timedelta(days=3650)


class Past(msgspec.Struct, frozen=True):
    """An account whose transfer number n (from 1) was recorded at begin + n steps."""

    account: UUID
    entries: int
    begin: datetime
    step: timedelta

    def recorded_by(self, at: datetime) -> int:
        """How many of its transfers were recorded at or before an instant, which is its balance then."""
        return max(0, min(self.entries, (at - self.begin) // self.step))


_TRANSFERS = """
INSERT INTO ledger.transfers (recorded_at, effective_at, debit_version, credit_version, batch, kind, id, debit_account,
    credit_account, amount, debit_balance, credit_balance, asset, reference, description, metadata)
SELECT at, {effective_at}, n, n, pg_current_xact_id()::xid, 'transfer', uuidv7(at - clock_timestamp()),
       $1::uuid, $2::uuid, 1, -n, n, 'USD', '', '', ''
FROM generate_series($3::bigint, $4::bigint) AS n, LATERAL (SELECT $5::timestamptz + n * $6::interval AS at) AS instant
"""
#: The same for the same n, and spread evenly over the time before `begin`: distinct instants, in no order.
_VALUE_DATE = "$5::timestamptz - ((hashint8extended(n, 0) & 9007199254740991) % $7::bigint) * interval '1 microsecond'"

_ACCOUNTS = """
UPDATE ledger.accounts SET version = $2::bigint, posted = sign * $2::bigint, last_recorded_us = $3
FROM (VALUES (($1::uuid[])[1], -1), (($1::uuid[])[2], 1)) AS side (account, sign) WHERE id = side.account
"""

_PERIODS = """
INSERT INTO ledger.backdated_periods (account_id, shift, bucket, amount)
SELECT side.account, $2::int, bucket, sign * amount
FROM (
    SELECT (extract(epoch FROM effective_at) * 1000000)::bigint >> $2::int AS bucket, sum(amount) AS amount
    FROM ledger.transfers WHERE credit_account = ($1::uuid[])[2] GROUP BY 1
) AS period, (VALUES (($1::uuid[])[1], -1), (($1::uuid[])[2], 1)) AS side (account, sign)
"""

_TOTALS = """
INSERT INTO ledger.backdated_totals (account_id, recorded_at, total)
SELECT side.account, $2::timestamptz + n * $3::interval, sign * n
FROM generate_series($4::bigint, $5::bigint) AS n,
     (VALUES (($1::uuid[])[1], -1), (($1::uuid[])[2], 1)) AS side (account, sign)
"""


async def write(
    owner: asyncpg.Connection[asyncpg.Record], ledger: Ledger, *, entries: int, backdated: bool, progress: Progress
) -> Past:
    """Open an account with `entries` transfers into it, from another one that is new, too."""
    sides = [ids.new(), ids.new()]
    await ledger.open_accounts(
        accounts=[contracts.NewAccount(id=side, asset=ASSET, kind="omnibus", floor=None) for side in sides]
    )
    begin = datetime.now(UTC) - RECORDED_WITHIN
    past = Past(sides[1], entries, begin, RECORDED_WITHIN / (entries + 1))
    async with owner.transaction():
        for first in range(1, entries + 1, CHUNK):
            last = min(first + CHUNK - 1, entries)
            await _write_chunk(owner, past, sides, (first, last), backdated=backdated)
            progress(last - first + 1)
        if backdated:
            for shift in backdating.SHIFTS:
                await owner.execute(_PERIODS, sides, shift)
        last_us = (begin + entries * past.step - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        await owner.execute(_ACCOUNTS, sides, entries, last_us)
    return past


async def _write_chunk(
    owner: asyncpg.Connection[asyncpg.Record],
    past: Past,
    sides: list[UUID],
    span: tuple[int, int],
    *,
    backdated: bool,
) -> None:
    values = (*sides, *span, past.begin, past.step)
    if not backdated:
        await owner.execute(_TRANSFERS.format(effective_at="at"), *values)
        return
    within_us = EFFECTIVE_WITHIN // timedelta(microseconds=1)
    await owner.execute(_TRANSFERS.format(effective_at=_VALUE_DATE), *values, within_us)
    await owner.execute(_TOTALS, sides, past.begin, past.step, *span)


async def analyze(owner: asyncpg.Connection[asyncpg.Record]) -> None:
    """Let the planner know; autovacuum would do it within a minute."""
    await owner.execute("ANALYZE ledger.accounts, ledger.transfers, ledger.backdated_periods, ledger.backdated_totals")


async def effective_by(database: Database, past: Past, at: datetime) -> int:
    """The right balance as effective at an instant, the slow way: every entry is looked at."""
    async with database.connection() as connection:
        found: int = await connection.fetchval(
            "SELECT count(*) FROM ledger.transfers WHERE credit_account = $1 AND effective_at <= $2", past.account, at
        )
    return found
