"""The consumer of confirmed transactions: from a broker's queue into the facade, a bounded number at a time.

Nothing is settled before it is durable in PostgreSQL, as money or as a dead letter. What that leaves open (an
acknowledgement that is lost, a process that is killed) is delivered again, and the facade answers it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog
from prometheus_client import Counter, Gauge

from billfold.kernel.errors import BillfoldError, Unavailable
from billfold.platform.messaging import port, topics, tracing
from billfold.platform.messaging.port import Consumption, Messaging, Subscription
from billfold.platform.messaging.tries import SUSPECT_FROM
from billfold.platform.postgres.database import DatabaseUnavailable
from billfold.wallets import Wallets
from billfold.wallets.contracts import Delivery, Taken
from billfold.wallets.errors import DeliveryLimitReached, ProcessingFailed

#: All workers share it; each message goes to one of them.
SUBSCRIPTION = Subscription(name="billfold", topic=topics.CONFIRMED, ordered=False)
#: Messages in hand at a time, and their bytes: what a worker holds in memory, whatever waits in the queue.
FETCH_MAX = 500
FETCH_MAX_BYTES = 8 * 1024 * 1024
FETCH_WAIT_S = 5.0
#: The pause before something in hand is taken again, and the longest one.
RETRY_PAUSE_S = 0.05
RETRY_PAUSE_MAX_S = 5.0
MEASURE_PAUSE_S = 5.0

TAKEN = Counter(
    "billfold_confirmed_transactions", "Confirmed transactions that were taken from the queue.", ["outcome"]
)
REDELIVERED = Counter("billfold_confirmed_redelivered", "Confirmed transactions that were delivered more than once.")
WAITING = Gauge("billfold_confirmed_waiting", "Confirmed transactions in the queue that no worker has in hand.")
IN_HAND = Gauge("billfold_confirmed_in_hand", "Confirmed transactions that were delivered and not acknowledged yet.")
OPEN = Gauge("billfold_dead_letters_open", "Dead letters that wait for an operator, counted up to 100,000.")

log = structlog.get_logger(__name__)


class ConfirmedTransactions:
    """The consumer. Any number of processes may run one."""

    def __init__(self, *, wallets: Wallets, messaging: Messaging) -> None:
        self._wallets = wallets
        self._messaging = messaging

    async def run(self) -> None:
        """Take messages until cancelled. While PostgreSQL is away those in hand stay in hand, and no more are fetched.

        Raises:
            Unavailable: the broker is lost; nothing is, so call it again.
        """
        async with self._messaging.connected(name="billfold confirmed transactions") as broker:
            await broker.ensure(SUBSCRIPTION.topic)
            async with broker.consuming(SUBSCRIPTION) as hand:
                while True:
                    messages = await hand.fetch(FETCH_MAX, max_bytes=FETCH_MAX_BYTES, wait_s=FETCH_WAIT_S)
                    if messages:
                        await self._take_all(hand, messages)

    async def measure(self) -> None:
        """Keep the metrics of the queue up to date until cancelled.

        Raises:
            Unavailable: the broker or PostgreSQL is lost; call it again.
        """
        async with self._messaging.connected(name="billfold confirmed transactions") as broker:
            await broker.ensure(SUBSCRIPTION.topic)
            while True:
                backlog = await broker.backlog(SUBSCRIPTION)
                if backlog is not None:
                    WAITING.set(backlog.waiting)
                    IN_HAND.set(backlog.in_hand)
                OPEN.set(await self._wallets.dead_letters.count_open())
                await asyncio.sleep(MEASURE_PAUSE_S)

    async def _take_all(self, hand: Consumption, messages: Sequence[port.Delivery]) -> None:
        REDELIVERED.inc(sum(message.deliveries > 1 for message in messages))
        await self._take(hand, [one for one in messages if one.deliveries < SUSPECT_FROM])
        for message in messages:
            if message.deliveries >= SUSPECT_FROM:
                await self._take_suspect(hand, message)

    async def _take(self, hand: Consumption, messages: Sequence[port.Delivery], *, suspect: bool = False) -> None:
        """Take messages together, and those that have to wait again and again."""
        pause_s = RETRY_PAUSE_S
        while messages:
            waiting, done = [], []
            for message, taken in zip(messages, await self._tried(messages, suspect=suspect), strict=True):
                if taken == "later":
                    waiting.append(message)
                else:
                    TAKEN.labels(taken).inc()
                    done.append(message)
            if done:
                await self._settle(hand, done, suspect=suspect)
            messages = waiting
            if messages:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_PAUSE_MAX_S)

    async def _tried(self, messages: Sequence[port.Delivery], *, suspect: bool) -> list[Taken]:
        try:
            if not suspect:
                return await self._answered(messages)
            (message,) = messages
            async with self._wallets.deliveries.tries.one(message.body) as may:
                if not may:
                    raise DeliveryLimitReached
                return await self._answered(messages)
        except Unavailable as error:
            log.warning("confirmed transactions in hand have to wait", messages=len(messages), reason=error.detail)
            return ["later"] * len(messages)

    async def _answered(self, messages: Sequence[port.Delivery]) -> list[Taken]:
        places = (message.headers.get(tracing.HEADER) for message in messages)
        with tracing.processing(SUBSCRIPTION.name, SUBSCRIPTION.topic, places):
            return await self._wallets.deliveries.take(deliveries=[_delivery(message) for message in messages])

    async def _settle(self, hand: Consumption, done: Sequence[port.Delivery], *, suspect: bool) -> None:
        if suspect:
            # What is not forgotten now is found as settled by whoever takes it again.
            with suppress(DatabaseUnavailable):
                for message in done:
                    await self._wallets.deliveries.tries.forget(message.body)
        await hand.settle(done)

    async def _take_suspect(self, hand: Consumption, message: port.Delivery) -> None:
        """Take a message alone. Whatever it does, it is settled afterwards, unless it ends the process."""
        try:
            await self._take(hand, [message], suspect=True)
        except DeliveryLimitReached as limit:
            await self._give_up(hand, message, limit)
        except BillfoldError:
            raise
        except Exception as error:
            log.exception("a confirmed transaction makes the worker fail", position=message.position)
            await self._give_up(hand, message, ProcessingFailed(f"The worker failed: {type(error).__name__}: {error}"))

    async def _give_up(self, hand: Consumption, message: port.Delivery, why: BillfoldError) -> None:
        pause_s = RETRY_PAUSE_S
        while True:
            try:
                taken = await self._wallets.deliveries.give_up(delivery=_delivery(message), why=why)
            except DatabaseUnavailable:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_PAUSE_MAX_S)
            else:
                TAKEN.labels(taken).inc()
                await self._settle(hand, [message], suspect=True)
                return


def _delivery(message: port.Delivery) -> Delivery:
    return Delivery(
        subject=message.subject,
        sequence=message.sequence,
        deliveries=message.deliveries,
        headers=dict(message.headers),
        body=message.body,
    )
