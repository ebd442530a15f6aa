"""One running API for all tests. Each has callers of its own, who see nothing of the others' wallets."""

import shutil
from collections.abc import AsyncIterator, Iterator

import pytest

from billfold.platform.postgres.database import Database
from billfold.platform.postgres.migrations import Migrations
from tests import ledgers, servers
from tests.acceptance.wallets import api as api_
from tests.acceptance.wallets.api import Api

#: Modules whose tests run with an API that posts by itself, and with one that calls the role `ledger`.
BOTH_WAYS = {"test_money", "test_idempotency", "test_history", "test_payment_requests", "test_requests"}
MIGRATIONS = (
    Migrations("platform", "billfold.platform.postgres.roles"),
    Migrations("messaging", "billfold.platform.messaging.migrations"),
    Migrations("identity", "billfold.identity.migrations"),
    Migrations("ledger", "billfold.ledger.migrations"),
    Migrations("wallets", "billfold.wallets.migrations"),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    ledgers.both_ways(metafunc, BOTH_WAYS)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.PostgresServer]:
    folder = tmp_path_factory.mktemp("pg")
    with servers.running_postgres(folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def own_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(MIGRATIONS)


@pytest.fixture(scope="session")
async def running_api(own_database: servers.TestDatabase) -> AsyncIterator[Api]:
    database = await Database.connect(own_database.app_dsn, name="test")
    try:
        async with ledgers.either(database, ledgers.IN_PROCESS) as ledger, api_.running(database, ledger) as running:
            yield running
    finally:
        await database.close()


@pytest.fixture(scope="session")
async def calling_api(
    own_database: servers.TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    """The API as a client of the role `ledger`, which runs in a process of its own."""
    database = await Database.connect(own_database.app_dsn, name="test")
    try:
        with ledgers.serving(own_database.app_dsn, tmp_path_factory.mktemp("ledger")) as server:
            async with ledgers.calling(database, [server]) as ledger, api_.running(database, ledger) as running:
                yield running
    finally:
        await database.close()


@pytest.fixture
def way(request: pytest.FixtureRequest) -> str:
    return ledgers.way_of(request)


@pytest.fixture
def api(way: str, request: pytest.FixtureRequest) -> Api:
    running: Api = request.getfixturevalue("calling_api" if way == ledgers.REMOTE else "running_api")
    return running.for_another_test()
