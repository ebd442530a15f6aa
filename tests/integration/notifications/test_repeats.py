"""The feed on every broker: what a killed relay publishes again is a repeat, another event under its id is none, and
what is not so is told to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest

from billfold.kernel import ids
from billfold.kernel.errors import Refusal
from billfold.kernel.events import Event
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.notifications import Notifications, workers
from billfold.notifications.contracts import EventFilter, FeedEvent
from billfold.notifications.domain import LEFT
from billfold.platform.messaging import cloudevents, outbox, topics
from billfold.platform.messaging.consuming import EventConsumer
from billfold.platform.messaging.port import Message, Messaging
from billfold.platform.messaging.relay import Relay
from billfold.platform.postgres.database import Connection, Database
from billfold.wallets import Wallets
from billfold.wallets.contracts import NewHold, Order
from tests import facades, servers
from tests.integration.messaging.brokers.conftest import Bench, bench
from tests.integration.messaging.brokers.test_consuming import consumed
from tests.integration.messaging.support import DEADLINE_S, published, running, until, waiting
from tests.integration.notifications.test_feed import created
from tests.integration.wallets.support import SCOPES, wallet_of

__all__ = ["bench"]


@pytest.fixture
async def database(whole_database: servers.TestDatabase) -> AsyncIterator[Database]:
    database = await Database.connect(whole_database.app_dsn, name="test")
    yield database
    await database.close()


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[Ledger]:
    ledger = await Ledger.start(database=database)
    yield ledger
    await ledger.close()


@pytest.fixture
def wallets(database: Database, ledger: Ledger) -> Wallets:
    return Wallets(database=database, ledger=ledger, identity=facades.identity(database))


async def test_what_a_relay_publishes_again_after_it_was_killed_contradicts_nothing(
    database: Database,
    ledger: Ledger,
    wallets: Wallets,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notifications = Notifications(database=database, wallets=wallets)
    ada = Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=SCOPES)
    wallet = await wallet_of(wallets, ada, holding="100.00")
    relay = Relay(database=database, messaging=bench.messaging, expanders=ledger.expanders)
    published_once = asyncio.Event()
    look = outbox.waiting

    async def never_deletes(connection: Connection, limit: int, *, remove: Sequence[int] = ()) -> list[outbox.Row]:
        if remove:
            published_once.set()
            await asyncio.Event().wait()
        return await look(connection, limit)

    await _spend(wallets, ada, wallet)
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "waiting", never_deletes)
        async with running(relay):
            await asyncio.wait_for(published_once.wait(), DEADLINE_S)
    # What is read together is not the same again.
    first = await waiting(database)
    await _spend(wallets, ada, wallet)
    async with running(relay):
        await published(database)

    taken: list[str] = []
    refusals: list[Refusal] = []

    async def record(events: Sequence[Event]) -> None:
        try:
            await notifications.recorder.record(events)
        except Refusal as refusal:
            refusals.append(refusal)
            raise
        taken.extend(event.id for event in events)

    consumer = EventConsumer(messaging=bench.messaging, database=database, subscription=workers.FEED, handle=record)
    # A wallet, its deposit, and twice a transfer in and out and a hold. NATS alone drops repeats by itself.
    told = 2 + 2 * 3
    async with consumed(consumer):

        async def all_have_come() -> bool:
            return bool(refusals) or len(taken) >= told + (first if bench.name != "nats" else 0)

        await until(all_have_come)
    assert refusals == []
    assert first == told - 3
    assert [event.id for event in await _feed(notifications, ada.owner_id)] == list(dict.fromkeys(taken))


async def test_another_event_under_the_id_of_one_that_was_told_is_set_aside_and_those_beside_it_are_told(
    database: Database, wallets: Wallets, bench: Bench
) -> None:
    notifications = Notifications(database=database, wallets=wallets)
    owner, stranger = ids.new(), ids.new()
    events = [created(owner, number) for number in range(5)]
    lie = created(stranger, 9)
    lie = msgspec.structs.replace(lie, id=events[1].id, key=events[1].key)
    await _publish(bench.messaging, [*events[:3], lie, *events[3:]])
    consumer = workers.consumer(notifications=notifications, messaging=bench.messaging, database=database)
    async with consumed(consumer):

        async def all_are_told_and_one_is_not() -> bool:
            return len(await _feed(notifications, owner)) >= 5 and bool(await _refused(database))

        await until(all_are_told_and_one_is_not)
    assert [event.subject for event in await _feed(notifications, owner)] == ["0", "1", "2", "3", "4"]
    assert await _feed(notifications, stranger) == []
    (refused,) = await _refused(database)
    assert (refused["consumer"], refused["reason"], refused["event_id"]) == ("feed", "event_differs", lie.id)
    assert refused["body"] == cloudevents.encode(lie)


async def test_an_account_that_is_falsely_said_to_be_closed_keeps_its_feed_and_the_lie_is_set_aside(
    database: Database, wallets: Wallets, bench: Bench
) -> None:
    notifications, owner = Notifications(database=database, wallets=wallets), ids.new()
    lie = created(owner, 9, kind=LEFT)
    await _publish(bench.messaging, [created(owner, 0), created(owner, 1), lie, created(owner, 2)])
    consumer = workers.consumer(notifications=notifications, messaging=bench.messaging, database=database)
    async with consumed(consumer):

        async def all_are_told_and_one_is_not() -> bool:
            return len(await _feed(notifications, owner)) >= 3 and bool(await _refused(database))

        await until(all_are_told_and_one_is_not)
    assert [event.subject for event in await _feed(notifications, owner)] == ["0", "1", "2"]
    (refused,) = await _refused(database)
    assert (refused["consumer"], refused["reason"], refused["event_id"]) == ("feed", "owner_not_departed", lie.id)


async def _spend(wallets: Wallets, ada: Principal, wallet: str) -> None:
    """Three events with all that an event of money may have."""
    for kind, way in (("withdrawal", {"source": wallet}), ("deposit", {"target": wallet})):
        order = Order(
            kind=kind,  # type: ignore[arg-type]
            money=Money("1.50", "USD"),
            reference="R-1",
            description="Grüße \N{WAVING HAND SIGN}",
            metadata={"z": "last", "a": "first", "é": '"\\'},
            **way,
        )
        await wallets.movements.move(principal=ada, order=order, key=str(ids.new()))
    await wallets.holds.place(principal=ada, new=NewHold(wallet=wallet, money=Money("1.00", "USD")), key=str(ids.new()))


async def _publish(messaging: Messaging, events: Sequence[Event]) -> None:
    """As different messages, whatever ids the events have."""
    async with messaging.connected(name="test") as broker:
        await broker.ensure(topics.EVENTS)
        await broker.publish(
            [
                Message(
                    topic=topics.EVENTS,
                    type=event.type,
                    id=str(number),
                    key=event.key,
                    body=cloudevents.encode(event),
                )
                for number, event in enumerate(events)
            ]
        )


async def _feed(notifications: Notifications, owner: UUID) -> Sequence[FeedEvent]:
    page = await notifications.feed.page(
        principal=Principal(credential_id=ids.new(), owner_id=owner, scopes=SCOPES),
        wanted=EventFilter(),
        order="oldest",
        cursor=None,
        limit=100,
    )
    return page.items


async def _refused(database: Database) -> list[Any]:
    async with database.connection() as connection:
        return list(await connection.fetch("SELECT * FROM messaging.refused_events"))
