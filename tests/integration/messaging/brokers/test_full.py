"""A queue that is full: what is for it waits, in order, and what is for other topics goes on. A Kafka is never full."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from billfold.kernel import ids
from billfold.platform.messaging import cloudevents, leading, outbox, topics, withholding
from billfold.platform.messaging.port import Delivery, Messaging, Subscription, TopicFull
from billfold.platform.messaging.relay import Relay
from billfold.platform.messaging.topics import Topic
from billfold.platform.messaging.withholding import Withheld
from billfold.platform.postgres.database import Database
from tests.integration.messaging.brokers.conftest import Bench, tailed
from tests.integration.messaging.support import (
    DEADLINE_S,
    append,
    append_row,
    fact,
    published,
    recorded,
    running,
    until,
)

ROOM = 5


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Topic:
    """A queue for the audit that takes little, of a name that there has not been."""
    topic = msgspec.structs.replace(topics.AUDIT, name=f"audit-{ids.new().hex}", max_messages=ROOM)
    monkeypatch.setattr(outbox, "TOPICS", tuple(topic if one is topics.AUDIT else one for one in outbox.TOPICS))
    monkeypatch.setattr(topics, "AUDIT", topic)
    monkeypatch.setattr(withholding, "FULL_PAUSE_S", 0.05)
    monkeypatch.setattr(leading, "STANDBY_PAUSE_S", 0.01)
    return topic


@pytest.mark.parametrize("bench", ["nats", "rabbitmq"], indirect=True)
async def test_a_full_queue_stops_no_event_and_gets_everything_in_order_when_somebody_takes_from_it(
    database: Database, bench: Bench, small: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, times = Withheld.refused, 0

    def counted(self: Withheld, topic: Topic, full: TopicFull) -> None:
        nonlocal times
        times += 1
        refused(self, topic, full)

    async def is_still_full() -> bool:
        return times > 2

    monkeypatch.setattr(Withheld, "refused", counted)
    relay = Relay(database=database, messaging=bench.messaging, expanders={})
    async with running(relay):
        await _told(database, range(40))
        # What nobody takes stops no event.
        assert _numbers(await tailed(bench.messaging, topics.EVENTS, 40)) == [*range(40)]

        async def is_full() -> bool:
            return (await relay.measure()).withheld > 0

        await until(is_full)
        # What it does not take when it is tried again goes on waiting.
        await until(is_still_full)
    # The next one that leads finds what waits.
    async with running(Relay(database=database, messaging=bench.messaging, expanders={})):
        # What comes while room is made overtakes nothing that waits.
        taking = asyncio.create_task(_taken(bench.messaging, small, last=99))
        await _told(database, range(40, 100))
        assert await taking == [*range(100)]
        assert _numbers(await tailed(bench.messaging, topics.EVENTS, 100)) == [*range(100)]

        async def nothing_waits() -> bool:
            return (await relay.measure()).withheld == 0

        await until(nothing_waits)
        # Now it goes its usual way again.
        await _told(database, [100, 101])
        await published(database)
        assert (await _taken(bench.messaging, small, last=101))[-2:] == [100, 101]


async def _told(database: Database, numbers: Sequence[int]) -> None:
    """Each is an event, and something for the audit."""
    for number in numbers:
        await append_row(database, outbox.AUDIT, cloudevents.encode(recorded("k", number)))
        await append(database, fact("k", number))


async def _taken(messaging: Messaging, topic: Topic, *, last: int) -> list[int]:
    """The numbers of the messages of the queue up to this one, which leave it. A repeat doesn't count."""
    found: list[Delivery] = []
    async with (
        asyncio.timeout(DEADLINE_S),
        messaging.connected(name="test") as broker,
        broker.consuming(Subscription(name="audit", topic=topic)) as hand,
    ):
        while last not in _numbers(found):
            deliveries = await hand.fetch(3, max_bytes=1 << 20, wait_s=5)
            found += deliveries
            await hand.settle(deliveries)
    return _numbers(found)


def _numbers(deliveries: Sequence[Delivery]) -> list[int]:
    return list(dict.fromkeys(msgspec.json.decode(delivery.body)["data"]["number"] for delivery in deliveries))
