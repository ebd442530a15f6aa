"""What is queued is sent, once, soon, and if and only if its database transaction commits."""

import asyncio
import time
from collections import Counter

import asyncpg
import pytest
from prometheus_client import REGISTRY

from billfold.platform.keys import Envelope
from billfold.platform.mail import errors, sending
from billfold.platform.mail.queue import MailQueue
from tests import servers, smtp
from tests.integration.mail.support import ADA, VALUES, Post, at_work, until


async def test_a_mail_of_a_transaction_that_is_rolled_back_is_never_sent(
    post: Post, smtp_server: smtp.SmtpServer
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with post.database.transaction() as connection:
            await post.mails.append(connection, template="new_login", to="eve@example.com", locale="en", values={})
            raise ZeroDivisionError
    await post.put()
    async with at_work(post.sending(smtp_server)):
        await post.emptied()
    assert [received.recipients for received in smtp_server.received] == [[ADA]]


async def test_a_code_is_there_within_a_second_or_so(post: Post, smtp_server: smtp.SmtpServer) -> None:
    async with at_work(post.sending(smtp_server)):
        await asyncio.sleep(sending.POLL_S / 2)
        began = time.monotonic()
        await post.put()
        await asyncio.to_thread(smtp_server.wait_for, 1)
    # Half a second of looking, and a busy machine's share.
    assert time.monotonic() - began < 5


async def test_several_workers_send_each_mail_once(post: Post, smtp_server: smtp.SmtpServer) -> None:
    async with post.database.transaction() as connection:
        for number in range(120):
            await post.mails.append(
                connection, template="verification_code", to=f"user{number}@example.com", locale="en", values=VALUES
            )
    async with at_work(*(post.sending(smtp_server) for _ in range(3))):
        await post.emptied()
    counted = Counter(received.recipients[0] for received in smtp_server.received)
    assert counted == {f"user{number}@example.com": 1 for number in range(120)}


async def test_values_are_sealed_while_they_wait_and_gone_when_they_are_sent(
    post: Post, smtp_server: smtp.SmtpServer
) -> None:
    await post.put(values=VALUES | {"code": "99887766"})
    async with post.database.connection() as connection:
        row = await connection.fetchrow("SELECT q::text AS row, sealed FROM mail.queue AS q")
    assert row is not None
    assert "99887766" not in row["row"]
    assert b"99887766" not in row["sealed"]
    async with at_work(post.sending(smtp_server)):
        await post.emptied()
    assert "99887766" in smtp_server.received[0].text()


async def test_values_open_in_their_own_mail_alone(post: Post, smtp_server: smtp.SmtpServer, impatient: None) -> None:
    """Whoever can write rows can't have the code of somebody else sent to themselves."""
    await post.put(to="ada@example.com")
    await post.put(to="eve@example.com", template="new_login", values={})
    await post.execute(
        "UPDATE mail.queue SET template = 'verification_code', sealed = "
        "(SELECT sealed FROM mail.queue WHERE recipient = 'ada@example.com') WHERE recipient = 'eve@example.com'"
    )
    async with at_work(post.sending(smtp_server)):
        await asyncio.to_thread(smtp_server.wait_for, 1)
        await until_tried(post, "eve@example.com", 3)
    assert [received.recipients for received in smtp_server.received] == [["ada@example.com"]]


async def test_who_only_reads_sees_no_address_and_no_value(mail_database: servers.TestDatabase, post: Post) -> None:
    await post.put()
    reader = await asyncpg.connect(mail_database.readonly_dsn)
    try:
        assert await reader.fetchval("SELECT template FROM mail.queue") == "verification_code"
        for column in ("recipient", "sealed"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.fetch(f"SELECT {column} FROM mail.queue")
    finally:
        await reader.close()


async def test_a_phone_that_no_gateway_reaches_is_refused_at_once(post: Post, envelope: Envelope) -> None:
    without_gateway = MailQueue(envelope)
    with pytest.raises(errors.PhonesUnreachable):
        async with post.database.transaction() as connection:
            await without_gateway.append(
                connection, template="verification_code_sms", to="+66812345678", locale="en", values=VALUES
            )


async def test_the_queue_is_measured(post: Post, smtp_server: smtp.SmtpServer) -> None:
    await post.put()
    await post.put()
    await post.execute("UPDATE mail.queue SET created_at = created_at - interval '90 s'")
    sent = counter("billfold_mail_sent_total")
    measuring = asyncio.create_task(sending.measure(post.database))

    async def measured() -> bool:
        return counter("billfold_mail_queued") == 2

    await until(measured)
    assert 90 <= counter("billfold_mail_oldest_age_seconds") < 120
    measuring.cancel()
    async with at_work(post.sending(smtp_server)):
        await post.emptied()
    assert counter("billfold_mail_sent_total") == sent + 2


def counter(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def until_tried(post: Post, recipient: str, times: int) -> None:
    async def so_often() -> bool:
        async with post.database.connection() as connection:
            tried = await connection.fetchval("SELECT attempts FROM mail.queue WHERE recipient = $1", recipient)
        return tried is not None and tried >= times

    await until(so_often)
