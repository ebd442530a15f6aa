"""A queue of mails in a database of its own for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from billfold.platform.keys import Envelope, local
from billfold.platform.mail import sending
from billfold.platform.postgres.database import Database
from tests import master_keys, servers
from tests.integration.mail import support


@pytest.fixture
def mail_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(support.MIGRATIONS)


@pytest.fixture
def envelope(tmp_path: Path) -> Envelope:
    return Envelope(local.load(master_keys.file_in(tmp_path)))


@pytest.fixture
async def post(mail_database: servers.TestDatabase, envelope: Envelope) -> AsyncIterator[support.Post]:
    database = await Database.connect(mail_database.app_dsn, name="test")
    owner = await Database.connect(mail_database.owner_dsn, name="test owner")
    yield support.post(database, owner, envelope)
    await owner.close()
    await database.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again soon, and waits for nothing long."""
    monkeypatch.setattr(sending, "PAUSE_FIRST_S", 0.02)
    monkeypatch.setattr(sending, "PAUSE_MAX_S", 0.1)
    monkeypatch.setattr(sending, "POLL_S", 0.02)
