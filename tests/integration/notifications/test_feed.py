"""The feed: in which order it becomes visible, whatever writers do, and how long it is kept."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from billfold.kernel import ids
from billfold.kernel.clock import SystemClock
from billfold.kernel.errors import Unavailable
from billfold.kernel.events import Event
from billfold.kernel.principal import Principal
from billfold.notifications import Notifications, store
from billfold.notifications.contracts import EventFilter
from billfold.notifications.domain import AUDIENCES, LEFT
from billfold.notifications.errors import EventsForgotten
from billfold.platform.messaging.inbox import EventDiffers
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets
from billfold.wallets.errors import OwnerNotDeparted
from tests import servers
from tests.integration.messaging.queue import opened_wallets
from tests.integration.messaging.support import somebody_waits, until

WRITERS = 4
EVENTS = 600
OWNERS = 5


def created(owner: UUID, number: int, *, kind: str = "wallet.created.v1") -> Event:
    data: dict[str, Any] = {"wallet_id": str(ids.new()), "owner_id": str(owner), "name": str(number)}
    return Event(
        id=str(ids.new()),
        type=kind,
        source="/billfold/wallets",
        subject=str(number),
        time=datetime.now(UTC),
        key=str(owner),
        data=data,
    )


def of(owner: UUID, *scopes: str) -> Principal:
    return Principal(credential_id=ids.new(), owner_id=owner, scopes=frozenset(scopes or ("wallets:read",)))


@pytest.fixture
async def wallets(whole_database: servers.TestDatabase) -> AsyncIterator[Wallets]:
    async with opened_wallets(whole_database) as opened:
        yield opened


@pytest.fixture
async def database(whole_database: servers.TestDatabase) -> AsyncIterator[Database]:
    database = await Database.connect(whole_database.app_dsn, size=WRITERS + 2, name="test feed")
    yield database
    await database.close()


async def write(notifications: Notifications, events: Sequence[Event]) -> None:
    """As a consumer does: in batches, each again until it is in, and some of them twice."""
    rest = list(events)
    while rest:
        batch = rest[: random.randint(1, 12)]
        for _ in range(random.choice((1, 1, 2))):
            while True:
                try:
                    await notifications.recorder.record(batch)
                except Unavailable:
                    continue
                break
        rest = rest[len(batch) :]


async def test_rows_become_visible_in_their_order_while_writers_are_killed(
    database: Database,
    wallets: Wallets,
    whole_database: servers.TestDatabase,
    postgres_server: servers.PostgresServer,
) -> None:
    notifications = Notifications(database=database, wallets=wallets)
    owners = [ids.new() for _ in range(OWNERS)]
    events = [created(owners[number % OWNERS], number) for number in range(EVENTS)]
    seen: list[store.Told] = []
    done = asyncio.Event()

    async def read() -> None:
        """What is behind the last row that was seen, over and over: whatever comes late in front of it is lost."""
        seq, last_look = 0, False
        async with reader.connection() as connection:
            while not last_look:
                last_look = done.is_set()
                head = await store.head(connection)
                found = await store.between(connection, after=seq, until=head, owners=owners, limit=10_000)
                seen.extend(found)
                seq = head
                await asyncio.sleep(0.001)

    async def kill() -> None:
        while not done.is_set():
            await asyncio.sleep(random.uniform(0, 0.03))
            await asyncio.to_thread(
                postgres_server.execute,
                "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE application_name = "
                "'test feed' ORDER BY random() LIMIT 1) AS one",
            )

    # Nobody kills who reads.
    reader = await Database.connect(whole_database.app_dsn, name="test reader")
    reading, killing = asyncio.create_task(read()), asyncio.create_task(kill())
    # Each event goes to two writers, as if it was delivered again while the first one still had it in hand.
    shares = [events[number::WRITERS] + events[(number + 1) % WRITERS :: WRITERS] for number in range(WRITERS)]
    await asyncio.gather(*(write(notifications, share) for share in shares))
    done.set()
    await asyncio.gather(reading, killing)
    await reader.close()
    assert [told.seq for told in seen] == list(range(1, EVENTS + 1))
    by_owner = defaultdict(list)
    for told in seen:
        by_owner[told.owner_id].append(told.event)
    for owner in owners:
        assert [event.position for event in by_owner[owner]] == list(range(1, EVENTS // OWNERS + 1))
        assert {event.id for event in by_owner[owner]} == {
            event.id for event in events if isinstance(event.data, dict) and event.data["owner_id"] == str(owner)
        }


async def test_pages_follow_one_another_in_both_orders(database: Database, wallets: Wallets) -> None:
    notifications, owner = Notifications(database=database, wallets=wallets), ids.new()
    await notifications.recorder.record([created(owner, number) for number in range(55)])
    for order, expected in (("newest", list(range(55, 0, -1))), ("oldest", list(range(1, 56)))):
        positions, cursor, more = [], None, True
        while more:
            page = await notifications.feed.page(
                principal=of(owner),
                wanted=EventFilter(),
                order=order,  # type: ignore[arg-type]
                cursor=cursor,
                limit=10,
            )
            positions += [event.position for event in page.items]
            cursor = page.next_cursor
            more = cursor is not None
        assert positions == expected


async def test_filters_narrow(database: Database, wallets: Wallets) -> None:
    notifications, owner = Notifications(database=database, wallets=wallets), ids.new()
    events = [created(owner, 1), created(owner, 2, kind="wallet.closed.v1"), created(owner, 3)]
    await notifications.recorder.record(events)

    async def found(principal: Principal | None = None, **wanted: Any) -> list[str]:
        page = await notifications.feed.page(
            principal=principal or of(owner), wanted=EventFilter(**wanted), order="oldest", cursor=None, limit=None
        )
        return [event.subject for event in page.items]

    assert await found() == ["1", "2", "3"]
    assert await found(types=("wallet.closed.v1",)) == ["2"]
    assert await found(types=("wallet.",)) == ["1", "2", "3"]
    assert await found(types=("transfer.",)) == []
    assert await found(topics=("wallets",), after=1) == ["2", "3"]
    assert await found(subject="3") == ["3"]
    assert await found(since=events[1].time) == ["2", "3"]
    assert await found(until=events[1].time) == ["1"]
    assert await found(of(owner, "transfers:read")) == []
    assert await found(of(ids.new())) == []


async def test_what_is_old_is_forgotten_and_said_to_be(database: Database, wallets: Wallets) -> None:
    class Later(SystemClock):
        def now(self) -> datetime:
            return super().now() + timedelta(days=31)

    owner, other = ids.new(), ids.new()
    today = Notifications(database=database, wallets=wallets)
    await today.recorder.record([created(owner, 1), created(owner, 2), created(other, 3)])
    forgetting = asyncio.create_task(Notifications(database=database, wallets=wallets, clock=Later()).recorder.forget())
    async with asyncio.timeout(60):
        while True:
            async with database.connection() as connection:
                if (await store.place(connection, owner)).forgotten == 2:
                    break
            await asyncio.sleep(0.01)
    forgetting.cancel()
    with pytest.raises(EventsForgotten):
        await today.feed.page(principal=of(owner), wanted=EventFilter(after=1), order="oldest", cursor=None, limit=None)
    await today.recorder.record([created(owner, 4)])
    page = await today.feed.page(
        principal=of(owner), wanted=EventFilter(after=2), order="oldest", cursor=None, limit=None
    )
    assert [event.position for event in page.items] == [3]


async def test_another_event_under_a_known_id_is_told_to_nobody_and_those_beside_it_are_told(
    database: Database, wallets: Wallets
) -> None:
    notifications, owner, stranger = Notifications(database=database, wallets=wallets), ids.new(), ids.new()
    first, second, third = (created(owner, number) for number in (1, 2, 3))
    # One differs from what was told before, the other from what comes with it.
    lies = [msgspec.structs.replace(created(stranger, 9), id=event.id) for event in (first, second)]
    await notifications.recorder.record([first])
    with pytest.raises(EventDiffers):
        await notifications.recorder.record([lies[0], second, first, lies[1], third])
    # As whoever set aside the two takes the rest.
    for event in (second, first, third):
        await notifications.recorder.record([event])
    for lie in lies:
        with pytest.raises(EventDiffers):
            await notifications.recorder.record([lie])

    async def told(to: UUID) -> list[tuple[int, str]]:
        page = await notifications.feed.page(
            principal=of(to), wanted=EventFilter(), order="oldest", cursor=None, limit=None
        )
        return [(event.position, event.subject) for event in page.items]

    assert await told(owner) == [(1, "1"), (2, "2"), (3, "3")]
    assert await told(stranger) == []


@pytest.mark.parametrize("turn", [1, -1])
async def test_forgetting_and_writing_at_the_same_time_do_not_wait_for_each_other_in_a_circle(
    database: Database, wallets: Wallets, turn: int
) -> None:
    notifications, owners = Notifications(database=database, wallets=wallets), sorted([ids.new(), ids.new()])
    await notifications.recorder.record([created(owner, 1) for owner in owners])
    first, second = ([_entry(owner)] for owner in owners[::turn])

    async def forget() -> int:
        async with database.transaction() as connection:
            return await store.forget(connection, before=datetime.now(UTC) + timedelta(days=1), limit=100)

    async def waits() -> bool:
        return forgetting.done() or await somebody_waits(database)

    async with database.transaction() as connection:
        await store.append(connection, first)
        forgetting = asyncio.create_task(forget())
        await until(waits)
        await store.append(connection, second)
    assert await forgetting == 4


@pytest.mark.parametrize("end", [1, 2, 3])
@pytest.mark.parametrize("together", [True, False])
async def test_whoever_leaves_is_forgotten_whatever_is_told_of_them_before_and_later(
    database: Database, wallets: Wallets, end: int, *, together: bool
) -> None:
    notifications, owner, other = Notifications(database=database, wallets=wallets), ids.new(), ids.new()
    events = [created(owner, number, kind=LEFT if number == end else "wallet.created.v1") for number in (1, 2, 3)]
    events.append(created(other, 4))
    await leave(database, wallets, owner)
    # And all of it once more.
    for batch in [events] * 2 if together else [[event] for event in events] * 2:
        await notifications.recorder.record(batch)
    assert await seen(database, owner) == []
    async with database.connection() as connection:
        place = await store.place(connection, owner)
    assert (place.position, place.forgotten) == (3, 3)
    assert await seen(database, other) == ["4"]


async def test_nobody_is_forgotten_because_an_event_says_that_they_have_left(
    database: Database, wallets: Wallets
) -> None:
    """Whoever can write to the broker says what they like."""
    notifications, owner, other = Notifications(database=database, wallets=wallets), ids.new(), ids.new()
    await notifications.recorder.record([created(owner, 1)])
    # Of one who has left it is true; that helps no lie beside it.
    await leave(database, wallets, other)
    truth, lie, fact = created(other, 2, kind=LEFT), created(owner, 3, kind=LEFT), created(owner, 4)
    for batch in ([lie], [truth, lie, fact], [lie]):
        with pytest.raises(OwnerNotDeparted):
            await notifications.recorder.record(batch)
    assert await seen(database, owner) == ["1"]
    # As whoever set the lie aside takes the rest.
    for event in (truth, fact):
        await notifications.recorder.record([event])
    assert await seen(database, owner) == ["1", "4"]
    # It was none, had it only come too early: whoever retries it then is right.
    await leave(database, wallets, owner)
    await notifications.recorder.record([lie])
    assert await seen(database, owner) == []


async def leave(database: Database, wallets: Wallets, owner: UUID) -> None:
    """Close the account, as far as it concerns wallets."""
    async with database.transaction() as connection:
        assert await wallets.departures.close_all(connection, owner_id=owner) == []


async def seen(database: Database, owner: UUID) -> list[str]:
    """What all that the owner was told is about."""
    async with database.connection() as connection:
        found = await store.page(connection, owner, types=list(AUDIENCES), after=0, limit=100)
    return [event.subject for event in found]


async def test_what_nobody_may_see_is_written_for_nobody(database: Database, wallets: Wallets) -> None:
    notifications, owner = Notifications(database=database, wallets=wallets), ids.new()
    await notifications.recorder.record([created(owner, 1, kind="wallet.secret.v1"), created(owner, 2, kind="x")])
    async with database.connection() as connection:
        assert await store.head(connection) == 0


def _entry(owner: UUID) -> store.Entry:
    return store.Entry(owner, "/billfold/wallets", str(ids.new()), "wallet.created.v1", "2", datetime.now(UTC), "{}")
