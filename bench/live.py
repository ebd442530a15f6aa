"""What idle streams cost: `python -m bench.live`, or with `--connections 200` for a look.

Half of them are Server-Sent Events and half WebSockets, on one process of the API; one owner has them all, so that in
the end one deposit is told on each of them. The target is 150 MB for 2,000.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import connect

from bench import processes, stack
from billfold.app import settings
from billfold.app.client import Api
from billfold.kernel import ids

TARGET_MB = 150
IDLE_S = 20.0
_OPENED_AT_ONCE = 50


async def _sse(url: str, key: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream that has begun, with as little of a client as there can be."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"GET /api/v1/stream?topics=transactions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
    writer.write(head.encode())
    await reader.readuntil(b"event: ready")
    await reader.readuntil(b"\n\n")
    return reader, writer


async def _heard_on_sse(reader: asyncio.StreamReader) -> float:
    await reader.readuntil(b"transfer.posted.v1")
    return time.perf_counter()


class _Socket:
    """A WebSocket that is subscribed."""

    async def open(self, url: str, key: str, stack: AsyncExitStack) -> None:
        address = url.replace("http", "ws", 1) + "/api/v1/ws"
        self._connection = await stack.enter_async_context(connect(address, proxy=None, compression=None))
        for message in (
            {"type": "authenticate", "token": key},
            {"type": "subscribe", "topics": ["transactions"]},
        ):
            await self._connection.send(msgspec.json.encode(message).decode())
            await self._connection.recv()

    async def heard(self) -> float:
        await self._connection.recv()
        return time.perf_counter()


async def _opened(url: str, key: str, count: int, stack: AsyncExitStack) -> Sequence[_Socket | asyncio.StreamReader]:
    found: list[_Socket | asyncio.StreamReader] = []

    async def one(number: int) -> None:
        if number % 2:
            reader, writer = await _sse(url, key)
            stack.callback(writer.close)
            found.append(reader)
        else:
            socket = _Socket()
            await socket.open(url, key, stack)
            found.append(socket)

    for begin in range(0, count, _OPENED_AT_ONCE):
        await asyncio.gather(*(one(number) for number in range(begin, min(begin + _OPENED_AT_ONCE, count))))
    return found


async def _measured(connections: int) -> bool:
    given = {
        settings.variable("live.streams"): str(connections + 10),
        settings.variable("live.streams_of_owner"): str(connections + 10),
        settings.variable("limits.anonymous_per_minute"): "0",
    }
    async with AsyncExitStack() as open_:
        folder = await open_.enter_async_context(stack.data_folder(Path(tempfile.gettempdir())))
        running = await open_.enter_async_context(stack.up(folder, given))
        record, api = running.record, running.roots["api"]
        caller = await open_.enter_async_context(Api(url=record.api_url, key=record.api_key))
        wallet = (await caller.post("/wallets", {"name": "Bench"}, key=str(ids.new()))).body["id"]
        await asyncio.sleep(2)
        before = processes.memory_bytes(api)
        began = time.perf_counter()
        clients = await open_.enter_async_context(AsyncExitStack())
        listening = await _opened(record.api_url, record.api_key, connections, clients)
        opened_s = time.perf_counter() - began
        used = processes.cpu_seconds({"api": api})
        await asyncio.sleep(IDLE_S)
        used = processes.spent(used, processes.cpu_seconds({"api": api}))
        more = processes.memory_bytes(api) - before
        deposit = {"money": {"amount": "1.00", "asset": "USD"}}
        answered = asyncio.gather(
            *(one.heard() if isinstance(one, _Socket) else _heard_on_sse(one) for one in listening)
        )
        await caller.post(f"/wallets/{wallet}/deposits", deposit, key=str(ids.new()))
        posted = time.perf_counter()
        heard = sorted(at - posted for at in await answered)
    rows = {
        "connections, half SSE and half WebSocket": f"{connections:,}",
        "memory of the API before": f"{before / 1e6:.0f} MB",
        "more with all of them idle": f"{more / 1e6:.0f} MB (target for 2,000: {TARGET_MB} MB)",
        "for each of them": f"{more / connections / 1e3:.1f} kB",
        "opened in": f"{opened_s:.1f} s",
        "processor time while idle": f"{100 * used['api'] / IDLE_S:.1f} % of a core",
        "from the answer to a deposit to the first who hears of it": f"{heard[0] * 1e3:.0f} ms",
        "to the last": f"{heard[-1] * 1e3:.0f} ms",
    }
    for name, value in rows.items():
        print(f"{name:58} {value}")
    return more <= TARGET_MB * 1e6 * max(1, connections / 2_000)


def main() -> None:
    """Measure, and fail if it is too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=2_000)
    sys.exit(0 if asyncio.run(_measured(parser.parse_args().connections)) else 1)


if __name__ == "__main__":
    main()
