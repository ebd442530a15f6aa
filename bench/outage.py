"""The broker is away while transfers go on: how much faster than they come their events are caught up with.

Nothing may be lost by it, so in the end the events of all these transfers are read from the stream again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
import nats
from nats.aio.client import Client

from bench import costs, latency
from bench.consumer import SUBJECT
from bench.loads import Lost, Site
from bench.plan import CONNECTIONS, Outage, Plan, Progress
from bench.population import Files
from bench.roles import Servers
from bench.stack import Running
from billfold.kernel import ids

#: The load before the outage, and at least for so long after it.
BEFORE_S = 2
AFTER_S = 20
#: Caught up with is what is published within this time, as always; it is looked for this often.
CAUGHT_UP_S = 1.0
_LOOK_S = 0.1


class _Stream:
    """The stream of events, by a client that knows nothing of the stack."""

    def __init__(self, client: Client, name: str) -> None:
        self._manager = client.jsm()
        self._name = name

    async def last(self) -> int:
        """The number of the newest event."""
        return int((await self._manager.stream_info(self._name)).state.last_seq)

    async def posted(self) -> int:
        """How many events of posted transfers it has."""
        return int(((await self._manager.stream_info(self._name, SUBJECT)).state.subjects or {}).get(SUBJECT, 0))


class _Count(msgspec.Struct, frozen=True):
    """At a moment: transfers that were made, and events that were published."""

    at: float
    made: int
    published: int


async def measure(plan: Plan, servers: Servers, folder: Path, progress: Progress, *, per_s: float) -> Outage:
    """Take the broker away from a stack that is loaded with so many transfers a second, and give it back.

    Raises: Lost, ProgramFailed.
    """
    progress.step(f"The broker is away for {plan.outage_seconds} seconds", 0)
    async with (
        costs.connection(servers) as owner,
        costs.connection(servers) as looking,
        servers.running(servers.tree()) as running,
    ):
        site, seen = Site(running, owner), Site(running, looking)
        async with _stream(running) as stream:
            after, before = await stream.last(), await stream.posted()
        first = ids.floor_of(time.time_ns() // 1_000_000)
        seconds = BEFORE_S + plan.outage_seconds + max(AFTER_S, plan.outage_seconds // 4)
        load = asyncio.create_task(
            site.post(
                Files.within(folder).spread, label="outage", connections=CONNECTIONS, seconds=seconds, per_s=per_s
            )
        )
        try:
            await asyncio.sleep(BEFORE_S)
            async with servers.without_broker():
                await asyncio.sleep(plan.outage_seconds)
            async with _stream(running) as stream:

                async def now() -> _Count:
                    published = await stream.posted() - before
                    return _Count(time.perf_counter(), await seen.posted_since(first), published)

                begin = await now()
                while not load.done() and await _oldest_s(looking) > CAUGHT_UP_S:  # noqa: ASYNC110 - the worker's doing
                    await asyncio.sleep(_LOOK_S)
                end = await now()
            result = await load
        finally:
            load.cancel()
            await asyncio.wait([load])
        missing = await _without_event(running, owner, first, after=after, events=result.found)
    if missing:
        raise Lost(f"{missing} transfers of the outage have no event")
    took_s = end.at - begin.at
    return Outage(
        load=result,
        seconds=plan.outage_seconds,
        waiting=begin.made - begin.published,
        catching_up_s=took_s,
        published_per_s=(end.published - begin.published) / took_s,
        arriving_per_s=(end.made - begin.made) / took_s,
    )


async def _oldest_s(looking: asyncpg.Connection[asyncpg.Record]) -> float:
    """How long the oldest row of the outbox has been there."""
    found: float | None = await looking.fetchval(
        "SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM messaging.outbox ORDER BY seq LIMIT 1"
    )
    return found or 0.0


async def _without_event(
    running: Running, owner: asyncpg.Connection[asyncpg.Record], first: UUID, *, after: int, events: int
) -> int:
    """How many of the transfers since then are not in the stream behind that number."""
    async with latency.consumer(running.record, after=after) as consumer:
        arrived = await consumer.arrivals(of=events)
    found = await owner.fetch("SELECT id FROM ledger.transfers WHERE id >= $1", first)
    return sum(row["id"] not in arrived.first for row in found)


@asynccontextmanager
async def _stream(running: Running) -> AsyncIterator[_Stream]:
    record = running.record
    assert record.nats_url is not None, "the servers have a NATS"
    client = await nats.connect(record.nats_url, user=record.nats_user, password=record.nats_password)
    try:
        yield _Stream(client, await client.jetstream().find_stream_name_by_subject(SUBJECT))
    finally:
        await client.close()
