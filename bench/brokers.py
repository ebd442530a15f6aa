"""Events on brokers that do not come with Billfold: the same steady load, and a consumer of each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import asyncpg

from bench import latency, stack
from bench.loads import Site
from bench.plan import CONNECTIONS, Events, Plan, Progress
from bench.population import Files
from billfold import devservers
from billfold.app import messaging, settings

#: Before the load that counts: a worker that has just been started, and a server that has, too.
WARM_UP_S = 3


async def measure(plan: Plan, folder: Path, progress: Progress, *, per_s: float) -> dict[str, Events]:
    """By name, for each broker whose server is to be had.

    Raises: Lost, ProgramFailed.
    """
    found = {}
    for kind in (devservers.Kafka, devservers.RabbitMQ):
        try:
            await asyncio.to_thread(kind.fetch)
        except devservers.Missing:
            continue
        progress.step(f"Events on {kind.title}", 0)
        server = kind(folder / kind.name, on_line=lambda _: None)
        await server.start()
        try:
            found[kind.title] = await _measured(plan, folder, _given(server), label=kind.name, per_s=per_s)
        finally:
            await server.stop()
    return found


async def delayed(
    site: Site,
    owner: asyncpg.Connection[asyncpg.Record],
    listening: AbstractAsyncContextManager[latency.Consumer],
    lines: Path,
    *,
    label: str,
    seconds: int,
    per_s: float,
) -> Events:
    """What a consumer sees of a steady load.

    Raises: Lost, ProgramFailed.
    """
    async with listening as consumer:
        load = await site.post(lines, label=label, connections=CONNECTIONS, seconds=seconds, per_s=per_s)
        arrived = await consumer.arrivals()
    return Events(load, latency.delays(arrived, await latency.committed(owner, arrived.first)))


def _given(server: devservers.DevServer) -> dict[str, str]:
    """The settings that make this server the broker, by their names in the environment."""
    kind, place = ("kafka", "kafka.servers") if isinstance(server, devservers.Kafka) else ("rabbitmq", "rabbitmq.url")
    return {settings.variable("broker.kind"): kind, settings.variable(place): server.url}


async def _measured(plan: Plan, folder: Path, given: Mapping[str, str], *, label: str, per_s: float) -> Events:
    lines = Files.within(folder).spread
    broker = messaging.of(settings.load(environ=given).settings)
    async with stack.up(folder, given, messaging=broker) as running:
        owner = await asyncpg.connect(running.dsn(running.record.postgres_owner_dsn))
        try:
            site = Site(running, owner)
            await site.post(lines, label=f"warm-{label}", connections=CONNECTIONS, seconds=WARM_UP_S, per_s=per_s)
            consumer = latency.elsewhere(given)
            return await delayed(site, owner, consumer, lines, label=label, seconds=plan.turn_seconds, per_s=per_s)
        finally:
            await owner.close()
