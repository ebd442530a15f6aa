"""Wallets, people and requests on a real PostgreSQL, in a database for each test: others' work would be due too."""

from collections.abc import AsyncIterator

import pytest

from billfold.app.migrate import SETS
from billfold.kernel.principal import Principal
from tests import servers
from tests.integration.approvals.people import person
from tests.integration.requests.support import Office, opened


@pytest.fixture
def office_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(SETS)


@pytest.fixture
async def office(office_database: servers.TestDatabase) -> AsyncIterator[Office]:
    """As the application sees it: with its role's rights."""
    async with opened(office_database.app_dsn) as office:
        yield office


@pytest.fixture
async def ada(office: Office) -> Principal:
    """A customer who has logged in."""
    return await person(office.database, "user")


@pytest.fixture
async def bob(office: Office) -> Principal:
    """Another one."""
    return await person(office.database, "user")


@pytest.fixture
async def hers(office: Office, ada: Principal) -> str:
    """Ada's wallet."""
    return await office.wallet(ada, holding="100.00")


@pytest.fixture
async def his(office: Office, bob: Principal) -> str:
    """Bob's, with nothing in it."""
    return await office.wallet(bob)
