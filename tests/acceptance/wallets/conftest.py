"""One running API for all tests. Each has callers of its own, who see nothing of the others' wallets."""

import shutil
from collections.abc import AsyncIterator, Iterator

import pytest

from billfold.platform.postgres.database import Database
from billfold.platform.postgres.migrations import Migrations, migrate
from tests import servers
from tests.acceptance.wallets import api as api_
from tests.acceptance.wallets.api import Api

MIGRATIONS = (
    Migrations("platform", "billfold.platform.postgres.roles"),
    Migrations("messaging", "billfold.platform.messaging.migrations"),
    Migrations("identity", "billfold.identity.migrations"),
    Migrations("ledger", "billfold.ledger.migrations"),
    Migrations("wallets", "billfold.wallets.migrations"),
)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.PostgresServer]:
    folder = tmp_path_factory.mktemp("pg")
    with servers.running_postgres(folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
async def own_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    database = postgres_server.create_database()
    await migrate(database.owner_dsn, MIGRATIONS)
    return database


@pytest.fixture(scope="session")
async def running_api(own_database: servers.TestDatabase) -> AsyncIterator[Api]:
    database = await Database.connect(own_database.app_dsn, name="test")
    try:
        async with api_.running(database) as running:
            yield running
    finally:
        await database.close()


@pytest.fixture
def api(running_api: Api) -> Api:
    return running_api.for_another_test()
