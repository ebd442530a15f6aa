"""People, wallets and approvals on a real PostgreSQL, in one database for each module."""

from collections.abc import AsyncIterator

import pytest

from billfold.app.migrate import SETS
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets
from tests import facades, servers
from tests.integration.approvals.people import ABOVE, Bank, person


@pytest.fixture(scope="module")
def bank_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(SETS)


@pytest.fixture
async def bank(bank_database: servers.TestDatabase) -> AsyncIterator[Bank]:
    """As the application sees it: with its role's rights."""
    database = await Database.connect(bank_database.app_dsn, name="test")
    ledger = await Ledger.start(database=database)
    identity = facades.identity(database)
    wallets = Wallets(
        database=database, ledger=ledger, identity=identity, approvals=identity.approvals, approval_above=ABOVE
    )
    identity.approvals.carried_out_by(wallets.executors)
    yield Bank(bank_database.app_dsn, database, identity=identity, ledger=ledger, wallets=wallets)
    await ledger.close()
    await database.close()


@pytest.fixture
async def maker(bank: Bank) -> Principal:
    """Posts by hand."""
    return await person(bank.database, "treasurer")


@pytest.fixture
async def checker(bank: Bank) -> Principal:
    """Another one, who approves."""
    return await person(bank.database, "treasurer")


@pytest.fixture
async def ada(bank: Bank) -> Principal:
    """A customer."""
    return await person(bank.database, "user")


@pytest.fixture
async def hers(bank: Bank, ada: Principal) -> str:
    """Ada's wallet."""
    return await bank.wallet(ada, holding="1000.00")
