"""The role `api` as it is run, in a process of its own on a database with every context."""

from collections.abc import Iterator

import pytest

from billfold.app.migrate import SETS
from tests import servers
from tests.integration.api import support


@pytest.fixture(scope="module")
def api_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(SETS)


@pytest.fixture(scope="module")
async def operator_key(api_database: servers.TestDatabase) -> str:
    return await support.bootstrapped(api_database)


@pytest.fixture(scope="module")
def api_server(
    api_database: servers.TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[support.ApiServer]:
    with support.running_api(api_database, tmp_path_factory.mktemp("api")) as server:
        yield server
