"""A consumer of the events on whichever broker the settings name, as a process of its own: `python -m bench.tailing`.

It does what `consumer` does on NATS, by Billfold's own client, as who reads along has it.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec

from bench.consumer import arrivals, quiet
from billfold.app import messaging, settings
from billfold.platform.messaging.port import Bookmark, Broker
from billfold.platform.messaging.topics import EVENTS

TYPE = "transfer.posted.v1"


async def _main() -> None:
    arrived: list[tuple[float, bytes]] = []
    async with messaging.of(settings.load().settings).connected(name="billfold bench") as broker:
        ready = asyncio.Event()
        taking = asyncio.create_task(_take(broker, arrived, ready))
        ended = asyncio.create_task(ready.wait())
        await asyncio.wait([taking, ended], return_when=asyncio.FIRST_COMPLETED)
        print("ready" if ready.is_set() else "failed", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await quiet(arrived)
        taking.cancel()
    print(msgspec.json.encode(arrivals(arrived)).decode(), flush=True)


async def _take(broker: Broker, arrived: list[tuple[float, bytes]], ready: asyncio.Event) -> None:
    async with broker.tailing(EVENTS, types=(TYPE,), bookmark=Bookmark(start="new")) as deliveries:
        ready.set()
        async for delivery in deliveries:
            arrived.append((time.time(), delivery.body))  # noqa: PERF401 - it never ends


if __name__ == "__main__":
    asyncio.run(_main())
