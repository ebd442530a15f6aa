"""Between what is read from the database and what the reader of the process finds nothing is lost, nothing is twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from uuid import UUID

import pytest
import structlog
from asyncpg.exceptions import DataCorruptedError

from billfold.kernel import ids
from billfold.kernel.errors import Unauthenticated
from billfold.kernel.principal import MissingScope, Principal
from billfold.notifications import Notifications, Stream, errors, store
from billfold.notifications.contracts import FeedEvent, Place
from billfold.notifications.service import live
from billfold.platform.postgres.database import Connection, Database
from tests import servers
from tests.integration.messaging.queue import opened_wallets
from tests.integration.notifications.support import DEADLINE_S, until
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


async def heard(stream: Stream, number: int) -> list[int]:
    """The positions of so many events, and of what comes with the last of them."""
    found: list[int] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < number:
            found += [event.position for event in await stream.next(wait_s=DEADLINE_S)]
    return found


@asynccontextmanager
async def passing_by(notifications: Notifications) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Waits until the reader has passed by all that was told until then: somebody else hears of what came after it."""
    owner, numbers = ids.new(), count(1)
    async with notifications.live.listening(of(owner), again) as stream:
        await stream.hear(None)
        assert await stream.next(wait_s=0.1) == ()

        async def passed() -> None:
            number = next(numbers)
            await told(notifications, owner, range(number, number + 1))
            assert await heard(stream, 1) == [number]

        yield passed


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


async def test_a_burst_of_more_than_can_wait_during_the_last_page_is_told_after_it(
    notifications: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, burst = ids.new(), range(2, live.WAITING_MAX + 50)
    await told(notifications, owner, range(1, 2))
    page = store.page

    async def burst_meanwhile(*given: Any, **more: Any) -> list[FeedEvent]:
        found = await page(*given, **more)
        monkeypatch.setattr(store, "page", page)
        await told(notifications, owner, burst)
        await passed()
        return found

    async with passing_by(notifications) as passed, notifications.live.listening(of(owner), again) as stream:
        monkeypatch.setattr(store, "page", burst_meanwhile)
        await stream.hear(None, after=0)
        assert await heard(stream, 1) == [1]
        assert await heard(stream, 1) == [*burst][: live.PAGE_MAX]
        assert await heard(stream, len(burst) - live.PAGE_MAX) == [*burst][live.PAGE_MAX :]


async def test_what_commits_while_one_begins_is_told(
    notifications: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, place = ids.new(), store.place

    async def told_meanwhile(connection: Connection, owner_id: UUID) -> Place:
        found = await place(connection, owner_id)
        monkeypatch.setattr(store, "place", place)
        await told(notifications, owner, range(1, 2))
        await passed()
        return found

    async with passing_by(notifications) as passed:
        monkeypatch.setattr(store, "place", told_meanwhile)
        async with notifications.live.listening(of(owner), again) as stream:
            ready = stream.position
            await stream.hear(None)
            await told(notifications, owner, range(2, 3))
            assert (ready, await heard(stream, 2)) == (0, [1, 2])


async def test_whoever_first_says_late_what_they_want_hears_from_where_they_began(
    notifications: Notifications,
) -> None:
    owner = ids.new()
    async with passing_by(notifications) as passed, notifications.live.listening(of(owner), again) as stream:
        assert await stream.next(wait_s=0.1) == ()
        await told(notifications, owner, range(1, 4))
        await passed()
        await stream.hear(None)
        assert await heard(stream, 3) == [1, 2, 3]
        assert await stream.next(wait_s=0.1) == ()
        await stream.hear(set())
        await told(notifications, owner, range(4, 6))
        await passed()
        await stream.hear(None)
        await told(notifications, owner, range(6, 7))
        assert await heard(stream, 1) == [6]


async def test_who_goes_back_while_they_catch_up_is_told_all_of_it(
    notifications: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = ids.new()
    await told(notifications, owner, range(1, 6))
    page, reads, goes_on = store.page, asyncio.Event(), asyncio.Event()

    async def slow(*given: Any, **more: Any) -> list[FeedEvent]:
        found = await page(*given, **more)
        monkeypatch.setattr(store, "page", page)
        reads.set()
        await goes_on.wait()
        return found

    async with notifications.live.listening(of(owner, "wallets:read", "keys:read"), again) as stream:
        monkeypatch.setattr(store, "page", slow)
        await stream.hear({"security"}, after=0)
        telling = asyncio.create_task(heard(stream, 5))
        await reads.wait()
        await stream.hear(set())
        await stream.hear({"wallets"}, after=0)
        goes_on.set()
        assert await telling == [1, 2, 3, 4, 5]


async def test_what_waits_is_not_told_to_who_wants_it_no_more(notifications: Notifications) -> None:
    owner = ids.new()
    async with notifications.live.listening(of(owner, "wallets:read", "keys:read"), again) as stream:
        await stream.hear({"wallets"})
        assert await stream.next(wait_s=0.1) == ()
        await told(notifications, owner, range(1, 3))

        async def waits() -> bool:
            return len(stream._waiting) == 2

        await until(waits)
        await stream.hear({"security"})
        assert await stream.next(wait_s=0.1) == ()


async def test_a_reader_that_fails_goes_on_and_those_who_listen_miss_nothing(
    notifications: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, between = ids.new(), store.between

    async def broken(*_: Any, **__: Any) -> list[store.Told]:
        monkeypatch.setattr(store, "between", between)
        raise DataCorruptedError("invalid page")

    async with notifications.live.listening(of(owner), again) as stream:
        await stream.hear(None)
        assert await stream.next(wait_s=0.1) == ()
        monkeypatch.setattr(store, "between", broken)
        with structlog.testing.capture_logs() as logs:
            await told(notifications, owner, range(1, 3))
            assert await heard(stream, 2) == [1, 2]
        assert [one["event"] for one in logs if one["log_level"] == "error"] == ["reading the feed fails"]
        await told(notifications, owner, range(3, 4))
        assert await heard(stream, 1) == [3]


async def test_streams_end_when_reading_fails_again_and_again_and_others_begin_once_it_does_not(
    notifications: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, head = ids.new(), store.head
    monkeypatch.setattr(live, "LOST_PAUSE_S", 0.01)
    monkeypatch.setattr(live, "BEGIN_TIMEOUT_S", 0.5)

    async def broken(_: Connection) -> int:
        raise DataCorruptedError("invalid page")

    async with notifications.live.listening(of(owner), again) as stream:
        await stream.hear(None)
        monkeypatch.setattr(store, "head", broken)
        with pytest.raises(errors.StreamFailed):
            await heard(stream, 1)
        with pytest.raises(errors.StreamFailed):
            async with notifications.live.listening(of(ids.new()), again):
                pass
        monkeypatch.setattr(store, "head", head)
        monkeypatch.setattr(live, "BEGIN_TIMEOUT_S", DEADLINE_S)
        # The first one has not gone yet, and the reader is the same.
        async with notifications.live.listening(of(owner), again) as other:
            await other.hear(None)
            await told(notifications, owner, range(1, 2))
            assert await heard(other, 1) == [1]


async def test_credentials_that_can_not_be_looked_at_end_their_stream_and_others_are_looked_at(
    notifications: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RECHECKED_S", 0.1)

    async def failing() -> Principal:
        raise AssertionError("nobody has thought of that")

    async def revoked() -> Principal:
        raise Unauthenticated

    listening = notifications.live.listening
    async with listening(of(ids.new()), failing) as first, listening(of(ids.new()), revoked) as second:
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(errors.StreamFailed):
                await first.over()
            with pytest.raises(Unauthenticated):
                await second.over()


async def test_a_stream_ends_when_its_credentials_may_see_less_and_no_other_does(
    notifications: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RECHECKED_S", 0.1)
    looks = 0

    async def fewer() -> Principal:
        return of(ids.new(), "wallets:read")

    async def more() -> Principal:
        nonlocal looks
        looks += 1
        return of(ids.new(), "wallets:read", "keys:read", "account")

    async def looked_at_often() -> bool:
        return looks > 2

    both, listening = ("wallets:read", "keys:read"), notifications.live.listening
    async with listening(of(ids.new(), *both), fewer) as first, listening(of(ids.new(), *both), more) as second:
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(MissingScope):
                await first.over()
        await until(looked_at_often)
        assert second.ended is None
