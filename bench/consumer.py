"""An independent consumer of the events, as a process of its own: `python -m bench.consumer`.

It says `ready` when it listens, takes every posted transfer's event until its standard input closes, and then prints
how long each took from `recorded_at` to here. Both clocks are this machine's.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import datetime

import msgspec
import nats
from nats.aio.msg import Msg
from nats.js.api import DeliverPolicy

from bench import figures

SUBJECT = "billfold.events.transfer.posted.v1"
#: No event that was published is under way for longer.
_QUIET_S = 0.5


class Delays(msgspec.Struct, frozen=True):
    """How many events came, how many different ones, and milliseconds from `recorded_at` to their arrival."""

    events: int
    different: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class _Data(msgspec.Struct):
    id: str
    recorded_at: datetime


class _Event(msgspec.Struct):
    data: _Data


def delays(arrived: list[tuple[float, bytes]]) -> Delays:
    """The delays of events by when they came, in seconds since 1970, and their bodies."""
    decode = msgspec.json.Decoder(_Event).decode
    events = [(at, decode(body).data) for at, body in arrived]
    taken = [(at - data.recorded_at.timestamp()) * 1000 for at, data in events]
    return Delays(
        len(events),
        len({data.id for _, data in events}),
        figures.percentile(taken, 0.5),
        figures.percentile(taken, 0.99),
        max(taken),
    )


async def _main() -> None:
    client = await nats.connect(
        os.environ["NATS_URL"], user=os.environ["NATS_USER"], password=os.environ["NATS_PASSWORD"]
    )
    arrived: list[tuple[float, bytes]] = []

    async def take(message: Msg) -> None:
        # Nothing more here: decoding takes processor time from what is measured.
        arrived.append((time.time(), message.data))

    # An ordered consumer begins with what is published from now on, and repairs gaps by itself.
    await client.jetstream().subscribe(SUBJECT, cb=take, ordered_consumer=True, deliver_policy=DeliverPolicy.NEW)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await _quiet(arrived)
    await client.close()
    print(msgspec.json.encode(delays(arrived)).decode(), flush=True)


async def _quiet(arrived: list[tuple[float, bytes]]) -> None:
    """Wait until nothing has come for a while."""
    count = -1
    while len(arrived) > count:
        count = len(arrived)
        await asyncio.sleep(_QUIET_S)


if __name__ == "__main__":
    asyncio.run(_main())
