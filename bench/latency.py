"""From COMMIT to the event at a consumer, under a steady load. The consumer is `consumer`, another process.

PostgreSQL itself says when it began to write a COMMIT to its log (track_commit_timestamp), so the time that the disk
takes for it counts too. All clocks are this machine's.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import msgspec

from bench import figures, programs
from bench.consumer import Arrivals
from billfold.app.supervisor.record import StackRecord

_READY_TIMEOUT_S = 30.0
#: The last events of a load arrive, and a few hundred thousand are decoded.
_END_TIMEOUT_S = 60.0
#: Of many that are there already, so many a second are read at least.
_READ_PER_S = 2_000


class Consumer:
    """The running consumer; `arrivals` ends it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def arrivals(self, of: int = 0) -> Arrivals:
        """Stop taking events when no more come, `of` so many, and say when they came.

        Raises: ProgramFailed.
        """
        try:
            async with asyncio.timeout(_END_TIMEOUT_S + of / _READ_PER_S):
                output, _ = await self._process.communicate(b"")
        except TimeoutError:
            raise programs.ProgramFailed("the consumer has not ended") from None
        if self._process.returncode != 0:
            raise programs.ProgramFailed(f"the consumer ended with {self._process.returncode}")
        return msgspec.json.decode(output, type=Arrivals)


class Delays(msgspec.Struct, frozen=True):
    """How many events came, of how many different transfers, and milliseconds from COMMIT to their arrival."""

    events: int
    different: int
    p50_ms: float
    p99_ms: float
    max_ms: float


async def committed(connection: asyncpg.Connection[asyncpg.Record], ids: Iterable[UUID]) -> dict[UUID, float]:
    """When these transfers were committed, in seconds since 1970."""
    found = await connection.fetch(
        "SELECT id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 "
        "FROM ledger.transfers WHERE id = ANY($1::uuid[])",
        list(ids),
    )
    return {row[0]: row[1] for row in found}


def delays(arrived: Arrivals, committed: Mapping[UUID, float]) -> Delays:
    """How long events took that came after the COMMIT of a transfer that there is; there are no others."""
    taken = [(at - committed[transfer]) * 1000 for transfer, at in arrived.first.items()]
    return Delays(
        arrived.events,
        len(arrived.first),
        figures.percentile(taken, 0.5),
        figures.percentile(taken, 0.99),
        max(taken),
    )


@asynccontextmanager
async def consumer(record: StackRecord, *, after: int | None = None) -> AsyncIterator[Consumer]:
    """A consumer of the stack's events that listens by now: to new ones, or to those `after` a number of the stream.

    Raises: ProgramFailed.
    """
    login = {
        "NATS_URL": record.nats_url or "",
        "NATS_USER": record.nats_user or "",
        "NATS_PASSWORD": record.nats_password or "",
        "AFTER": "" if after is None else str(after),
    }
    async with _listening("bench.consumer", login) as found:
        yield found


@asynccontextmanager
async def elsewhere(given: Mapping[str, str]) -> AsyncIterator[Consumer]:
    """A consumer of new events on the broker of these settings, by their names in the environment.

    Raises: ProgramFailed.
    """
    async with _listening("bench.tailing", given) as found:
        yield found


@asynccontextmanager
async def _listening(module: str, given: Mapping[str, str]) -> AsyncIterator[Consumer]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        env=os.environ | given,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            said = await process.stdout.readline()
        if said != b"ready\n":
            raise programs.ProgramFailed("the consumer could not connect")
        yield Consumer(process)
    finally:
        await programs.stop(process)
