"""Each test that writes takes a database of its own from the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import servers
from tests.servers import devnets


@pytest.fixture
def empty_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    """A database without a single table. It ends with the server: dropping one takes longer than making one."""
    return postgres_server.create_database()


@pytest.fixture(scope="session")
def stellar_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[devnets.DevnetServer]:
    """The Stellar of this machine. A test has accounts of its own, closes its own ledgers, and leaves it running."""
    with devnets.running_devnet("stellar", tmp_path_factory.mktemp("stellar")) as server:
        yield server
