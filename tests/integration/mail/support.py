"""What the tests of mail share: a queue in a database of its own, and a sender as the worker has it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.headerregistry import Address

from billfold.platform.keys import Envelope
from billfold.platform.mail import transport
from billfold.platform.mail.queue import MailQueue
from billfold.platform.mail.rendering import Renderer
from billfold.platform.mail.sending import Sending
from billfold.platform.mail.transport import Transport
from billfold.platform.postgres.database import Database
from billfold.platform.postgres.migrations import Migrations
from tests import smtp

MIGRATIONS = [
    Migrations("roles", "billfold.platform.postgres.roles"),
    Migrations("mail", "billfold.platform.mail.migrations"),
]
SENDER = Address("Billfold", addr_spec="no-reply@billfold.example")
RENDERER = Renderer(packages=["billfold.identity"], sender=SENDER)
ADA = "ada@example.com"
#: Whatever any template can be filled with.
VALUES = {
    "code": "81726354",
    "token": "rst_0a1b2c3d4e5f",
    "minutes": "10",
    "time": "2026-11-21T19:24:10.000000Z",
    "device": "Firefox on Linux",
    "address": "192.0.2.7",
    "roles": "support, auditor",
    "factor": "passkey",
    "change": "added",
}


@dataclass(frozen=True)
class Post:
    """A queue, and the database it is in."""

    database: Database
    mails: MailQueue
    #: May do what the application may not.
    owner: Database

    async def put(
        self,
        template: str = "verification_code",
        *,
        to: str = ADA,
        locale: str = "en",
        values: Mapping[str, str] = VALUES,
    ) -> None:
        """A mail, in a database transaction of its own."""
        async with self.database.transaction() as connection:
            await self.mails.append(connection, template=template, to=to, locale=locale, values=values)

    async def waiting(self) -> int:
        async with self.database.connection() as connection:
            count: int = await connection.fetchval("SELECT count(*) FROM mail.queue")
        return count

    async def execute(self, sql: str) -> None:
        """As the owner of the schema."""
        async with self.owner.connection() as connection:
            await connection.execute(sql)

    def sending(self, server: smtp.SmtpServer, *, trusted: ssl.SSLContext | None = None, **how: str) -> Sending:
        """What the worker does, against this server."""
        address = transport.Server(
            host="localhost",
            port=server.port,
            tls=how.get("tls", "none"),  # type: ignore[arg-type]
            user=how.get("user"),
            password=how.get("password"),
        )
        return Sending(
            database=self.database,
            mails=self.mails,
            renderer=RENDERER,
            transport=Transport(address, trusted=trusted),
        )

    async def emptied(self, *, but: int = 0) -> None:
        """Wait until nothing is queued any more, or only so many."""

        async def so_few() -> bool:
            return await self.waiting() == but

        await until(so_few)


@contextlib.asynccontextmanager
async def at_work(*senders: Sending) -> AsyncIterator[None]:
    """They send, until the block ends. One that fails fails the test."""
    tasks = [asyncio.create_task(sender.run()) for sender in senders]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


def post(database: Database, owner: Database, envelope: Envelope) -> Post:
    return Post(
        database=database,
        mails=MailQueue(envelope, sms_domain="sms.example"),
        owner=owner,
    )


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for `condition`, but not for ever."""
    async with asyncio.timeout(smtp.DEADLINE_S):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in another process or thread.
            await asyncio.sleep(0.01)
