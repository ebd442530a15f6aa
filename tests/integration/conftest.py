"""Each test that writes takes a database of its own from the server."""

from __future__ import annotations

import pytest

from tests import servers


@pytest.fixture
def empty_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    """A database without a single table. It ends with the server: dropping one takes longer than making one."""
    return postgres_server.create_database()
