"""What the audit and traces cost the money path: the same load with them and without, in turns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import msgspec

from bench.loads import Result, Site
from bench.pgbench import Pgbench
from bench.plan import CONNECTIONS, Plan, Progress, Variants
from bench.population import Files
from bench.roles import Servers
from billfold.app import settings
from billfold.platform.postgres import cluster
from tests import otlp

#: A role that was just started compiles, plans and looks wallets up.
WARM_UP_S = 2
SAMPLE = 0.01
#: Of so many requests that are expected to be traced it is no chance that none was.
_BY_CHANCE = 20
NAMES = ("usual", "unaudited", "traced")


class NoTraces(Exception):
    """No span has arrived, so what was measured says nothing of traces."""


@asynccontextmanager
async def connection(servers: Servers) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """One of the schemas' owner."""
    owner = await asyncpg.connect(servers.postgres.dsn(cluster.OWNER))
    try:
        yield owner
    finally:
        await owner.close()


async def measure(plan: Plan, servers: Servers, folder: Path, progress: Progress) -> list[Variants]:
    """Each variant once in each of the plan's turns. Another one begins each time: who comes first has colder caches.

    Raises: Lost, NoTraces, ProgramFailed.
    """
    progress.step("Turns with the audit, without it, and with traces", len(NAMES) * plan.turns)
    with otlp.collecting() as collector:
        async with connection(servers) as owner:
            measuring = _Measuring(plan, servers, Files.within(folder).spread, owner, collector.url)
            turns = []
            for number in range(plan.turns):
                first = number % len(NAMES)
                found = {}
                for name in (*NAMES[first:], *NAMES[:first]):
                    found[name] = await measuring.one(name, number)
                    progress.advance(1)
                turns.append(Variants(**found))
    if not collector.spans and SAMPLE * sum(turn.traced.found for turn in turns) > _BY_CHANCE:
        raise NoTraces("the collector was sent nothing")
    return turns


@dataclass(frozen=True, slots=True)
class _Measuring:
    plan: Plan
    servers: Servers
    lines: Path
    owner: asyncpg.Connection[asyncpg.Record]
    collector: str

    async def one(self, name: str, number: int) -> Result:
        """A load on roles of this variant that have just been started, and nothing of it is left to do afterwards."""
        async with self.servers.running(self._tree(name)) as running:
            site = Site(running, self.owner)
            yardstick = Pgbench(running.folder, host=running.postgres_host, port=running.postgres_port)
            label = f"{name}-{number}"
            await site.post(self.lines, label=f"warm-{label}", connections=CONNECTIONS, seconds=WARM_UP_S)
            await yardstick.checkpoint()
            return await site.post(self.lines, label=label, connections=CONNECTIONS, seconds=self.plan.turn_seconds)

    def _tree(self, name: str) -> settings.Settings:
        tree = self.servers.tree(audited=name != "unaudited")
        if name != "traced":
            return tree
        return msgspec.structs.replace(
            tree, traces=msgspec.structs.replace(tree.traces, endpoint=self.collector, sample=SAMPLE)
        )
