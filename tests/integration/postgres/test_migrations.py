"""Numbered SQL: applied once, in order, wholly or not at all, by whoever comes first."""

import asyncio
import importlib
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from billfold.platform.postgres import migrations
from billfold.platform.postgres.database import DatabaseUnavailable
from billfold.platform.postgres.migrations import (
    DatabaseNewer,
    MigrationBusy,
    MigrationChanged,
    MigrationFailed,
    Migrations,
    migrate,
    plan,
)
from tests import servers

Written = Callable[..., Migrations]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def own_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database()


@pytest.fixture
async def emptied(own_database: servers.TestDatabase) -> servers.TestDatabase:
    """As nobody had ever migrated it."""
    await ask(own_database.owner_dsn, "DROP SCHEMA IF EXISTS shop, billfold CASCADE")
    return own_database


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """Writes migration files into a package of their own, or over those of `into`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(files: dict[str, str], *, into: Migrations | None = None) -> Migrations:
        name = into.package if into else f"written_{next(_numbers)}"
        package = tmp_path / name
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        for file, sql in files.items():
            (package / file).write_text(sql)
        importlib.invalidate_caches()
        return into or Migrations("shop", name)

    return write


async def ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


TWO = {
    "0002_more.sql": "INSERT INTO shop.things VALUES (2)",
    "0001_start.sql": "CREATE SCHEMA shop; CREATE TABLE shop.things (id int); INSERT INTO shop.things VALUES (1)",
    "README.md": "no migration",
}
THINGS = "SELECT array_agg(id ORDER BY id) FROM shop.things"


async def test_files_are_applied_in_the_order_of_their_numbers_and_once(
    emptied: servers.TestDatabase, written: Written
) -> None:
    shop = written(TWO)
    applied = await migrate(emptied.owner_dsn, [shop])
    assert [migration.name for migration in applied] == ["0001_start.sql", "0002_more.sql"]
    assert await migrate(emptied.owner_dsn, [shop]) == []
    written({"0003_last.sql": "INSERT INTO shop.things VALUES (3)"}, into=shop)
    assert [migration.name for migration in await migrate(emptied.owner_dsn, [shop])] == ["0003_last.sql"]
    assert await ask(emptied.owner_dsn, THINGS) == [1, 2, 3]


async def test_contexts_are_applied_in_the_order_given(emptied: servers.TestDatabase, written: Written) -> None:
    shop = written(TWO)
    till = Migrations("till", written({"0001_till.sql": "CREATE TABLE shop.till (id int)"}).package)
    applied = await migrate(emptied.owner_dsn, [shop, till])
    assert [migration.context for migration in applied] == ["shop", "shop", "till"]


async def test_a_plan_says_what_is_missing_and_changes_nothing(emptied: servers.TestDatabase, written: Written) -> None:
    shop = written(TWO)
    for _ in range(2):
        planned = await plan(emptied.owner_dsn, [shop])
        assert [migration.name for migration in planned] == ["0001_start.sql", "0002_more.sql"]
    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('shop', 'billfold')"
    assert await ask(emptied.owner_dsn, schemas) == 0
    await migrate(emptied.owner_dsn, [shop])
    assert await plan(emptied.owner_dsn, [shop]) == []


async def test_an_applied_file_that_is_changed_is_refused_by_name(
    emptied: servers.TestDatabase, written: Written
) -> None:
    shop = written(TWO)
    await migrate(emptied.owner_dsn, [shop])
    written({"0001_start.sql": TWO["0001_start.sql"] + " ", "0003_last.sql": "DROP TABLE shop.things"}, into=shop)
    for refused in (migrate, plan):
        with pytest.raises(MigrationChanged, match=r"shop/0001_start\.sql"):
            await refused(emptied.owner_dsn, [shop])
    assert await ask(emptied.owner_dsn, THINGS) == [1, 2]


async def test_failing_sql_leaves_nothing_of_its_file_and_all_of_those_before(
    emptied: servers.TestDatabase, written: Written
) -> None:
    shop = written(TWO | {"0003_bad.sql": "INSERT INTO shop.things VALUES (3); SELECT * FROM shop.nowhere;"})
    with pytest.raises(MigrationFailed, match=r"shop/0003_bad\.sql.*nowhere"):
        await migrate(emptied.owner_dsn, [shop])
    assert await ask(emptied.owner_dsn, THINGS) == [1, 2]
    assert await ask(emptied.owner_dsn, "SELECT max(number) FROM billfold.migrations") == 2
    written({"0003_bad.sql": "INSERT INTO shop.things VALUES (3)"}, into=shop)
    await migrate(emptied.owner_dsn, [shop])
    assert await ask(emptied.owner_dsn, THINGS) == [1, 2, 3]


async def test_a_file_whose_name_is_wrong_is_a_broken_assumption(
    emptied: servers.TestDatabase, written: Written
) -> None:
    with pytest.raises(AssertionError, match=r"1_start\.sql"):
        await migrate(emptied.owner_dsn, [written({"1_start.sql": "SELECT 1"})])


_PROGRAM = """
import asyncio, sys
from billfold.platform.postgres.migrations import Migrations, migrate
sys.path.insert(0, sys.argv[3])
print(len(asyncio.run(migrate(sys.argv[1], [Migrations("shop", sys.argv[2])]))))
"""


async def test_two_processes_that_migrate_at_once_apply_everything_once(
    emptied: servers.TestDatabase, written: Written, tmp_path: Path
) -> None:
    slow = {"0003_slow.sql": "SELECT pg_sleep(0.5)"}
    shop = written(TWO | slow)
    command = [sys.executable, "-c", _PROGRAM, emptied.owner_dsn, shop.package, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]  # noqa: ASYNC220
    applied = [(await asyncio.to_thread(process.communicate))[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(applied) == ["0", "3"]
    assert await ask(emptied.owner_dsn, THINGS) == [1, 2]


async def test_who_waits_too_long_for_another_says_so(
    emptied: servers.TestDatabase, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "WAIT_FOR_OTHER_S", 0.05)
    other = await asyncpg.connect(emptied.owner_dsn)
    await other.execute("SELECT pg_advisory_lock($1)", migrations._ADVISORY_LOCK)
    with pytest.raises(MigrationBusy):
        await migrate(emptied.owner_dsn, [written(TWO)])
    await other.close()
    assert len(await migrate(emptied.owner_dsn, [written(TWO)])) == 2


async def test_a_table_that_is_in_use_is_waited_for_briefly_and_traffic_goes_on(
    emptied: servers.TestDatabase, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT_S", 0.2)
    shop = written(TWO)
    await migrate(emptied.owner_dsn, [shop])
    written({"0003_alter.sql": "ALTER TABLE shop.things ADD COLUMN name text"}, into=shop)
    reader = await asyncpg.connect(emptied.owner_dsn)
    async with reader.transaction():
        await reader.execute("SELECT * FROM shop.things")
        with pytest.raises(MigrationFailed, match="lock timeout"):
            await migrate(emptied.owner_dsn, [shop])
        assert await ask(emptied.owner_dsn, THINGS) == [1, 2]
    await reader.close()
    assert len(await migrate(emptied.owner_dsn, [shop])) == 1


async def test_a_database_that_is_not_there_is_told_as_unavailable(
    emptied: servers.TestDatabase, written: Written
) -> None:
    nowhere = emptied.owner_dsn.replace(emptied.name, "nowhere")
    for refused in (migrate, plan):
        with pytest.raises(DatabaseUnavailable):
            await refused(nowhere, [written(TWO)])


async def test_two_files_with_one_number_are_a_broken_assumption(
    emptied: servers.TestDatabase, written: Written
) -> None:
    shop = written(TWO | {"0002_other.sql": "INSERT INTO shop.things VALUES (22)"})
    with pytest.raises(AssertionError, match="0002"):
        await migrate(emptied.owner_dsn, [shop])


async def test_a_database_that_is_ahead_of_this_version_is_refused(
    emptied: servers.TestDatabase, written: Written
) -> None:
    """As after a downgrade: its tables may not be what this version takes them for."""
    newer = written(TWO)
    await migrate(emptied.owner_dsn, [newer])
    older = written({"0001_start.sql": TWO["0001_start.sql"]})
    for refused in (migrate, plan):
        with pytest.raises(DatabaseNewer, match=r"shop/0002_more\.sql"):
            await refused(emptied.owner_dsn, [older])
    assert await migrate(emptied.owner_dsn, [Migrations("till", written({}).package)]) == []
