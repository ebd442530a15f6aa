"""`billfold migrate`, `ledger verify` and `keys create --owner` on a database of one's own, without a stack."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from billfold.app import migrate
from billfold.identity import contracts
from billfold.platform.postgres import migrations
from tests import master_keys, servers
from tests.commands import Billfold


@pytest.fixture
def billfold(empty_database: servers.TestDatabase, tmp_path: Path) -> Billfold:
    return Billfold(
        {
            "BILLFOLD_KEYS__FILE": str(master_keys.file_in(tmp_path)),
            "BILLFOLD_POSTGRES__DSN": empty_database.app_dsn,
            "BILLFOLD_POSTGRES__OWNER_DSN": empty_database.owner_dsn,
        }
    )


def test_a_plan_shows_everything_and_changes_nothing_and_migrate_does_it_once(billfold: Billfold) -> None:
    wanted = [{"context": step.context, "migration": step.name} for step in migrations.load(migrate.SETS)]
    assert billfold.json("migrate", "--plan") == billfold.json("migrate", "--plan") == wanted
    assert "Would be applied:\n  roles/0001_roles.sql\n" in billfold("migrate", "--plan").out
    applied = billfold("migrate").out
    assert applied.startswith("Applied:\n  roles/0001_roles.sql\n")
    assert "wallets/0001_wallets.sql" in applied
    assert billfold("migrate").out == "The database is up to date.\n"


def test_without_the_owners_dsn_nothing_is_migrated(empty_database: servers.TestDatabase) -> None:
    found = Billfold({"BILLFOLD_POSTGRES__DSN": empty_database.app_dsn})("migrate", code=2)
    assert "BILLFOLD_POSTGRES__OWNER_DSN" in found.err


def test_a_database_that_does_not_answer_is_said_to(empty_database: servers.TestDatabase) -> None:
    nowhere = Billfold({"BILLFOLD_POSTGRES__DSN": "postgresql://billfold_app:x@127.0.0.1:1/core"})
    assert nowhere("ledger", "verify", code=3).err.startswith("billfold: ")


def test_the_first_key_of_an_owner_is_made_at_the_database(billfold: Billfold) -> None:
    billfold("migrate")
    first = billfold.json("keys", "create", "Server", "--owner", "Acme", "--expires-at", "2199-01-01")
    second = billfold.json("keys", "create", "Reader", "--owner", "Acme", "--scope", "wallets:read")
    assert first["key"].startswith("bf_live_")
    assert second["scopes"] == ["wallets:read"]
    assert first["owner_id"] == second["owner_id"]
    assert (first["owner_is_new"], second["owner_is_new"]) == (True, False)


def test_an_owner_that_is_made_is_told(billfold: Billfold) -> None:
    billfold("migrate")
    assert "a new one was made" in billfold("keys", "create", "Server", "--owner", "Acme").out
    assert "a new one was made" not in billfold("keys", "create", "Server", "--owner", "Acme").out
    assert "a new one was made" in billfold("keys", "create", "Server", "--owner", "acme").out


def test_an_operators_rights_are_given_by_name_only(billfold: Billfold) -> None:
    billfold("migrate")
    create = ("keys", "create", "Server", "--owner", "Acme")
    everything_else = contracts.KEY_SCOPES - contracts.STAFF
    assert set(billfold.json(*create)["scopes"]) == everything_else
    assert set(billfold.json(*create, "--operator")["scopes"]) == contracts.KEY_SCOPES
    assert billfold.json(*create, "--scope", "wallets:read", "--operator")["scopes"] == ["operator", "wallets:read"]


def test_a_fault_in_the_books_is_found_and_named(billfold: Billfold, empty_database: servers.TestDatabase) -> None:
    billfold("migrate")
    assert "The books are right." in billfold("ledger", "verify").out
    account = asyncio.run(_spoil(empty_database.owner_dsn))
    shown = billfold("ledger", "verify", code=4).out
    assert "The books are wrong. Faults found: 2" in shown
    assert account in shown
    assert "Its balance is 1 and its entries sum to 0." in shown
    faults = billfold.json("ledger", "verify", code=4)["faults"]
    assert {fault["invariant"] for fault in faults} == {"I1", "I2"}
    assert "I1" not in billfold("ledger", "verify", "--faults", "1", code=4).out


async def _spoil(dsn: str) -> str:
    """Add a cent to an account that no entry tells of."""
    owner = await asyncpg.connect(dsn)
    try:
        account = await owner.fetchval("UPDATE ledger.accounts SET posted = 1 WHERE asset = 'USD' RETURNING id")
    finally:
        await owner.close()
    return str(account)


def test_the_first_administrator_is_made_at_the_database(
    billfold: Billfold, empty_database: servers.TestDatabase
) -> None:
    billfold.environment["BILLFOLD_KEYS__FILE"] = str(master_keys.shared())
    billfold("migrate")

    async def register() -> None:
        connection = await asyncpg.connect(empty_database.app_dsn)
        await connection.execute(
            "WITH owner AS (INSERT INTO identity.owners (id, name, created_at) VALUES (gen_random_uuid(), 'Ada', now())"
            " RETURNING id) INSERT INTO identity.users (id, email, email_verified_at, display_name, locale, time_zone,"
            " created_at) SELECT id, 'ada@example.com', now(), 'Ada', 'en', 'UTC', now() FROM owner"
        )
        await connection.close()

    asyncio.run(register())
    assert billfold("users", "grant-role", "ada@example.com", "support").out.endswith("is support, user now.\n")
    said = billfold("users", "grant-role", "ada@example.com", "admin").out
    assert "is admin, support now.\nThat is instead of user" in said
    assert billfold.json("users", "grant-role", "Ada@example.com", "admin")["roles"] == ["admin", "support"]
    assert billfold("users", "grant-role", "bob@example.com", "admin", code=1).err.startswith("billfold: There is no")
    assert "there are user, support" in billfold("users", "grant-role", "ada@example.com", "boss", code=2).err
