"""Requests that are accepted to be carried out later: how fast they are taken, and how fast a worker does them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import asyncpg
import msgspec

from bench import costs, wrk
from bench.loads import Lost
from bench.plan import CONNECTIONS, Later, Plan, Progress
from bench.population import Files
from bench.roles import Servers
from billfold.app import settings
from billfold.kernel import ids

_HEADER = "Prefer: respond-async"
#: By default one owner may have a thousand waiting, so that nobody else waits for them. Here there is one owner.
_OPEN_MAX = 100_000
_LOOK_S = 0.1
DONE_TIMEOUT_S = 300.0


async def measure(plan: Plan, servers: Servers, folder: Path, progress: Progress) -> Later:
    """Send requests for a while, and wait until each has been carried out.

    Raises: Lost, ProgramFailed.
    """
    progress.step("Requests that are carried out later", 0)
    limits = settings.Requests(open_max=_OPEN_MAX, open_per_owner_max=_OPEN_MAX)
    tree = msgspec.structs.replace(servers.tree(), requests=limits)
    async with costs.connection(servers) as owner, servers.running(tree) as running:
        load = wrk.Load(
            lines=Files.within(folder).spread,
            url=running.record.api_url,
            token=running.record.api_key,
            connections=CONNECTIONS,
            seconds=plan.turn_seconds,
            label="later",
            header=_HEADER,
        )
        await wrk.run(msgspec.structs.replace(load, seconds=costs.WARM_UP_S, label="warm-later"))
        await _carried_out(owner)
        first, began = ids.floor_of(time.time_ns() // 1_000_000), time.time()
        answers = await wrk.run(load)
        await _carried_out(owner)
        row = await owner.fetchrow(
            "SELECT count(*) FILTER (WHERE status = 'completed'), extract(epoch FROM max(ended_at))::float8 "
            "FROM wallets.requests WHERE id >= $1",
            first,
        )
    assert row is not None, "an aggregate has a row"
    completed, ended = row
    if not completed or completed < answers.accepted:
        raise Lost(f"of {answers.accepted} requests that were accepted {completed} were carried out")
    return Later(answers, completed, ended - began)


async def _carried_out(owner: asyncpg.Connection[asyncpg.Record]) -> None:
    """Wait until no request waits any more.

    Raises: Lost.
    """
    deadline = time.monotonic() + DONE_TIMEOUT_S
    while await owner.fetchval("SELECT EXISTS (SELECT FROM wallets.requests WHERE ended_at IS NULL)"):
        if time.monotonic() > deadline:
            raise Lost(f"requests were not carried out within {DONE_TIMEOUT_S:.0f} seconds")
        await asyncio.sleep(_LOOK_S)
