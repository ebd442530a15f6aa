"""Identity on a real PostgreSQL, with providers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from billfold.app.migrate import SETS
from billfold.identity import Identity, OtherProviders
from billfold.identity.contracts import Provider
from billfold.platform.fetching import Fetcher
from billfold.platform.postgres.database import Database
from tests import facades, servers
from tests.integration.oidc import issuing, serving


@pytest.fixture(scope="module")
def oidc_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(SETS)


@pytest.fixture(scope="module")
async def database(oidc_database: servers.TestDatabase) -> AsyncIterator[Database]:
    database = await Database.connect(oidc_database.app_dsn, name="test")
    yield database
    await database.close()


@pytest.fixture(scope="module")
def master_keys_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the keys are that open what the module's database keeps sealed."""
    return tmp_path_factory.mktemp("master-keys")


@pytest.fixture
async def own_issuer() -> AsyncIterator[issuing.Issuing]:
    """An issuer that says what the test wants."""
    async with issuing.running() as running:
        yield running


@pytest.fixture
async def here(
    database: Database, own_issuer: issuing.Issuing, master_keys_folder: Path
) -> AsyncIterator[serving.Serving]:
    """The API, where one logs in at that issuer."""
    async with serving.running(database, master_keys_folder, [own_issuer.provider]) as running:
        yield running


def trusting(database: Database, *providers: Provider, **more: Any) -> Identity:
    """Identity that takes the word of these providers. `more` is as the facade takes it."""
    others = OtherProviders(configured=providers, fetcher=Fetcher(loopback=True), public_url="http://127.0.0.1:8123")
    return facades.identity(database, providers=others, **more)


@pytest.fixture
def identity(database: Database, own_issuer: issuing.Issuing) -> Identity:
    return trusting(database, own_issuer.provider)
