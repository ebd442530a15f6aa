"""Withdrawals on simulated chains, each test in a database of its own: others' work would be due too."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from billfold.app.migrate import SETS
from tests import servers
from tests.integration.withdrawals.simulated import MODELS
from tests.integration.withdrawals.support import Office, opened


@pytest.fixture
def office_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(SETS)


@pytest.fixture(params=list(MODELS))
def chain_name(request: pytest.FixtureRequest) -> str:
    """Each of the chains, unless a test names some."""
    return str(request.param)


@pytest.fixture
async def office(office_database: servers.TestDatabase, chain_name: str, tmp_path: Path) -> AsyncIterator[Office]:
    """As the application sees it: with its role's rights."""
    async with opened(office_database.app_dsn, chain_name, tmp_path / "chain.json") as office:
        await office.furnish()
        yield office
