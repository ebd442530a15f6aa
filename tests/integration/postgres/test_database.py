"""The pool: what is committed and rolled back, and what a lost connection is told as."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import prometheus_client
import pytest

from billfold.platform.postgres import cluster, database
from billfold.platform.postgres.database import Database, DatabaseUnavailable
from tests import servers
from tests.integration.ledger.support import ask, eventually
from tests.integration.postgres import proxy

BIG = 10**60


@pytest.fixture(scope="module")
def own_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database()


@pytest.fixture
async def pool(own_database: servers.TestDatabase) -> AsyncIterator[Database]:
    pool = await Database.connect(own_database.owner_dsn, size=3, name="test pool")
    async with pool.connection() as connection:
        await connection.execute("DROP TABLE IF EXISTS notes")
        await connection.execute("CREATE TABLE notes (id integer PRIMARY KEY, amount numeric, body jsonb)")
    yield pool
    await pool.close()


async def count(pool: Database) -> int:
    async with pool.connection() as connection:
        found: int = await connection.fetchval("SELECT count(*) FROM notes")
        return found


async def test_a_transaction_is_committed_at_its_end_and_rolled_back_when_it_raises(pool: Database) -> None:
    async with pool.transaction() as connection:
        await connection.execute("INSERT INTO notes VALUES (1)")
    with pytest.raises(ZeroDivisionError):
        async with pool.transaction() as connection:
            await connection.execute("INSERT INTO notes VALUES (2)")
            raise ZeroDivisionError
    assert await count(pool) == 1


async def test_a_transaction_that_failed_leaves_a_connection_that_works(pool: Database) -> None:
    for _ in range(5):
        with pytest.raises(asyncpg.UndefinedTableError):
            async with pool.transaction() as connection:
                await connection.execute("SELECT * FROM nowhere")
    assert await count(pool) == 0


async def test_a_transaction_whose_task_is_cancelled_is_rolled_back(
    pool: Database, postgres_server: servers.PostgresServer
) -> None:
    async def slow() -> None:
        async with pool.transaction() as connection:
            await connection.execute("INSERT INTO notes VALUES (1)")
            await connection.execute("SELECT pg_sleep(60)")

    async def sleeps() -> bool:
        return bool(await ask(postgres_server.admin_dsn, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))

    task = asyncio.create_task(slow())
    await eventually(sleeps)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(pool) == 0


async def test_numerics_are_whole_numbers_and_json_is_what_it_holds(pool: Database) -> None:
    async with pool.connection() as connection:
        await connection.execute("INSERT INTO notes VALUES (1, $1, $2)", BIG, {"a": ["ü", None]})
        row = await connection.fetchrow("SELECT amount, body FROM notes")
        rows = await connection.fetchval("SELECT array_agg(amount) FROM notes")
    assert row is not None
    assert type(row["amount"]) is int
    assert (row["amount"], row["body"], rows) == (BIG, {"a": ["ü", None]}, [BIG])


async def test_every_connection_waits_for_the_disk_and_shows_its_name(pool: Database) -> None:
    async with pool.connection() as connection:
        shown = [
            await connection.fetchval(f"SHOW {name}")
            for name in ("synchronous_commit", "application_name", "timezone", "transaction_isolation")
        ]
    assert shown == ["on", "test pool", "UTC", "read committed"]


@pytest.mark.parametrize("part", ["password", "database", "port"])
async def test_a_database_that_can_not_be_entered_is_told_as_unavailable(
    postgres_server: servers.PostgresServer, own_database: servers.TestDatabase, part: str
) -> None:
    parts = urlsplit(postgres_server.embedded.dsn(cluster.APP, database=own_database.name, tcp=True))
    wrong = {
        "password": parts._replace(netloc=f"{parts.username}:wrong@127.0.0.1:{parts.port}"),
        "database": parts._replace(path="/nowhere"),
        "port": parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:1"),
    }
    with pytest.raises(DatabaseUnavailable) as unavailable:
        await Database.connect(urlunsplit(wrong[part]))
    assert unavailable.value.retryable


async def test_a_connection_that_is_ended_is_told_as_unavailable_and_the_next_one_works(
    pool: Database, postgres_server: servers.PostgresServer
) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with pool.transaction() as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            postgres_server.execute(f"SELECT pg_terminate_backend({pid})")
            await connection.execute("INSERT INTO notes VALUES (1)")
    assert await count(pool) == 0


async def test_a_transaction_that_says_nothing_for_too_long_is_told_as_unavailable(pool: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with pool.transaction() as connection:
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = '10ms'")
            while not connection.is_closed():  # noqa: ASYNC110 - the server ends it
                await asyncio.sleep(0.01)
            await connection.execute("INSERT INTO notes VALUES (1)")
    assert await count(pool) == 0


async def test_a_lock_that_is_not_given_free_is_told_as_unavailable(pool: Database) -> None:
    async with pool.transaction() as holder:
        await holder.execute("LOCK TABLE notes")
        with pytest.raises(DatabaseUnavailable):
            async with pool.transaction() as waiter:
                await waiter.execute("SET LOCAL lock_timeout = '10ms'")
                await waiter.execute("INSERT INTO notes VALUES (1)")


async def test_a_process_that_hangs_in_a_transaction_holds_others_up_and_does_not_fail_them(
    own_database: servers.TestDatabase, pool: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert database.IDLE_IN_TRANSACTION_TIMEOUT_S < database.LOCK_TIMEOUT_S
    monkeypatch.setattr(database, "IDLE_IN_TRANSACTION_TIMEOUT_S", 0.2)
    hanging = await Database.connect(own_database.owner_dsn, size=1)
    with pytest.raises(DatabaseUnavailable):
        async with hanging.transaction() as connection:
            await connection.execute("LOCK TABLE notes")
            async with pool.transaction() as other:
                await other.execute("INSERT INTO notes VALUES (1)")
    assert await count(pool) == 1
    await hanging.close()


async def test_the_loser_of_a_deadlock_is_told_to_try_again(pool: Database) -> None:
    async with pool.connection() as connection:
        await connection.execute("INSERT INTO notes VALUES (1), (2)")
    both_hold_one = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> None:
        async with pool.transaction() as connection:
            await connection.execute("SELECT FROM notes WHERE id = $1 FOR UPDATE", first)
            await both_hold_one.wait()
            await connection.execute("SELECT FROM notes WHERE id = $1 FOR UPDATE", second)

    outcomes = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["DatabaseUnavailable", "NoneType"]


async def test_a_pool_without_a_free_connection_says_so_soon(pool: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "ACQUIRE_TIMEOUT_S", 0.05)
    async with pool.connection(), pool.connection(), pool.connection():
        with pytest.raises(DatabaseUnavailable):
            await count(pool)
    assert await count(pool) == 0


async def test_a_network_that_falls_silent_is_told_as_unavailable(
    postgres_server: servers.PostgresServer, own_database: servers.TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a host loses its power: no answer, and no end of the connection either."""
    monkeypatch.setattr(database, "ANSWER_TIMEOUT_S", 0.3)
    direct = postgres_server.embedded.dsn(cluster.OWNER, database=own_database.name, tcp=True)
    async with proxy.before(direct) as (line, dsn):
        pool = await Database.connect(dsn, size=2)
        async with pool.connection() as connection:
            await connection.fetchval("SELECT 1")
        line.silent = True
        with pytest.raises(DatabaseUnavailable):
            async with asyncio.timeout(20), pool.transaction() as connection:
                await connection.execute("SELECT 1")
        line.silent = False
        async with asyncio.timeout(20), pool.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1
        await pool.close()


async def test_connections_are_told_while_they_work_and_while_they_are_idle(pool: Database) -> None:
    def told(state: str) -> float:
        value = prometheus_client.REGISTRY.get_sample_value("billfold_postgres_connections", {"state": state})
        assert value is not None
        return value

    before = told("working")
    async with pool.connection(), pool.connection():
        assert told("working") == before + 2
    assert told("working") == before
    assert told("idle") >= 2
