"""A ledger on a real PostgreSQL. Tests share a database unless they look at, break or stop the whole of it."""

from collections.abc import AsyncIterator

import pytest

from billfold.ledger import Ledger
from billfold.platform.postgres.migrations import migrate
from tests import servers
from tests.integration.ledger.furniture import Furniture, furnish
from tests.integration.ledger.support import MIGRATIONS, Bank


@pytest.fixture(scope="session")
async def ledger_template(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    template = postgres_server.create_database()
    await migrate(template.owner_dsn, MIGRATIONS)
    return template


@pytest.fixture(scope="session")
def shared_database(
    postgres_server: servers.PostgresServer, ledger_template: servers.TestDatabase
) -> servers.TestDatabase:
    return postgres_server.create_database(template=ledger_template)


@pytest.fixture
def own_database(
    postgres_server: servers.PostgresServer, ledger_template: servers.TestDatabase
) -> servers.TestDatabase:
    return postgres_server.create_database(template=ledger_template)


@pytest.fixture
async def bank(shared_database: servers.TestDatabase) -> AsyncIterator[Bank]:
    """A process on the shared database: with accounts and keys of its own, a test is alone there."""
    async with Bank.opened(shared_database.app_dsn) as bank:
        yield bank


@pytest.fixture
async def other_bank(shared_database: servers.TestDatabase) -> AsyncIterator[Bank]:
    """Another process on the same database."""
    async with Bank.opened(shared_database.app_dsn) as bank:
        yield bank


@pytest.fixture
async def own_bank(own_database: servers.TestDatabase) -> AsyncIterator[Bank]:
    """A process on a database of the test's own."""
    async with Bank.opened(own_database.app_dsn) as bank:
        yield bank


@pytest.fixture
def ledger(bank: Bank) -> Ledger:
    return bank.ledger


@pytest.fixture(scope="session")
async def furnished(
    postgres_server: servers.PostgresServer, ledger_template: servers.TestDatabase
) -> tuple[servers.TestDatabase, Furniture]:
    """A database with one of everything: to be copied, or to be tried to change in vain."""
    database = postgres_server.create_database(template=ledger_template)
    async with Bank.opened(database.app_dsn) as bank:
        return database, await furnish(bank)
