"""A consumer of events: from a topic into a context, a batch at a time, in order, whatever ends when.

Nothing is settled before it has been handled or set aside. What a crash leaves open comes again, so a handler notes in
the inbox what it has applied, or applies it so that twice is once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from itertools import groupby

import msgspec
import structlog

from billfold.kernel import errors
from billfold.kernel.errors import BillfoldError, InternalError, Refusal, Unavailable
from billfold.kernel.events import Event
from billfold.platform.messaging import cloudevents, metrics, refused, tracing
from billfold.platform.messaging.leading import lock_of, while_leading
from billfold.platform.messaging.port import Broker, Consumption, Delivery, Messaging, Subscription, selects
from billfold.platform.messaging.tries import SUSPECT_FROM, Tries
from billfold.platform.postgres.database import Database

#: Takes events whose effect is durable when it returns. Raising what is retryable (Unavailable) it is given all of them
#: again in a moment; any other refusal is for good, and anything else is a bug.
Handler = Callable[[Sequence[Event]], Awaitable[None]]
#: What a handler is called in.
Attempt = Callable[[], AbstractAsyncContextManager[None]]

#: What is in memory at a time, whatever waits in the topic.
FETCH_MAX_BYTES = 8 * 1024 * 1024
FETCH_WAIT_S = 5.0
#: How often an event that makes the handler fail is tried by itself.
TRIES_MAX = 5
#: The pause before something in hand is taken again, and the longest one.
RETRY_PAUSE_S = 0.05
RETRY_PAUSE_MAX_S = 5.0
MEASURE_PAUSE_S = 5.0
#: What an operator wants to be tried again is looked for so often, and when nothing comes after FETCH_WAIT_S.
WANTED_PAUSE_S = 1.0

log = structlog.get_logger(__name__)


class EventUnknown(errors.Invalid):
    """The consumer does not know events of this type and version."""

    code = "event_unknown"


class EventFailed(errors.Invalid):
    """The event has made its consumer fail each time that it was tried."""

    code = "event_failed"


class EventLimitReached(errors.Invalid):
    """The event has ended the process of its consumer whenever it was taken."""

    code = "event_delivery_limit_reached"


class EventConsumer:
    """Hands the events of a subscription to `handle`, in order. Any number of processes may run one.

    Of an ordered subscription one process takes the events at a time, and the others stand by.

    Much of what a batch costs, its COMMIT above all, is the same for one event and for hundreds. So who can wait says
    for how long: behind a batch that was not full the next one begins `gather_s` after it. The first event after a
    silence is taken at once.
    """

    def __init__(
        self,
        *,
        messaging: Messaging,
        database: Database,
        subscription: Subscription,
        handle: Handler,
        batch_max: int = 500,
        gather_s: float = 0.0,
    ) -> None:
        self._messaging = messaging
        self._database = database
        self._subscription = subscription
        self._handle = handle
        self._batch_max = batch_max
        self._gather_s = gather_s
        self._name = subscription.name
        self._tries = Tries(database, self._name)
        self._log = log.bind(consumer=self._name)

    async def run(self) -> None:
        """Take events until cancelled. What the handler needs may be away: those in hand stay in hand meanwhile.

        Raises:
            Unavailable: the broker or the lead is lost; nothing is, so call it again.
        """
        try:
            if self._subscription.ordered:
                await while_leading(self._database, lock_of(f"consumer {self._name}"), self._consume)
            else:
                await self._consume()
        finally:
            # Whoever takes the events now measures; what was measured here would stay as it is.
            metrics.CONSUMER_LAG.remove(self._name)

    async def _consume(self) -> None:
        loop = asyncio.get_running_loop()
        measure_due = wanted_due = 0.0
        async with self._messaging.connected(name=f"billfold {self._name}") as broker:
            await broker.ensure(self._subscription.topic)
            async with broker.consuming(self._subscription) as hand:
                while True:
                    if loop.time() >= measure_due:
                        await self._measure(broker)
                        measure_due = loop.time() + MEASURE_PAUSE_S
                    if loop.time() >= wanted_due:
                        await self._try_again()
                        wanted_due = loop.time() + WANTED_PAUSE_S
                    deliveries = await hand.fetch(self._batch_max, max_bytes=FETCH_MAX_BYTES, wait_s=FETCH_WAIT_S)
                    if deliveries:
                        next_due = loop.time() + self._gather_s
                        await self._take(hand, deliveries)
                        if len(deliveries) < self._batch_max:
                            await asyncio.sleep(next_due - loop.time())

    async def _measure(self, broker: Broker) -> None:
        backlog = await broker.backlog(self._subscription)
        if backlog is not None:
            metrics.CONSUMER_LAG.labels(self._name).set(backlog.waiting + backlog.in_hand)

    async def _try_again(self) -> None:
        """Handle what an operator wants to be handled after all. It may have been applied: the handler knows."""
        for one in await refused.take_wanted(self._database, self._name):
            why = await self._refused(one.delivery)
            self._log.info(
                "an event was tried again", refused_event=str(one.id), code=None if why is None else why.code
            )
            await self._noted(partial(refused.tried, self._database, one.id, why))

    async def _take(self, hand: Consumption, deliveries: Sequence[Delivery]) -> None:
        metrics.CONSUMER_REDELIVERED.labels(self._name).inc(sum(one.deliveries > 1 for one in deliveries))
        for suspects, group in groupby(deliveries, key=lambda one: one.deliveries >= SUSPECT_FROM):
            alike = list(group)
            if not suspects and await self._taken_together(hand, alike):
                continue
            for delivery in alike:
                await self._take_alone(hand, delivery)

    async def _taken_together(self, hand: Consumption, deliveries: Sequence[Delivery]) -> bool:
        found = [_read(delivery, self._subscription.types) for delivery in deliveries]
        try:
            await self._handled([event for event in found if isinstance(event, Event)])
        except Exception as error:  # noqa: BLE001 - each of them is tried by itself, and then it is told.
            self._log.warning("a batch fails, and is taken one by one", events=len(deliveries), error=repr(error))
            return False
        for delivery, event in zip(deliveries, found, strict=True):
            if isinstance(event, BillfoldError):
                await self._set_aside(delivery, event)
        await hand.settle(deliveries)
        return True

    async def _take_alone(self, hand: Consumption, delivery: Delivery) -> None:
        """Whatever it does, it is settled afterwards, unless it ends the process."""
        suspect = delivery.deliveries >= SUSPECT_FROM
        why = await self._refused(delivery, attempt=partial(self._attempt, delivery) if suspect else nullcontext)
        if why is not None:
            await self._set_aside(delivery, why)
        if suspect:
            await self._noted(partial(self._tries.forget, delivery.body))
        await hand.settle([delivery])

    @asynccontextmanager
    async def _attempt(self, delivery: Delivery) -> AsyncIterator[None]:
        """One try of what may be what ends processes. While it waits for what its handler needs, it is not tried."""
        async with self._tries.one(delivery.body) as may:
            if not may:
                raise EventLimitReached
            yield

    async def _refused(self, delivery: Delivery, *, attempt: Attempt = nullcontext) -> BillfoldError | None:
        """Why it could not be handled, or None when it is."""
        event = _read(delivery, self._subscription.types)
        if isinstance(event, BillfoldError):
            return event
        pause_s = RETRY_PAUSE_S
        for last in (False,) * (TRIES_MAX - 1) + (True,):
            try:
                await self._handled([event], attempt=attempt)
            except Refusal as refusal:
                return refusal
            except Exception as error:  # noqa: BLE001 - it is told once it is set aside.
                if last:
                    self._log.exception("an event makes its consumer fail", position=delivery.position)
                    return EventFailed(f"The consumer failed: {type(error).__name__}: {error}")
                await asyncio.sleep(pause_s)
                pause_s *= 2
            else:
                break
        return None

    async def _handled(self, events: Sequence[Event], *, attempt: Attempt = nullcontext) -> None:
        """Return once they are handled, however long what the handler needs is away."""
        pause_s = RETRY_PAUSE_S
        while events:
            try:
                places = (event.traceparent for event in events)
                async with attempt():
                    with tracing.processing(self._name, self._subscription.topic, places):
                        await self._handle(events)
            except BillfoldError as error:
                # A defect in a server is one as if it were here: it may pass, but need not.
                if not error.retryable or isinstance(error, InternalError):
                    raise
                self._log.warning("events in hand have to wait", events=len(events), reason=error.detail)
                # Who waits for the same server does not come back at the same moment.
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - it spreads, and hides nothing.
                pause_s = min(2 * pause_s, RETRY_PAUSE_MAX_S)
            else:
                metrics.CONSUMER_EVENTS.labels(self._name, "taken").inc(len(events))
                return

    async def _set_aside(self, delivery: Delivery, why: BillfoldError) -> None:
        self._log.error("an event is set aside", position=delivery.position, code=why.code, reason=why.detail)
        await self._noted(partial(refused.set_aside, self._database, self._name, delivery, why))
        metrics.CONSUMER_EVENTS.labels(self._name, "refused").inc()

    async def _noted(self, note: Callable[[], Awaitable[object]]) -> None:
        """Return once it is written down, however long the database is away."""
        pause_s = RETRY_PAUSE_S
        while True:
            try:
                await note()
            except Unavailable:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_PAUSE_MAX_S)
            else:
                return


def _read(delivery: Delivery, types: tuple[str, ...]) -> Event | BillfoldError:
    try:
        event = cloudevents.event(cloudevents.decode(delivery.body))
        if not selects(types, event.type) or event.type != (delivery.type or event.type):
            return EventUnknown(f"It is {event.type!r}, and came as {delivery.type or 'one of those asked for'!r}.")
        # The span of its publishing, which is nearer than that of what it tells of.
        published = delivery.headers.get(tracing.HEADER)
        return event if published is None else msgspec.structs.replace(event, traceparent=published)
    except BillfoldError as error:
        return error
