"""Between what is read from the database and what the reader of the process finds nothing is lost, nothing is twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.notifications import Notifications, Stream
from billfold.notifications.service import live
from billfold.platform.postgres.database import Database
from tests import servers
from tests.integration.messaging.queue import opened_wallets
from tests.integration.notifications.support import until
from tests.integration.notifications.test_feed import created, of


@pytest.fixture
async def notifications(whole_database: servers.TestDatabase) -> AsyncIterator[Notifications]:
    database = await Database.connect(whole_database.app_dsn, name="test live")
    async with opened_wallets(whole_database) as wallets:
        yield Notifications(database=database, wallets=wallets)
    await database.close()


async def again() -> Principal:
    return of(ids.new(), "wallets:read", "account")


async def told(notifications: Notifications, owner: UUID, numbers: range) -> None:
    await notifications.recorder.record([created(owner, number) for number in numbers])


async def heard(stream: Stream, count: int) -> list[int]:
    """The positions of so many events, and of what comes with the last of them."""
    found: list[int] = []
    while len(found) < count:
        found += [event.position for event in await stream.next(wait_s=60)]
    return found


async def test_what_was_read_and_is_found_as_well_is_told_once(notifications: Notifications) -> None:
    owner = ids.new()
    async with notifications.live.listening(of(owner), again) as stream:
        await stream.hear(None)
        await told(notifications, owner, range(1, 6))

        async def waits() -> bool:
            return len(stream._waiting) == 5

        # The reader has them all, and then they are read from the database, too.
        await until(waits)
        await stream.hear(None, after=2)
        assert await heard(stream, 3) == [3, 4, 5]
        await told(notifications, owner, range(6, 7))
        assert await heard(stream, 1) == [6]


async def test_a_burst_of_more_than_can_wait_is_told_whole(notifications: Notifications) -> None:
    owner = ids.new()
    async with notifications.live.listening(of(owner), again) as stream:
        await stream.hear(None)
        await told(notifications, owner, range(1, live.WAITING_MAX + 50))

        async def is_dropped() -> bool:
            return stream._dropped

        await until(is_dropped)
        assert len(stream._waiting) <= live.WAITING_MAX
        assert await heard(stream, live.WAITING_MAX + 49) == list(range(1, live.WAITING_MAX + 50))
        assert stream.ended is None


async def test_what_happens_while_one_catches_up_is_told_after_it(notifications: Notifications) -> None:
    owner = ids.new()
    await told(notifications, owner, range(1, 251))
    async with notifications.live.listening(of(owner), again) as stream:
        await stream.hear(None, after=0)
        found = await heard(stream, 1)
        assert found == list(range(1, live.PAGE_MAX + 1))
        await told(notifications, owner, range(251, 261))
        assert found + await heard(stream, 160) == list(range(1, 261))
