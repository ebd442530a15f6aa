"""Identity on a real PostgreSQL. Tests share a database, which they see through owners of their own."""

from collections.abc import AsyncIterator, Iterator

import pytest

from billfold.identity import Identity
from billfold.identity.contracts import KEY_SCOPES, Owner
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.platform.limiting import backoff
from billfold.platform.postgres.database import Database
from billfold.platform.postgres.migrations import Migrations
from tests import facades, servers
from tests.integration.identity.people import House
from tests.integration.identity.town import Town

MIGRATIONS = (
    Migrations("roles", "billfold.platform.postgres.roles"),
    Migrations("messaging", "billfold.platform.messaging.migrations"),
    Migrations("mail", "billfold.platform.mail.migrations"),
    Migrations("identity", "billfold.identity.migrations"),
)


@pytest.fixture(autouse=True)
def long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has guessed too often has to wait for longer than all guesses of a test take on any machine."""
    monkeypatch.setattr(backoff, "WAIT_FIRST_S", 60)


@pytest.fixture(scope="module")
def identity_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(MIGRATIONS)


@pytest.fixture(scope="module")
async def database(identity_database: servers.TestDatabase) -> AsyncIterator[Database]:
    """As the application sees it: with its role's rights."""
    database = await Database.connect(identity_database.app_dsn, name="test")
    yield database
    await database.close()


@pytest.fixture
def identity(database: Database) -> Identity:
    return facades.identity(database)


@pytest.fixture
def elsewhere(database: Database) -> Identity:
    """As another process sees it."""
    return facades.identity(database)


@pytest.fixture
async def ada(identity: Identity) -> Owner:
    return await identity.keys.create_owner(name=f"Ada {ids.new()}")


@pytest.fixture
async def bob(identity: Identity) -> Owner:
    return await identity.keys.create_owner(name=f"Bob {ids.new()}")


@pytest.fixture
def operator() -> Principal:
    return Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=KEY_SCOPES)


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


@pytest.fixture
def town(database: Database) -> Iterator[Town]:
    town = Town(database)
    yield town
    town.identity.close()
