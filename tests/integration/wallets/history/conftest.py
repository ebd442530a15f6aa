"""Wallets on a real PostgreSQL, and the copy of their history on a real Cassandra."""

from collections.abc import AsyncIterator

import pytest

from billfold.app.migrate import SETS
from billfold.kernel import ids
from billfold.kernel.clock import SystemClock
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform import cql
from billfold.platform.postgres.database import Database
from billfold.wallets import CqlHistory, Wallets, make_history_tables
from billfold.wallets.contracts import HistorySource
from tests import facades, servers
from tests.integration.approvals.people import person
from tests.integration.requests.support import Office, Watch
from tests.integration.wallets.history.support import Histories

SOURCES: tuple[HistorySource, ...] = ("postgresql", "cql")
#: A node on a busy machine takes its time to make a table.
PATIENCE_S = 120.0


@pytest.fixture(scope="session")
async def cql_keyspace(cassandra_server: servers.CassandraServer) -> AsyncIterator[tuple[cql.Session, str]]:
    """A session with the server, and a keyspace with our tables."""
    keyspace = f"billfold_{ids.new().hex}"
    async with cql.opened(servers.cql_of(cassandra_server)) as session:
        await session.wait_until_up(PATIENCE_S)
        await make_history_tables(session, keyspace=keyspace, datacenter=None, copies=1)
        yield session, keyspace


@pytest.fixture
def own_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    """With people: requests that are carried out later are so in their names."""
    return postgres_server.create_database(SETS)


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest) -> HistorySource:
    found: HistorySource = request.param
    return found


@pytest.fixture
async def copy(cql_keyspace: tuple[cql.Session, str], ledger: Ledger) -> CqlHistory:
    """A copy of an empty ledger."""
    session, keyspace = cql_keyspace
    await session.wait_until_up(PATIENCE_S)
    copy = CqlHistory(session=session, ledger=ledger, keyspace=keyspace, ttl_days=None, clock=SystemClock())
    # What `rebuild` makes of an empty ledger, without waiting for those who read the one before.
    await copy.tables.mark(complete=True, rebuild=ids.new())
    return copy


@pytest.fixture
def histories(database: Database, ledger: Ledger, copy: CqlHistory) -> Histories:
    identity = facades.identity(database)
    return Histories(
        database=database,
        ledger=ledger,
        journal=Wallets(database=database, ledger=ledger, identity=identity),
        copied=Wallets(database=database, ledger=ledger, identity=identity, history=copy),
        copy=copy,
    )


@pytest.fixture
def office(own_database: servers.TestDatabase, histories: Histories) -> Office:
    """Where requests are accepted and carried out."""
    identity, watch = facades.identity(histories.database), Watch()
    wallets = Wallets(database=histories.database, ledger=histories.ledger, identity=identity, clock=watch)
    office = Office(
        own_database.app_dsn, histories.database, identity=identity, ledger=histories.ledger, wallets=wallets
    )
    office.clock = watch
    return office


@pytest.fixture
async def customer(office: Office) -> Principal:
    """Who sends requests, and has logged in."""
    return await person(office.database, "user")
