"""One PostgreSQL, one NATS and one Redis for the whole run.

Each test that writes takes a database of its own from the server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests import servers


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.PostgresServer]:
    """A real PostgreSQL. A test that kills or stops a server starts its own by `servers.running_postgres`."""
    folder = tmp_path_factory.mktemp("pg")
    with servers.running_postgres(folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.NatsServer]:
    """A real NATS with JetStream. A test that kills or stops a server starts its own by `servers.running_nats`."""
    folder = tmp_path_factory.mktemp("nats")
    with servers.running_nats(folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.RedisServer]:
    """A real Redis, which a test may kill or stop if it starts it again."""
    if servers.RedisServer.program is None:
        pytest.skip("redis-server, the Debian package, is not installed")
    folder = tmp_path_factory.mktemp("redis")
    with servers.running_redis(folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture
def empty_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    """A database without a single table. It ends with the server: dropping one takes longer than making one."""
    return postgres_server.create_database()
