"""An API with a database of its own for each test."""

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
async def template(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    template = postgres_server.create_database()
    await migrate(template.owner_dsn, MIGRATIONS)
    return template


@pytest.fixture
def own_database(postgres_server: servers.PostgresServer, template: servers.TestDatabase) -> servers.TestDatabase:
    return postgres_server.create_database(template=template)


@pytest.fixture
async def api(own_database: servers.TestDatabase) -> AsyncIterator[Api]:
    database = await Database.connect(own_database.app_dsn, name="test")
    async with api_.running(database) as running:
        yield running
    await database.close()
