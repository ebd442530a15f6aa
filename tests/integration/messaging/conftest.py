"""A database with an outbox or with wallets, and a NATS without streams, for each test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from billfold.platform.messaging import topics
from billfold.platform.messaging.brokers import nats, streams
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets
from tests import servers
from tests.integration.messaging.queue import opened_wallets
from tests.integration.messaging.support import MIGRATIONS, WALLETS_MIGRATIONS


@pytest.fixture
async def database(postgres_server: servers.PostgresServer) -> AsyncIterator[Database]:
    async with outbox_in(postgres_server) as database:
        yield database


@asynccontextmanager
async def outbox_in(postgres_server: servers.PostgresServer) -> AsyncIterator[Database]:
    """A database of its own as the application sees it: with its role's rights."""
    own = postgres_server.create_database(MIGRATIONS)
    database = await Database.connect(own.app_dsn, name="test")
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
async def server(nats_server: servers.NatsServer) -> nats.Server:
    """The NATS of the run, without the streams of earlier tests."""
    server = nats.Server(url=nats_server.url, user=nats_server.user, password=nats_server.password)
    await without_streams(server)
    return server


async def without_streams(server: nats.Server) -> None:
    async with nats.connected(server, name="test") as broker:
        for topic in (topics.EVENTS, topics.CONFIRMED, topics.DEAD_LETTERS):
            try:
                await broker.api(f"STREAM.DELETE.{streams.of(topic).name}", {}, dict)
            except nats.JetStreamRefused as refused:
                assert "stream not found" in str(refused)


@pytest.fixture
def wallets_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(WALLETS_MIGRATIONS)


@pytest.fixture
async def wallets(wallets_database: servers.TestDatabase) -> AsyncIterator[Wallets]:
    async with opened_wallets(wallets_database) as opened:
        yield opened
