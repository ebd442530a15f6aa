"""The consumer of confirmed transactions: from a JetStream queue into the facade, a bounded number at a time.

Nothing is acknowledged before it is durable in PostgreSQL, as money or as a dead letter. What that leaves open (an
acknowledgement that is lost, a process that is killed) is delivered again, and the facade answers it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Self

import structlog
from prometheus_client import Counter, Gauge

from billfold.kernel.errors import BillfoldError, Unavailable
from billfold.platform.messaging.brokers import nats, streams
from billfold.platform.messaging.brokers.nats import Broker, BrokerUnavailable, Received
from billfold.platform.postgres.database import DatabaseUnavailable
from billfold.wallets import Wallets
from billfold.wallets.contracts import Delivery, Taken
from billfold.wallets.errors import DeliveryLimitReached, ProcessingFailed

#: All workers share this durable consumer; each message goes to one of them.
CONSUMER = "billfold"
#: Messages in hand at a time, and their bytes: what a worker holds in memory, whatever waits in the queue.
FETCH_MAX = 500
FETCH_MAX_BYTES = 8 * 1024 * 1024
FETCH_WAIT_S = 5.0
#: What all workers together may have in hand.
IN_HAND_MAX = 4 * FETCH_MAX
#: A message that nobody speaks of for so long is delivered again: its worker was killed. Those in hand are spoken of.
ACK_WAIT_S = 10
EXTEND_PAUSE_S = 3.0
#: From this delivery on a message is taken alone: perhaps it is what makes workers fail, and its neighbours shall not
#: fail with it.
SUSPECT_FROM = 3
#: A message that has come so often ends the process whenever it is taken.
DELIVERIES_MAX = 20
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

    def __init__(self, *, wallets: Wallets, server: nats.Server) -> None:
        self._wallets = wallets
        self._server = server

    async def run(self) -> None:
        """Take messages until cancelled. While PostgreSQL is away those in hand stay in hand, and no more are fetched.

        Raises:
            Unavailable: the broker is lost; nothing is, so call it again.
        """
        async with nats.connected(self._server, name="billfold confirmed transactions") as broker:
            stream = await streams.stream_of(broker, streams.CONFIRMED)
            await streams.ensure_consumer(broker, stream, _consumer())
            async with _Hand(broker) as hand, broker.pulling(stream, CONSUMER) as pull:
                hand.takes_also(pull.rest)
                while True:
                    messages = await pull.fetch(FETCH_MAX, max_bytes=FETCH_MAX_BYTES, wait_s=FETCH_WAIT_S)
                    if messages:
                        await self._take_all(hand, messages)

    async def measure(self) -> None:
        """Keep the metrics of the queue up to date until cancelled.

        Raises:
            Unavailable: the broker or PostgreSQL is lost; call it again.
        """
        async with nats.connected(self._server, name="billfold confirmed transactions") as broker:
            stream = await streams.stream_of(broker, streams.CONFIRMED)
            while True:
                info = await streams.consumer_info(broker, stream, CONSUMER)
                if info is not None:
                    WAITING.set(info.num_pending)
                    IN_HAND.set(info.num_ack_pending)
                OPEN.set(await self._wallets.dead_letters.count_open())
                await asyncio.sleep(MEASURE_PAUSE_S)

    async def _take_all(self, hand: _Hand, messages: Sequence[Received]) -> None:
        REDELIVERED.inc(sum(message.metadata.num_delivered > 1 for message in messages))
        hand.take(messages)
        await self._take(hand, [one for one in messages if one.metadata.num_delivered < SUSPECT_FROM])
        for message in messages:
            if message.metadata.num_delivered >= SUSPECT_FROM:
                await self._take_suspect(hand, message)
        await hand.settled()

    async def _take(self, hand: _Hand, messages: Sequence[Received]) -> None:
        """Take messages together, and those that have to wait again and again."""
        pause_s = RETRY_PAUSE_S
        while messages:
            waiting = []
            for message, taken in zip(messages, await self._tried(messages), strict=True):
                if taken == "later":
                    waiting.append(message)
                else:
                    TAKEN.labels(taken).inc()
                    await hand.settle(message)
            messages = waiting
            if messages:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_PAUSE_MAX_S)

    async def _tried(self, messages: Sequence[Received]) -> list[Taken]:
        try:
            return await self._wallets.deliveries.take(deliveries=[_delivery(message) for message in messages])
        except Unavailable as error:
            log.warning("confirmed transactions in hand have to wait", messages=len(messages), reason=error.detail)
            return ["later"] * len(messages)

    async def _take_suspect(self, hand: _Hand, message: Received) -> None:
        """Take a message alone. Whatever it does, it is settled afterwards, unless it ends the process."""
        if message.metadata.num_delivered >= DELIVERIES_MAX:
            await self._give_up(hand, message, DeliveryLimitReached())
            return
        try:
            await self._take(hand, [message])
        except BillfoldError:
            raise
        except Exception as error:
            log.exception("a confirmed transaction makes the worker fail", sequence=message.metadata.sequence.stream)
            await self._give_up(hand, message, ProcessingFailed(f"The worker failed: {type(error).__name__}: {error}"))

    async def _give_up(self, hand: _Hand, message: Received, why: BillfoldError) -> None:
        pause_s = RETRY_PAUSE_S
        while True:
            try:
                taken = await self._wallets.deliveries.give_up(delivery=_delivery(message), why=why)
            except DatabaseUnavailable:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_PAUSE_MAX_S)
            else:
                TAKEN.labels(taken).inc()
                await hand.settle(message)
                return


class _Hand:
    """Messages that were delivered to us and are not settled. They stay ours as long as the server hears of them.

    When the block ends because we stop, what is left is given back. A bug keeps it: that gives the next process time.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._replies: set[str] = set()
        self._rest: Callable[[], Sequence[Received]] = list

    async def __aenter__(self) -> Self:
        self._speaking = asyncio.create_task(self._speak_of_them())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._speaking.cancel()
        await asyncio.wait([self._speaking])
        if kind is not None and issubclass(kind, asyncio.CancelledError | Unavailable):
            with suppress(BrokerUnavailable):
                await self._give_back()

    def takes_also(self, rest: Callable[[], Sequence[Received]]) -> None:
        """Where there may be more when the block ends."""
        self._rest = rest

    def take(self, messages: Sequence[Received]) -> None:
        """These are in hand now."""
        self._replies.update(message.reply for message in messages)

    async def settle(self, message: Received) -> None:
        """Acknowledge: it is not to be delivered again."""
        await self._broker.send(message.reply, b"+ACK")
        self._replies.discard(message.reply)

    async def settled(self) -> None:
        """Return when the server has heard of all that was settled."""
        await self._broker.flush()

    async def _speak_of_them(self) -> None:
        # Where the broker is lost, settling will say so.
        with suppress(BrokerUnavailable):
            while True:
                await asyncio.sleep(EXTEND_PAUSE_S)
                for reply in list(self._replies):
                    await self._broker.send(reply, b"+WPI")

    async def _give_back(self) -> None:
        """Let the server deliver it at once to whoever is there. Pulling has ended before, or that would be us."""
        self.take(self._rest())
        for reply in self._replies:
            await self._broker.send(reply, b"-NAK")
        await self._broker.flush()


def _consumer() -> dict[str, Any]:
    return {
        "durable_name": CONSUMER,
        "filter_subject": streams.CONFIRMED_SUBJECT,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": ACK_WAIT_S * 1_000_000_000,
        "max_ack_pending": IN_HAND_MAX,
        # The server's own limit would leave a message lying in the stream, and tell nobody.
        "max_deliver": -1,
    }


def _delivery(message: Received) -> Delivery:
    return Delivery(
        subject=message.subject,
        sequence=message.metadata.sequence.stream,
        deliveries=message.metadata.num_delivered,
        headers=message.headers or {},
        body=message.data,
    )
