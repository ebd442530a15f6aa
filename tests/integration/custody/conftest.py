"""Custody on a real PostgreSQL with a real ledger and real wallets, over a chain that the tests make."""

from collections.abc import AsyncIterator

import pytest

from billfold.kernel import ids
from billfold.kernel.assets import Asset
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.platform.postgres.migrations import Migrations
from billfold.wallets import Wallets, contracts
from tests import servers
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import TOKEN, Bank
from tests.integration.wallets.support import SCOPES

MIGRATIONS = (
    Migrations("platform", "billfold.platform.postgres.roles"),
    Migrations("messaging", "billfold.platform.messaging.migrations"),
    Migrations("ledger", "billfold.ledger.migrations"),
    Migrations("custody", "billfold.custody.migrations"),
    Migrations("wallets", "billfold.wallets.migrations"),
)


@pytest.fixture
def own_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(MIGRATIONS)


@pytest.fixture
async def database(own_database: servers.TestDatabase) -> AsyncIterator[Database]:
    """As the application sees it: with its role's rights."""
    database = await Database.connect(own_database.app_dsn, name="test")
    yield database
    await database.close()


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[Ledger]:
    ledger = await Ledger.start(database=database)
    yield ledger
    await ledger.close()


@pytest.fixture
def chain() -> SimulatedChain:
    return SimulatedChain()


@pytest.fixture
def bank(database: Database, ledger: Ledger, chain: SimulatedChain) -> Bank:
    return Bank(database=database, ledger=ledger, chain=chain)


@pytest.fixture
def ethereum() -> SimulatedChain:
    return SimulatedChain(name="ethereum", coin="ETH", model="nonce")


@pytest.fixture
async def token_bank(database: Database, ledger: Ledger, ethereum: SimulatedChain) -> Bank:
    """Over `ethereum`, whose token TOK it knows, of two places."""
    await ledger.add_asset(asset=Asset(code="TOK", scale=2, kind="token", name="T", chain="ethereum", contract=TOKEN))
    return Bank(database=database, ledger=ledger, chain=ethereum)


@pytest.fixture
def ada() -> Principal:
    return Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=SCOPES)


@pytest.fixture
def operator() -> Principal:
    return Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=SCOPES | {contracts.OPERATOR})


__all__ = ["Wallets"]
