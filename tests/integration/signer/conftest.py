"""A signer in a database of each module's own."""

from collections.abc import AsyncIterator

import pytest

from billfold.signer import Signer
from tests import servers, signers


@pytest.fixture(scope="module")
def database(postgres_server: servers.PostgresServer) -> signers.SignerDatabase:
    return signers.migrated_database(postgres_server)


@pytest.fixture
def own_database(postgres_server: servers.PostgresServer) -> signers.SignerDatabase:
    return signers.create_database(postgres_server)


@pytest.fixture
def clock() -> signers.SetClock:
    return signers.SetClock()


@pytest.fixture
async def signer(database: signers.SignerDatabase, clock: signers.SetClock) -> AsyncIterator[Signer]:
    async with signers.started(database.dsn, clock=clock) as signer:
        yield signer


@pytest.fixture
async def wallet(signer: Signer) -> signers.Wallet:
    return await signers.Wallet.made(signer)
