"""An audit in a database of each test's own."""

from collections.abc import AsyncIterator

import pytest

from billfold.audit import Audit
from billfold.platform.postgres.database import Database
from billfold.platform.postgres.migrations import Migrations, migrate
from tests import facades, servers

MIGRATIONS = (
    Migrations("roles", "billfold.platform.postgres.roles"),
    Migrations("audit", "billfold.audit.migrations"),
)


@pytest.fixture(scope="session")
async def audit_template(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    template = postgres_server.create_database()
    await migrate(template.owner_dsn, MIGRATIONS)
    return template


@pytest.fixture
def audit_database(
    postgres_server: servers.PostgresServer, audit_template: servers.TestDatabase
) -> servers.TestDatabase:
    return postgres_server.create_database(template=audit_template)


@pytest.fixture
async def database(audit_database: servers.TestDatabase) -> AsyncIterator[Database]:
    """As the application sees it: with its role's rights."""
    database = await Database.connect(audit_database.app_dsn, name="test")
    yield database
    await database.close()


@pytest.fixture
def audit(database: Database) -> Audit:
    return Audit(database=database, envelope=facades.ENVELOPE)
