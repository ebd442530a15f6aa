"""What the inbox costs when it has many rows."""

from billfold.platform.messaging import inbox
from billfold.platform.postgres.database import Connection, Database
from tests.integration.messaging.support import fact

RECENT = 20_000
#: Fewer than go at once: so none of the others stands behind them that it would stop at.
OLD = inbox.PRUNED_MIN // 2


async def test_old_rows_are_forgotten_and_the_others_are_not_even_read(database: Database) -> None:
    async with database.connection() as connection:
        await _fill(connection, RECENT, days=inbox.KEPT_DAYS - 1)
        await _fill(connection, OLD, days=inbox.KEPT_DAYS + 1)
        before = await _read(connection)
        told = fact()
        assert await inbox.first_time(connection, "reader", [told]) == [told]
        assert await _read(connection) - before < RECENT / 10
        rows = await connection.fetchval("SELECT count(*) FROM messaging.inbox")
    assert rows == RECENT + 1


async def _fill(connection: Connection, rows: int, *, days: int) -> None:
    await connection.execute(
        "INSERT INTO messaging.inbox (consumer, source, id, seen_at) "
        "SELECT 'reader', '/old', $2::int || '-' || n, statement_timestamp() - make_interval(days => $2::int) "
        "FROM generate_series(1, $1) AS n",
        rows,
        days,
    )


async def _read(connection: Connection) -> int:
    """How many rows were read so far, by whichever way."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    found: int = await connection.fetchval(
        "SELECT seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes AS i WHERE i.relid = t.relid) "
        "FROM pg_stat_user_tables AS t WHERE schemaname = 'messaging' AND relname = 'inbox'"
    )
    return found
