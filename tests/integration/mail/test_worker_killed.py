"""The real worker, killed with SIGKILL while the mail server has a mail in its hands."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from billfold.app.migrate import SETS
from billfold.platform.keys import Envelope, local
from tests import master_keys, servers, smtp
from tests.integration.mail.support import ADA, VALUES, Post
from tests.workers import running_worker


@pytest.fixture
def mail_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    """With everything else that a worker looks at."""
    return postgres_server.create_database(SETS)


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
    keys = master_keys.file_in(tmp_path)
    async with running_worker(mail_database, nats_server, keys=keys, more=_settings(smtp_server)) as worker:
        await post.put()
        await asyncio.to_thread(smtp_server.wait_for, 1)
        os.kill(worker.pid, signal.SIGKILL)
        await worker.wait()
    assert await post.waiting() == 1
    smtp_server.behaviour = smtp.Behaviour()
    # The minute for which it was the killed worker's is over.
    await post.execute("UPDATE mail.queue SET next_try_at = now()")
    async with running_worker(mail_database, nats_server, keys=keys, more=_settings(smtp_server)):
        await post.emptied()
    first, second = smtp_server.received
    assert first.recipients == second.recipients == [ADA]
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert VALUES["code"] in second.text()


def _settings(mail: smtp.SmtpServer) -> Mapping[str, str]:
    return {
        "BILLFOLD_MAIL__HOST": "127.0.0.1",
        "BILLFOLD_MAIL__PORT": str(mail.port),
        "BILLFOLD_MAIL__TLS": "none",
    }
