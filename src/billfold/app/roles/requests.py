"""The worker's duties about requests that were accepted to be carried out later, and what it tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec
from prometheus_client import Counter, Gauge

from billfold.kernel.events import Event
from billfold.platform.messaging import topics
from billfold.platform.messaging.consuming import EventConsumer, EventUnknown
from billfold.platform.messaging.port import Messaging, Subscription
from billfold.platform.postgres.database import Database
from billfold.platform.telemetry import traces
from billfold.wallets import Wallets, events

#: What waits for its time is found at most so much later.
LOOK_PAUSE_S = 0.25
MEASURE_PAUSE_S = 5.0

#: Workers share them: what is carried out in which order makes no difference to its safety.
SUBSCRIPTION = Subscription(name="requests", topic=topics.EVENTS, types=(events.REQUEST_ACCEPTED,), ordered=False)

OPEN = Gauge("billfold_requests_open", "Accepted requests that have not ended, counted up to 100,000.")
AGE = Gauge("billfold_requests_age_seconds", "Age of the oldest accepted request that has not ended.")
TAKEN = Counter("billfold_requests_taken", "Accepted requests that were taken to be carried out.", ["outcome"])


class _Accepted(msgspec.Struct, frozen=True):
    """What is read of an event. Everything else is taken from the request itself, whatever an event may say of it."""

    request_id: UUID


def consumer(*, wallets: Wallets, database: Database, messaging: Messaging) -> EventConsumer:
    """Carries out requests when their events come."""

    async def handle(found: Sequence[Event]) -> None:
        traced = {
            request_id(event): place for event in found if (place := traces.carried(event.traceparent)) is not None
        }
        request_ids = [request_id(event) for event in found]
        count(await wallets.carrying_out.named(request_ids=request_ids, traced=traced))

    return EventConsumer(messaging=messaging, database=database, subscription=SUBSCRIPTION, handle=handle)


def request_id(event: Event) -> UUID:
    """The request that an event tells of.

    Raises:
        EventUnknown: it names none.
    """
    try:
        return msgspec.json.decode(msgspec.json.encode(event.data), type=_Accepted).request_id
    except msgspec.DecodeError as error:
        raise EventUnknown(f"The event names no request: {error}.") from error


async def carry_out_due(wallets: Wallets) -> None:
    """Carry out requests that are due: new ones of which no event has told, and those that are tried again.

    Raises:
        Unavailable: call it again.
    """
    while True:
        outcomes = await wallets.carrying_out.due()
        count(outcomes)
        if not outcomes:
            await asyncio.sleep(LOOK_PAUSE_S)


async def measure(wallets: Wallets) -> None:
    """Keep the metrics of what waits up to date.

    Raises:
        Unavailable: call it again.
    """
    while True:
        backlog = await wallets.carrying_out.backlog()
        OPEN.set(backlog.count)
        AGE.set(backlog.age_s)
        await asyncio.sleep(MEASURE_PAUSE_S)


def count(outcomes: Mapping[str, int]) -> None:
    """Add what has become of those that were taken."""
    for outcome, number in outcomes.items():
        TAKEN.labels(outcome).inc(number)
