"""Reconciliation over simulated chains, each test in a database of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from billfold.app.migrate import SETS
from tests import servers
from tests.integration.reconciling.support import Desk, opened


@pytest.fixture
def desk_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(SETS)


@pytest.fixture(params=["bitcoin", "ethereum", "solana"])
def chain_name(request: pytest.FixtureRequest) -> str:
    """One of each model, unless a test names some."""
    return str(request.param)


@pytest.fixture
async def desk(desk_database: servers.TestDatabase, chain_name: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(desk_database.app_dsn, chain_name, tmp_path / "chain.json") as desk:
        yield desk
