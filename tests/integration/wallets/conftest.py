"""Wallets on a real PostgreSQL, in a database of each test's own."""

from collections.abc import AsyncIterator

import pytest

from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.platform.postgres.migrations import Migrations
from billfold.wallets import Wallets, contracts
from tests import facades, ledgers, servers
from tests.integration.wallets.support import SCOPES

MIGRATIONS = (
    Migrations("platform", "billfold.platform.postgres.roles"),
    Migrations("messaging", "billfold.platform.messaging.migrations"),
    Migrations("ledger", "billfold.ledger.migrations"),
    Migrations("wallets", "billfold.wallets.migrations"),
)


#: Modules whose tests run with a ledger that posts by itself, and with one that calls the service.
BOTH_WAYS = {"test_bulk", "test_holds", "test_movements"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    ledgers.both_ways(metafunc, BOTH_WAYS)


@pytest.fixture
def own_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(MIGRATIONS)


@pytest.fixture
async def database(own_database: servers.TestDatabase) -> AsyncIterator[Database]:
    """As the application sees it: with its role's rights."""
    database = await Database.connect(own_database.app_dsn, name="test")
    yield database
    await database.close()


@pytest.fixture
def way(request: pytest.FixtureRequest) -> str:
    return ledgers.way_of(request)


@pytest.fixture
async def ledger(database: Database, way: str) -> AsyncIterator[Ledger]:
    async with ledgers.either(database, way) as ledger:
        yield ledger


@pytest.fixture
def wallets(database: Database, ledger: Ledger) -> Wallets:
    return Wallets(database=database, ledger=ledger, identity=facades.identity(database))


@pytest.fixture
def ada() -> Principal:
    return Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=SCOPES)


@pytest.fixture
def bob() -> Principal:
    return Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=SCOPES)


@pytest.fixture
def operator() -> Principal:
    return Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=SCOPES | {contracts.OPERATOR})
