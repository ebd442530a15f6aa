"""The real worker, killed with SIGKILL while the mail server has a mail in its hands."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from billfold.app.migrate import SETS
from billfold.platform import host
from billfold.platform.keys import Envelope, local
from billfold.platform.postgres.migrations import migrate
from tests import master_keys, servers, smtp
from tests.integration.mail.support import ADA, VALUES, Post


@pytest.fixture
async def mail_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    """With everything else that a worker looks at."""
    database = postgres_server.create_database()
    await migrate(database.owner_dsn, SETS)
    return database


@pytest.fixture
def envelope(tmp_path: Path) -> Envelope:
    """Of the same keys as the worker's."""
    return Envelope(local.load(master_keys.file_in(tmp_path)))


async def test_a_mail_whose_worker_is_killed_arrives_and_is_known_if_it_arrives_twice(
    post: Post,
    mail_database: servers.TestDatabase,
    nats_server: servers.NatsServer,
    smtp_server: smtp.SmtpServer,
    tmp_path: Path,
) -> None:
    smtp_server.behaviour.silent = True
    async with _worker(mail_database, nats_server, smtp_server, tmp_path) as worker:
        await post.put()
        await asyncio.to_thread(smtp_server.wait_for, 1)
        os.kill(worker.pid, signal.SIGKILL)
        await worker.wait()
    assert await post.waiting() == 1
    smtp_server.behaviour = smtp.Behaviour()
    # The minute for which it was the killed worker's is over.
    await post.execute("UPDATE mail.queue SET next_try_at = now()")
    async with _worker(mail_database, nats_server, smtp_server, tmp_path):
        await post.emptied()
    first, second = smtp_server.received
    assert first.recipients == second.recipients == [ADA]
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert VALUES["code"] in second.text()


@asynccontextmanager
async def _worker(
    database: servers.TestDatabase, nats: servers.NatsServer, mail: smtp.SmtpServer, folder: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`billfold serve worker`, until the block ends."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")} | {
        "BILLFOLD_POSTGRES__DSN": database.app_dsn,
        "BILLFOLD_NATS__URL": nats.url,
        "BILLFOLD_NATS__USER": nats.user,
        "BILLFOLD_NATS__PASSWORD": nats.password,
        "BILLFOLD_KEYS__FILE": str(master_keys.file_in(folder)),
        "BILLFOLD_MAIL__HOST": "127.0.0.1",
        "BILLFOLD_MAIL__PORT": str(mail.port),
        "BILLFOLD_MAIL__TLS": "none",
        "BILLFOLD_WORKER__METRICS_PORT": str(host.free_port()),
    }
    command = (sys.executable, "-m", "billfold.app.cli", "serve", "worker")
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
