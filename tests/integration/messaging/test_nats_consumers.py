"""What a consumer of events has to sort out on NATS, which hands out anew in whatever order."""

import asyncio
from collections.abc import Sequence

import pytest

from billfold.kernel.events import Event
from billfold.platform.messaging.brokers import nats
from billfold.platform.messaging.consuming import EventConsumer
from billfold.platform.postgres.database import Database
from tests.integration.messaging.brokers.test_consuming import (
    SUBSCRIPTION,
    _into,
    _publish,
    _reached,
    consumed,
    fact_of,
)
from tests.integration.messaging.support import until


async def test_a_killed_process_leaves_what_it_had_in_hand_to_the_next_one_in_order(
    database: Database, server: nats.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats, "ACK_WAIT_S", 1)
    await _publish(server, [fact_of(number) for number in range(30)])
    async with server.connected(name="killed") as broker, broker.consuming(SUBSCRIPTION) as hand:
        taken = await hand.fetch(10, max_bytes=1 << 20, wait_s=10)
        assert len(taken) == 10
        await hand.settle(taken[:4])
        broker._closed.set_result(None)  # As if nobody were there any more: nothing is given back.
        monkeypatch.setattr(broker, "send", _lost)
    seen: list[int] = []
    consumer = EventConsumer(messaging=server, database=database, subscription=SUBSCRIPTION, handle=_into(seen))
    async with consumed(consumer):
        await until(lambda: _reached(seen, 26))
    assert seen == list(range(4, 30))


async def test_who_can_wait_gets_what_has_come_meanwhile_in_one_batch(database: Database, server: nats.Server) -> None:
    batches: list[int] = []
    gather_s, number = 0.2, 60

    async def handle(events: Sequence[Event]) -> None:
        batches.append(len(events))

    async def all_have_come() -> bool:
        return sum(batches) == number

    consumer = EventConsumer(
        messaging=server, database=database, subscription=SUBSCRIPTION, handle=handle, gather_s=gather_s
    )
    began = asyncio.get_running_loop().time()
    async with consumed(consumer):
        for each in range(number):
            await _publish(server, [fact_of(each)])
        await until(all_have_come)
        took_s = asyncio.get_running_loop().time() - began
    assert len(batches) <= took_s / gather_s + 1


async def _lost(subject: str, body: bytes) -> None:
    raise nats.BrokerUnavailable
