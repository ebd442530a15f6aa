"""A real worker deletes the sessions that ended long ago, by itself."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from billfold.app.migrate import SETS
from billfold.identity.store import sessions
from billfold.kernel import ids
from billfold.platform.postgres.database import Database
from tests import master_keys, servers
from tests.integration.identity import holders
from tests.integration.ledger.support import eventually
from tests.workers import running_worker


@pytest.fixture
def whole_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    """With everything else that a worker looks at."""
    return postgres_server.create_database(SETS)


async def test_a_worker_forgets_the_sessions_that_ended_long_ago(
    whole_database: servers.TestDatabase, nats_server: servers.NatsServer, tmp_path: Path
) -> None:
    database = await Database.connect(whole_database.app_dsn, name="test")
    ada = await holders.person(database)
    now = datetime.now(UTC)
    ended, alive = ids.new(), ids.new()
    async with database.transaction() as connection:
        for session_id, days in ((ended, -31), (alive, 1)):
            await sessions.insert(
                connection,
                session_id=session_id,
                user_id=ada.owner_id,
                methods=["pwd"],
                device="a test",
                address="203.0.113.9",
                now=now - timedelta(days=60),
                expires_at=now + timedelta(days=days),
            )

    async def only_one_is_left() -> bool:
        async with database.connection() as connection:
            rows = await connection.fetch("SELECT id FROM identity.sessions")
        return [row["id"] for row in rows] == [alive]

    async with running_worker(whole_database, nats_server, keys=master_keys.file_in(tmp_path)):
        await eventually(only_one_is_left)
    await database.close()
