"""Entries are immutable (I11): who may do what with the ledger's tables, and who may not."""

import asyncpg
import pytest

from billfold.ledger.contracts import EntryFilter
from tests import servers
from tests.integration.ledger.furniture import Furniture
from tests.integration.ledger.support import Bank, ask, execute

Furnished = tuple[servers.TestDatabase, Furniture]

#: What the application must never be able to do, whatever it has been talked into.
FORBIDDEN_TO_THE_APPLICATION = [
    "UPDATE ledger.transfers SET amount = amount",
    "UPDATE ledger.transfers SET description = 'x'",
    "DELETE FROM ledger.transfers",
    "TRUNCATE ledger.transfers",
    "UPDATE ledger.links SET target = target",
    "DELETE FROM ledger.links",
    "TRUNCATE ledger.links",
    "DELETE FROM ledger.accounts",
    "TRUNCATE ledger.accounts CASCADE",
    "UPDATE ledger.accounts SET asset = 'EUR'",
    "UPDATE ledger.accounts SET kind = 'external'",
    "UPDATE ledger.accounts SET id = gen_random_uuid()",
    "UPDATE ledger.assets SET scale = 3",
    "DELETE FROM ledger.assets",
    "UPDATE ledger.holds SET amount = amount",
    "UPDATE ledger.holds SET account_id = account_id",
    "UPDATE ledger.holds SET expires_at = NULL",
    "DELETE FROM ledger.holds",
    "DELETE FROM ledger.backdated_periods",
    "UPDATE ledger.backdated_totals SET total = total",
    "DELETE FROM ledger.backdated_totals",
    "UPDATE ledger.idempotency SET answer = NULL",
    "DELETE FROM ledger.idempotency",
    "TRUNCATE ledger.idempotency",
    "UPDATE ledger.reservations SET fingerprint = 0",
    "TRUNCATE ledger.reservations",
    "UPDATE ledger.entries SET amount = 0",
    "CREATE TABLE ledger.mine (id int)",
    "CREATE TABLE public.mine (id int)",
    "CREATE SCHEMA mine",
    "ALTER TABLE ledger.transfers DISABLE TRIGGER append_only",
    "ALTER TABLE ledger.transfers ADD COLUMN mine int",
    "DROP TRIGGER append_only ON ledger.transfers",
    "DROP TABLE ledger.transfers",
    "DROP SCHEMA ledger CASCADE",
    "CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "ALTER TABLE ledger.transfers OWNER TO billfold_app",
    "SET ROLE billfold_owner",
    "SET session_replication_role = replica",
    "UPDATE billfold.migrations SET checksum = ''",
    "DELETE FROM billfold.migrations",
]
REFUSED_EVEN_TO_THE_OWNER = [
    "UPDATE ledger.transfers SET amount = amount",
    "DELETE FROM ledger.transfers",
    "DELETE FROM ledger.transfers WHERE false",
    "TRUNCATE ledger.transfers",
    "UPDATE ledger.links SET target = target",
    "DELETE FROM ledger.links",
    "TRUNCATE ledger.links",
    "DELETE FROM ledger.accounts",
    "TRUNCATE ledger.accounts CASCADE",
]
TABLES = [
    "assets",
    "accounts",
    "transfers",
    "links",
    "backdated_periods",
    "backdated_totals",
    "holds",
    "idempotency",
    "reservations",
]


@pytest.mark.parametrize("sql", FORBIDDEN_TO_THE_APPLICATION)
async def test_the_application_is_denied(furnished: Furnished, sql: str) -> None:
    database, _ = furnished
    # The view says itself that it can't be written.
    error = asyncpg.ObjectNotInPrerequisiteStateError if "ledger.entries" in sql else asyncpg.InsufficientPrivilegeError
    with pytest.raises((error, asyncpg.InsufficientPrivilegeError)):
        await execute(database.app_dsn, sql)


@pytest.mark.parametrize("sql", REFUSED_EVEN_TO_THE_OWNER)
async def test_the_trigger_refuses_even_the_owner(furnished: Furnished, sql: str) -> None:
    database, _ = furnished
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await execute(database.owner_dsn, sql)


async def test_the_application_can_not_give_itself_a_right(furnished: Furnished) -> None:
    """PostgreSQL warns and does nothing."""
    database, _ = furnished
    await execute(database.app_dsn, "GRANT ALL ON ledger.transfers TO billfold_app")
    for right in ("UPDATE", "DELETE", "TRUNCATE", "TRIGGER"):
        assert await ask(database.app_dsn, "SELECT has_table_privilege('ledger.transfers', $1)", right) is False


async def test_what_was_tried_has_changed_nothing(furnished: Furnished) -> None:
    database, _ = furnished
    async with Bank.opened(database.app_dsn) as bank:
        assert (await bank.verified()).transfers > 10


@pytest.mark.parametrize("table", TABLES)
async def test_the_reader_reads_everything_and_writes_nothing(furnished: Furnished, table: str) -> None:
    database, _ = furnished
    assert await ask(database.readonly_dsn, f"SELECT count(*) FROM ledger.{table}") > 0
    for sql in (f"INSERT INTO ledger.{table} SELECT * FROM ledger.{table}", f"DELETE FROM ledger.{table}"):
        # It says twice that it may not: its sessions are read-only, and it lacks the right.
        with pytest.raises((asyncpg.ReadOnlySQLTransactionError, asyncpg.InsufficientPrivilegeError)):
            await execute(database.readonly_dsn, sql)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await execute(database.readonly_dsn, "SET TRANSACTION READ WRITE", sql)


async def test_the_reader_can_read_and_verify_but_not_post(furnished: Furnished) -> None:
    database, furniture = furnished
    async with Bank.opened(database.readonly_dsn) as bank:
        await bank.verified()
        assert await bank.ledger.entries(account_ids=[furniture.a], filter=EntryFilter(), after=None, limit=1)
        with pytest.raises((asyncpg.ReadOnlySQLTransactionError, asyncpg.InsufficientPrivilegeError)):
            await bank.pay(furniture.a, furniture.b, 1)


async def test_every_table_of_the_ledger_has_been_looked_at_here(furnished: Furnished) -> None:
    database, _ = furnished
    sql = "SELECT array_agg(tablename::text ORDER BY tablename) FROM pg_tables WHERE schemaname = 'ledger'"
    assert await ask(database.app_dsn, sql) == sorted(TABLES)
