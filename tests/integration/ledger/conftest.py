"""A ledger on a real PostgreSQL. Tests share a database unless they look at, break or stop the whole of it.

What the facade promises it promises whether it posts in the caller's process or calls the role `ledger`: the tests of
such promises run both ways.
"""

from collections.abc import AsyncIterator, Iterator

import pytest

from billfold.ledger import Ledger
from tests import ledgers, servers
from tests.integration.ledger.furniture import Furniture, furnish
from tests.integration.ledger.support import MIGRATIONS, Bank

#: Modules whose tests of `bank` run both ways, but for those that look into this process.
BOTH_WAYS = {
    "test_holds",
    "test_reversals",
    "test_effective",
    "test_reading",
    "test_past",
    "test_requests",
    "test_watching",
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "in_process(why): what only callers in the ledger's own process can do or see")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    ledgers.both_ways(metafunc, BOTH_WAYS)


@pytest.fixture(scope="session")
def shared_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(MIGRATIONS)


@pytest.fixture
def own_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(MIGRATIONS)


@pytest.fixture(scope="session")
def served_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    """As `shared_database`, for those who call the role: keys that a test names are used once in each."""
    return postgres_server.create_database(MIGRATIONS)


@pytest.fixture(scope="session")
def role_server(
    served_database: servers.TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ledgers.LedgerServer]:
    """The role `ledger` in a process of its own."""
    with ledgers.serving(served_database.app_dsn, tmp_path_factory.mktemp("ledger")) as server:
        yield server


@pytest.fixture
def way(request: pytest.FixtureRequest) -> str:
    return ledgers.way_of(request)


@pytest.fixture
def bank_database(way: str, request: pytest.FixtureRequest) -> servers.TestDatabase:
    found: servers.TestDatabase = request.getfixturevalue(
        "served_database" if way == ledgers.REMOTE else "shared_database"
    )
    return found


@pytest.fixture
async def bank(bank_database: servers.TestDatabase, way: str, request: pytest.FixtureRequest) -> AsyncIterator[Bank]:
    """A process on a shared database: with accounts and keys of its own, a test is alone there."""
    served_by = [request.getfixturevalue("role_server")] if way == ledgers.REMOTE else []
    async with Bank.opened(bank_database.app_dsn, served_by=served_by) as bank:
        yield bank


@pytest.fixture
async def other_bank(bank_database: servers.TestDatabase) -> AsyncIterator[Bank]:
    """Another process on the same database, which posts by itself."""
    async with Bank.opened(bank_database.app_dsn) as bank:
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
async def furnished(postgres_server: servers.PostgresServer) -> tuple[servers.TestDatabase, Furniture]:
    """A database with one of everything: to be copied, or to be tried to change in vain."""
    database = postgres_server.create_database(MIGRATIONS)
    async with Bank.opened(database.app_dsn) as bank:
        return database, await furnish(bank)
