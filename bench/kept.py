"""What it saves to serve balances of a moment ago from a Redis."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from pathlib import Path

import asyncpg

from bench import stack
from bench.loads import Read, Site
from bench.plan import CONNECTIONS, KeptReads, Plan, Progress
from bench.population import Files
from billfold import devservers
from billfold.app import settings

_LATELY = "Cache-Control: max-age=60"
_READS = re.compile(r'^billfold_balances_reads_total{answer="(\w+)"} (\S+)', re.MULTILINE)
_HTTP_TIMEOUT_S = 10


class NotFromRedis(Exception):
    """Most balances came from elsewhere, so what was measured says nothing of Redis."""


async def measure(plan: Plan, folder: Path, progress: Progress) -> KeptReads | None:
    """Read balances over HTTP, in turns as of now and as of up to a minute ago; None without the program of a Redis.

    Raises: NotFromRedis, ProgramFailed.
    """
    try:
        devservers.Redis.fetch()
    except devservers.Missing:
        return None
    where = folder / "redis"
    where.mkdir()
    redis = devservers.Redis(where, on_line=lambda _: None)
    await redis.start()
    try:
        async with stack.up(folder, {settings.variable("balances.redis_url"): redis.url}) as running:
            owner = await asyncpg.connect(running.dsn(running.record.postgres_owner_dsn))
            try:
                progress.step("Rounds of balances of now, and from Redis", 2 * plan.rounds)
                return await _measured(plan, Site(running, owner), Files.within(folder).balances, running, progress)
            finally:
                await owner.close()
    finally:
        await redis.stop()


async def _measured(plan: Plan, site: Site, lines: Path, running: stack.Running, progress: Progress) -> KeptReads:
    # Once for each wallet, so that each is there.
    await site.get(lines, connections=CONNECTIONS, seconds=plan.turn_seconds, header=_LATELY)
    before = await asyncio.to_thread(_reads, running)
    ledger: list[Read] = []
    redis: list[Read] = []
    for _ in range(plan.rounds):
        for found, header in ((ledger, None), (redis, _LATELY)):
            found.append(await site.read(lines, connections=CONNECTIONS, seconds=plan.turn_seconds, header=header))
            progress.advance(1)
    after = await asyncio.to_thread(_reads, running)
    read = {answer: after[answer] - before.get(answer, 0) for answer in after}
    share = read.get("redis", 0) / max(1, sum(read.values()))
    if share < 1 / 2:
        raise NotFromRedis(f"of {sum(read.values()):,.0f} balances {share:.0%} came from Redis")
    return KeptReads(ledger, redis, share)


def _reads(running: stack.Running) -> dict[str, float]:
    """Where the API has had its balances from until now."""
    with urllib.request.urlopen(running.record.metrics_urls["api"], timeout=_HTTP_TIMEOUT_S) as answer:  # noqa: S310 - of our stack.
        return {name: float(count) for name, count in _READS.findall(answer.read().decode())}
