"""What keeps the journal as it is and its answers true: looked at by the verification, in the catalogue and in keys."""

from __future__ import annotations

from uuid import UUID

from billfold.platform.postgres.database import Connection

#: Pages of answers that one statement reads: 4 MB, some fifty thousand of them.
PAGES_PER_LOOK = 512
#: Pages before them that it reads once more: two answers of one batch lie nearer to one another than that.
PAGES_BEFORE = 64

# The bits of tgtype: 2 before, 8 delete, 16 update, 32 truncate; without 1 it is for each statement.
_UNGUARDED = """
SELECT guarded.name, trigger.oid IS NULL,
       has_table_privilege('billfold_app', guarded.name, 'DELETE')
       OR has_table_privilege('billfold_app', guarded.name, 'TRUNCATE')
       OR (guarded.events & 16 > 0 AND has_any_column_privilege('billfold_app', guarded.name, 'UPDATE'))
FROM (VALUES ('ledger.transfers', 2 + 8 + 16 + 32), ('ledger.links', 2 + 8 + 16 + 32), ('ledger.accounts', 2 + 8 + 32))
    AS guarded (name, events)
LEFT JOIN (
    SELECT pg_trigger.* FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE proname = 'refuse_change' AND prosrc LIKE '%RAISE EXCEPTION%' AND tgenabled IN ('O', 'A') AND tgqual IS NULL
) AS trigger ON tgrelid = guarded.name::regclass AND tgtype = guarded.events
"""

# Answers are only ever added, so those that lie together are of transfers that lie together.
_FALSE_ANSWERS = """
SELECT digest, there FROM (
    SELECT digest, EXISTS (SELECT FROM ledger.transfers WHERE id = subject) AS there,
           count(*) OVER (PARTITION BY subject) AS answers
    FROM ledger.idempotency WHERE ctid >= $1 AND ctid < $2 AND answer IS NULL
) AS answered
WHERE NOT there OR answers > 1
LIMIT $3
"""


async def unguarded(connection: Connection) -> list[tuple[str, bool, bool]]:
    """Of each table that is only added to: whether its trigger is gone, and whether the application may change it."""
    found = await connection.fetch(_UNGUARDED)
    return [(row[0], row[1], row[2]) for row in found]


async def answer_pages(connection: Connection) -> int:
    """How many pages of answers there are."""
    pages: int = await connection.fetchval(
        "SELECT pg_relation_size('ledger.idempotency') / current_setting('block_size')::bigint"
    )
    return pages


async def false_answers(connection: Connection, *, page: int, limit: int) -> list[tuple[UUID, bool]]:
    """Keys, from this page on, that are answered by a transfer that is not there, or (True) by another key's."""
    first = max(page - PAGES_BEFORE, 0)
    found = await connection.fetch(_FALSE_ANSWERS, (first, 0), (page + PAGES_PER_LOOK, 0), limit)
    return [(row[0], row[1]) for row in found]
