"""Signing keys are everybody's, so each test has a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from billfold.identity.service.signing import Tokens
from billfold.platform.keys import Envelope, local
from billfold.platform.postgres.database import Database
from tests import master_keys, servers
from tests.integration.identity.conftest import MIGRATIONS
from tests.integration.identity.signing.processes import Clock, a_process


@pytest.fixture
async def database(postgres_server: servers.PostgresServer) -> AsyncIterator[Database]:
    """Signing keys are everybody's, so each test has a database of its own."""
    connected = await Database.connect(postgres_server.create_database(MIGRATIONS).app_dsn, name="test")
    yield connected
    await connected.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def envelope(tmp_path: Path) -> Envelope:
    return Envelope(local.load(master_keys.file_in(tmp_path)))


@pytest.fixture
def tokens(database: Database, envelope: Envelope, clock: Clock) -> Tokens:
    return a_process(database, envelope, clock)


@pytest.fixture
def other(database: Database, envelope: Envelope, clock: Clock) -> Tokens:
    """Another process."""
    return a_process(database, envelope, clock)
