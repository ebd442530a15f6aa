"""An independent consumer of the events, as a process of its own: `python -m bench.consumer`.

It says `ready` when it listens, takes every posted transfer's event until its standard input closes and no more come,
and then prints when each came, by this machine's clock. With a number of the stream in AFTER it begins behind that.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from uuid import UUID

import msgspec
import nats
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy

SUBJECT = "billfold.events.transfer.posted.v1"
#: No event that was published is under way for longer.
_QUIET_S = 0.5


class Arrivals(msgspec.Struct, frozen=True):
    """How many events came, and when the first one of each transfer did, in seconds since 1970."""

    events: int
    first: dict[UUID, float]


class _Data(msgspec.Struct):
    id: UUID


class _Event(msgspec.Struct):
    data: _Data


def arrivals(arrived: list[tuple[float, bytes]]) -> Arrivals:
    """Which transfers' events came, of the moments and bodies of all that did."""
    decode = msgspec.json.Decoder(_Event).decode
    first: dict[UUID, float] = {}
    for at, body in arrived:
        first.setdefault(decode(body).data.id, at)
    return Arrivals(len(arrived), first)


async def _main() -> None:
    client = await nats.connect(
        os.environ["NATS_URL"], user=os.environ["NATS_USER"], password=os.environ["NATS_PASSWORD"]
    )
    arrived: list[tuple[float, bytes]] = []

    async def take(message: Msg) -> None:
        # Nothing more here: decoding takes processor time from what is measured.
        arrived.append((time.time(), message.data))

    # An ordered consumer repairs gaps by itself.
    await client.jetstream().subscribe(SUBJECT, cb=take, ordered_consumer=True, config=_begin(os.environ["AFTER"]))
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await quiet(arrived)
    await client.close()
    print(msgspec.json.encode(arrivals(arrived)).decode(), flush=True)


def _begin(after: str) -> ConsumerConfig:
    """From what is published from now on, or from behind a number."""
    if not after:
        return ConsumerConfig(deliver_policy=DeliverPolicy.NEW)
    return ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=int(after) + 1)


async def quiet(arrived: list[tuple[float, bytes]]) -> None:
    """Wait until nothing has come for a while."""
    count = -1
    while len(arrived) > count:
        count = len(arrived)
        await asyncio.sleep(_QUIET_S)


if __name__ == "__main__":
    asyncio.run(_main())
