"""A worker and an API in processes of their own, over one database and one broker."""

from collections.abc import AsyncIterator, Iterator

import pytest

from billfold.app.migrate import SETS
from billfold.platform.messaging.brokers import nats
from tests import servers
from tests.integration.api import support as api
from tests.integration.api import world
from tests.integration.messaging.conftest import without_streams
from tests.integration.notifications.support import Town, running_worker


@pytest.fixture
def whole_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(SETS)


@pytest.fixture(scope="module")
def town_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(SETS)


@pytest.fixture(scope="module")
async def empty_nats_server(nats_server: servers.NatsServer) -> servers.NatsServer:
    """The NATS of the run, without what earlier tests have left there."""
    await without_streams(nats.Server(url=nats_server.url, user=nats_server.user, password=nats_server.password))
    return nats_server


@pytest.fixture(scope="module")
def town_api(town_database: servers.TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[api.ApiServer]:
    settings = {"limits__anonymous_per_minute": "0", "live__streams_of_owner": "5"}
    with api.running_api(town_database, tmp_path_factory.mktemp("api"), **settings) as server:
        yield server


@pytest.fixture(scope="module")
async def town(
    town_api: api.ApiServer,
    town_database: servers.TestDatabase,
    empty_nats_server: servers.NatsServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Town]:
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    async with world.beside(town_database, issuer=town_api.url) as made:
        with running_worker(town_database, empty_nats_server, log):
            yield Town(town_api.url, town_api.metrics_url, made, town_database)
