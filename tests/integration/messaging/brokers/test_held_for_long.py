"""Messages in hand for longer than RabbitMQ lets a consumer have them, as when the database is away for an hour."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest

from billfold.kernel.errors import Unavailable
from billfold.kernel.events import Event
from billfold.platform.messaging import inbox, topics
from billfold.platform.messaging.consuming import EventConsumer
from billfold.platform.messaging.port import Broker, Messaging, Subscription
from billfold.platform.postgres.database import Database, DatabaseUnavailable
from billfold.wallets import Wallets
from billfold.wallets.contracts import Delivery, Taken
from billfold.wallets.service.deliveries import Deliveries
from billfold.wallets.workers import SUBSCRIPTION, ConfirmedTransactions
from tests import servers
from tests.integration.messaging.brokers.conftest import Bench
from tests.integration.messaging.brokers.test_consuming import _number, _publish, consumed, fact_of
from tests.integration.messaging.queue import balance, consuming, dead_letters, message, new_wallet, plain
from tests.integration.messaging.support import until

#: RabbitMQ alone takes offence.
pytestmark = pytest.mark.parametrize("bench", ["rabbitmq"], indirect=True)

#: In ms: how long a message may be in hand, and how often RabbitMQ looks. By itself it is half an hour, and a minute.
IMPATIENT = {"consumer_timeout": 1_000, "channel_tick_interval": 200}
PATIENT = {"consumer_timeout": 1_800_000, "channel_tick_interval": 60_000}


class Counted:
    """A messaging, and how often somebody has connected."""

    def __init__(self, messaging: Messaging) -> None:
        self._messaging = messaging
        self.connections = 0

    @asynccontextmanager
    async def connected(self, *, name: str) -> AsyncIterator[Broker]:
        self.connections += 1
        async with self._messaging.connected(name=name) as broker:
            yield broker


@pytest.fixture
def patient_again(bench: Bench, rabbitmq_server: servers.RabbitMQServer) -> Iterator[Callable[[], Awaitable[None]]]:
    """RabbitMQ is impatient until this is called."""
    assert bench.name == "rabbitmq"
    rabbitmq_server.server.set(**IMPATIENT)

    async def patient() -> None:
        await asyncio.to_thread(lambda: rabbitmq_server.server.set(**PATIENT))

    yield patient
    rabbitmq_server.server.set(**PATIENT)


async def test_confirmed_transactions_in_hand_for_too_long_come_again_and_are_applied_once(
    wallets: Wallets,
    bench: Bench,
    patient_again: Callable[[], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wallet = await new_wallet(wallets)
    take, back, tried = Deliveries.take, asyncio.Event(), asyncio.Event()

    async def away(self: Deliveries, *, deliveries: Sequence[Delivery]) -> list[Taken]:
        tried.set()
        if not back.is_set():
            raise DatabaseUnavailable
        return await take(self, deliveries=deliveries)

    monkeypatch.setattr(Deliveries, "take", away)
    messaging = Counted(bench.messaging)
    async with bench.messaging.connected(name="sender") as sender:
        await sender.ensure(topics.CONFIRMED)
        await sender.publish([message(plain(wallet, "1.00", sender_id=str(number))) for number in range(300)])

        async def all_are_in_the_queue() -> bool:
            backlog = await sender.backlog(SUBSCRIPTION)
            return backlog is not None and backlog.waiting == 300

        async with consuming(ConfirmedTransactions(wallets=wallets, messaging=messaging)):
            await asyncio.wait_for(tried.wait(), 60)
            # They were taken away from the consumer, which goes on with what it has in hand all the same.
            await until(all_are_in_the_queue)
            assert messaging.connections == 1
            await patient_again()
            back.set()

            # What is in hand RabbitMQ tells some seconds late.
            async def all_are_applied_and_gone() -> bool:
                backlog = await sender.backlog(SUBSCRIPTION)
                # RabbitMQ's own command tells it, which takes a busy machine seconds: the consumer goes on meanwhile.
                in_hand = await asyncio.to_thread(bench.in_hand)
                gone = backlog is not None and backlog.waiting + in_hand == 0
                return gone and await balance(wallets, wallet) == "300.00"

            await until(all_are_applied_and_gone)
    assert await balance(wallets, wallet) == "300.00"
    assert await dead_letters(wallets) == []
    assert messaging.connections == 2


@pytest.mark.parametrize("order", ["ordered", "shared"])
async def test_events_that_have_to_wait_for_too_long_are_each_applied_once_and_in_order(
    database: Database,
    bench: Bench,
    patient_again: Callable[[], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    order: str,
) -> None:
    from billfold.platform.messaging.brokers import amqp  # noqa: PLC0415 - who has no RabbitMQ has no client, either.

    applied: list[int] = []
    back, closed = asyncio.Event(), asyncio.Event()
    ended = amqp.Inlet.ended

    def told(self: amqp.Inlet, *reason: object) -> None:
        if "PRECONDITION_FAILED" in str(reason):
            closed.set()
        ended(self, *reason)

    async def handle(found: Sequence[Event]) -> None:
        if not back.is_set():
            raise Unavailable
        async with database.transaction() as connection:
            sifted = await inbox.first_time(connection, "counter", found)
        applied.extend(map(_number, sifted.new))

    async def all_are_applied() -> bool:
        return len(applied) >= 1_000

    messaging = Counted(bench.messaging)
    subscription = Subscription(name="counter", topic=topics.EVENTS, types=("test.",), ordered=order == "ordered")
    consumer = EventConsumer(messaging=messaging, database=database, subscription=subscription, handle=handle)
    # The queue of a subscription gets what is published from when it was made.
    async with bench.messaging.connected(name="test") as broker, broker.consuming(subscription):
        pass
    monkeypatch.setattr(amqp.Inlet, "ended", told)
    await _publish(bench.messaging, [fact_of(number) for number in range(1_000)])
    async with consumed(consumer):
        await asyncio.wait_for(closed.wait(), 60)
        assert messaging.connections == 1
        await patient_again()
        back.set()
        await until(all_are_applied)
        await _publish(bench.messaging, [fact_of(1_000)])
        await until(lambda: _is_last(applied, 1_000))
        assert messaging.connections == 2
    assert (applied if subscription.ordered else sorted(applied)) == [*range(1_001)]


async def _is_last(applied: list[int], number: int) -> bool:
    return applied[-1] == number
