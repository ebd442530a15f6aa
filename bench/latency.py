"""From a transfer to its event at a consumer, under a steady load. The consumer is `consumer`, another process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from bench import programs
from bench.consumer import Delays
from billfold.app.supervisor.record import StackRecord

_READY_TIMEOUT_S = 30.0
#: The last events of a load arrive, and a few hundred thousand are decoded.
_END_TIMEOUT_S = 60.0


class Consumer:
    """The running consumer; `delays` ends it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def delays(self) -> Delays:
        """Stop taking events, and say how long they took.

        Raises: ProgramFailed.
        """
        try:
            async with asyncio.timeout(_END_TIMEOUT_S):
                output, _ = await self._process.communicate(b"")
        except TimeoutError:
            raise programs.ProgramFailed("the consumer has not ended") from None
        if self._process.returncode != 0:
            raise programs.ProgramFailed(f"the consumer ended with {self._process.returncode}")
        return msgspec.json.decode(output, type=Delays)


@asynccontextmanager
async def consumer(record: StackRecord) -> AsyncIterator[Consumer]:
    """A consumer of the stack's events that listens by now.

    Raises: ProgramFailed.
    """
    env = os.environ | {
        "NATS_URL": record.nats_url,
        "NATS_USER": record.nats_user,
        "NATS_PASSWORD": record.nats_password,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.consumer"),
        env=env,
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
