"""An audit in a database of each test's own."""

from collections.abc import AsyncIterator, Iterator

import pytest

from billfold.app.migrate import AUDIT_SETS, SETS
from billfold.audit import Audit
from billfold.platform.keys import Envelope, local
from billfold.platform.messaging.brokers import nats
from billfold.platform.postgres.database import Database
from tests import facades, master_keys, servers
from tests.integration.api import support as api


@pytest.fixture
def audit_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(AUDIT_SETS)


@pytest.fixture
async def database(audit_database: servers.TestDatabase) -> AsyncIterator[Database]:
    """As the application sees it: with its role's rights."""
    database = await Database.connect(audit_database.app_dsn, name="test")
    yield database
    await database.close()


@pytest.fixture
def audit(database: Database) -> Audit:
    return Audit(database=database, envelope=facades.ENVELOPE)


@pytest.fixture(scope="module")
def core(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(SETS)


@pytest.fixture(scope="module")
def kept(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(AUDIT_SETS)


@pytest.fixture(scope="module")
def server(
    core: servers.TestDatabase, kept: servers.TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[api.ApiServer]:
    folder = tmp_path_factory.mktemp("audited")
    with api.running_api(core, folder, audit__dsn=kept.app_dsn) as server:
        yield server


@pytest.fixture
async def recorded(kept: servers.TestDatabase) -> AsyncIterator[Audit]:
    database = await Database.connect(kept.app_dsn, name="test")
    yield Audit(database=database, envelope=Envelope(local.load(master_keys.shared())))
    await database.close()


@pytest.fixture
def messaging(nats_server: servers.NatsServer) -> nats.Server:
    return nats.Server(url=nats_server.url, user=nats_server.user, password=nats_server.password)


@pytest.fixture
async def shared(core: servers.TestDatabase) -> AsyncIterator[Database]:
    """The database that everything but the audit is in."""
    database = await Database.connect(core.app_dsn, name="test")
    yield database
    await database.close()
