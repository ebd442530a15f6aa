"""The worker's duty: take mails that are due, hand them to the mail server, and forget them.

No database transaction is open while the server is spoken with: it may take its time. A mail is taken for a while
instead, and whoever ends without forgetting it leaves it to the next.
"""

from __future__ import annotations

import asyncio
import random

import structlog

from billfold.kernel.errors import BillfoldError, Unavailable
from billfold.platform.mail import errors, metrics, queue
from billfold.platform.mail.queue import Mail, MailQueue
from billfold.platform.mail.rendering import Renderer
from billfold.platform.mail.transport import Transport
from billfold.platform.postgres.database import Database

#: How many mails are on their way at a time; each has a connection of its own to the mail server.
CONCURRENT_MAX = 8
#: Whoever waits for a code looks at their inbox; being told of each row instead would take a lock of the whole database
#: server at each COMMIT.
POLL_S = 0.5
#: The whole conversation with the mail server.
SEND_TIMEOUT_S = 30.0
#: How long a mail is one sender's: longer than sending takes, and than the database may then take to forget it. After a
#: crash it goes out when this is over.
LEASE_S = 60.0
#: From the first failure to the second try; then twice as long, up to the second.
PAUSE_FIRST_S = 1.0
PAUSE_MAX_S = 300.0
#: So that what failed together doesn't come again together.
PAUSE_JITTER = 0.2
#: Nobody waits for a code or a warning that is a day late.
GIVE_UP_AFTER_S = 24 * 3600.0
MEASURE_PAUSE_S = 5.0

log = structlog.get_logger(__name__)


class Sending:
    """Sends what is in the queue. Any number of processes may."""

    def __init__(self, *, database: Database, mails: MailQueue, renderer: Renderer, transport: Transport) -> None:
        self._database = database
        self._mails = mails
        self._renderer = renderer
        self._transport = transport

    async def run(self) -> None:
        """Send until cancelled; what is on its way then is left to the next at once.

        Raises:
            DatabaseUnavailable: nothing is lost, so call it again.
        """
        on_their_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                free = CONCURRENT_MAX - len(on_their_way)
                on_their_way |= {asyncio.create_task(self._deliver(mail)) for mail in await self._take(free)}
                on_their_way = await _some_done(on_their_way)
        finally:
            for task in on_their_way:
                task.cancel()
            await asyncio.gather(*on_their_way, return_exceptions=True)

    async def _take(self, limit: int) -> list[Mail]:
        if not limit:
            return []
        async with self._database.connection() as connection:
            return await queue.take(connection, limit, lease_s=LEASE_S)

    async def _deliver(self, mail: Mail) -> None:
        try:
            await self._send(mail)
        except asyncio.CancelledError:
            await self._postpone(mail, pause_s=0)
            raise
        except errors.MailRefused as error:
            await self._give_up(mail, "refused", error)
        except BillfoldError as error:
            outcome = "postponed" if isinstance(error, Unavailable) else "broken"
            if mail.age_s > GIVE_UP_AFTER_S:
                await self._give_up(mail, "too_late", error)
            else:
                await self._try_later(mail, outcome, error)
        else:
            await self._forget(mail)
            metrics.SENT.inc()
            log.info("a mail is sent", mail=str(mail.id), template=mail.template, age_s=round(mail.age_s, 3))

    async def _send(self, mail: Mail) -> None:
        message = self._renderer.render(mail, await self._mails.values(mail))
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._transport.send(message, sender=self._renderer.sender.addr_spec, recipient=mail.recipient)
        except TimeoutError as error:
            raise errors.MailServerUnavailable("the mail server is too slow") from error

    async def _try_later(self, mail: Mail, outcome: str, error: BillfoldError) -> None:
        pause_s = min(PAUSE_FIRST_S * 2.0 ** min(mail.attempts - 1, 30), PAUSE_MAX_S)
        pause_s *= random.uniform(1 - PAUSE_JITTER, 1 + PAUSE_JITTER)  # noqa: S311 - chance spreads load, no secret.
        await self._postpone(mail, pause_s=pause_s)
        metrics.FAILED.labels(outcome).inc()
        tell = log.warning if outcome == "postponed" else log.error
        tell("a mail can't be sent yet", pause_s=round(pause_s, 1), **_about(mail, error))

    async def _give_up(self, mail: Mail, outcome: str, error: BillfoldError) -> None:
        await self._forget(mail)
        metrics.FAILED.labels(outcome).inc()
        log.error("a mail is given up", outcome=outcome, **_about(mail, error))

    async def _forget(self, mail: Mail) -> None:
        async with self._database.connection() as connection:
            await queue.remove(connection, mail)

    async def _postpone(self, mail: Mail, *, pause_s: float) -> None:
        async with self._database.connection() as connection:
            await queue.postpone(connection, mail, pause_s=pause_s)


async def measure(database: Database) -> None:
    """Keep the metrics of the queue up to date until cancelled.

    Raises:
        DatabaseUnavailable: it can't be known now.
    """
    while True:
        async with database.connection() as connection:
            lag = await queue.lag(connection)
        metrics.QUEUED.set(lag.mails)
        metrics.AGE.set(lag.age_s)
        await asyncio.sleep(MEASURE_PAUSE_S)


async def _some_done(tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Those that still run, once one has ended or it is time to look for new mails."""
    if not tasks:
        await asyncio.sleep(POLL_S)
        return tasks
    done, running = await asyncio.wait(tasks, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return running


def _about(mail: Mail, error: BillfoldError) -> dict[str, object]:
    """For the log: neither whom the mail is for nor what is in it."""
    return {"mail": str(mail.id), "template": mail.template, "attempt": mail.attempts, "reason": error.detail}
