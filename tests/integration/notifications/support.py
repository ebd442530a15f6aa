"""A whole Billfold in processes, people in it, and those who listen to what happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import httpx2
import msgspec
from websockets.asyncio.client import ClientConnection, connect

from billfold.kernel import ids
from billfold.notifications import store
from billfold.platform import host
from tests import master_keys, servers
from tests.integration.api.world import World

#: Everything here takes milliseconds; a slow machine is forgiven.
DEADLINE_S = 60.0
STOP_TIMEOUT_S = 120.0

Event = dict[str, Any]


@contextmanager
def running_worker(
    database: servers.TestDatabase, nats: servers.NatsServer, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """`billfold serve worker`, killed when the block ends: nobody here relies on its last words."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
    settings = {
        "BILLFOLD_POSTGRES__DSN": database.app_dsn,
        "BILLFOLD_NATS__URL": nats.url,
        "BILLFOLD_NATS__USER": nats.user,
        "BILLFOLD_NATS__PASSWORD": nats.password,
        "BILLFOLD_KEYS__FILE": str(master_keys.shared()),
        "BILLFOLD_WORKER__METRICS_PORT": str(host.free_port()),
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "billfold.app.cli", "serve", "worker"],
            env=outer | settings,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(STOP_TIMEOUT_S)


@dataclass
class Town:
    """Where it all runs, and a way to make people and things beside it."""

    url: str
    metrics_url: str
    world: World
    database: servers.TestDatabase

    def listener(self, token: str, **question: str) -> Listener:
        return Listener(self.url, token, question)

    @asynccontextmanager
    async def socket(self, token: str | None, **more: Any) -> AsyncIterator[Talker]:
        """A WebSocket that has shown this token, if there is one to show."""
        url = f"{self.url.replace('http', 'ws', 1)}/api/v1/ws"
        async with connect(url, proxy=None, **more) as connection:
            talker = Talker(connection)
            if token is not None:
                answer = await talker.ask(type="authenticate", token=token)
                assert answer["type"] == "ready", answer
            yield talker

    async def metrics(self) -> str:
        """What the API tells Prometheus."""
        async with httpx2.AsyncClient(timeout=DEADLINE_S) as client:
            return (await client.get(f"{self.metrics_url}/metrics")).text

    async def request(self, method: str, path: str, token: str | None = None, **more: Any) -> httpx2.Response:
        headers = dict(more.pop("headers", {}))
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        async with httpx2.AsyncClient(base_url=f"{self.url}/api/v1", timeout=DEADLINE_S) as client:
            return await client.request(method, path, headers=headers, **more)


@dataclass
class Talker:
    """Somebody at a WebSocket."""

    connection: ClientConnection
    events: list[Event] = field(default_factory=list)

    async def say(self, **message: Any) -> None:
        await self.connection.send(msgspec.json.encode(message).decode())

    async def hear(self) -> dict[str, Any]:
        """The next message, whichever it is."""
        async with asyncio.timeout(DEADLINE_S):
            found: dict[str, Any] = msgspec.json.decode(await self.connection.recv())
        return found

    async def ask(self, **message: Any) -> dict[str, Any]:
        """What is answered to this; events that come before it are kept."""
        await self.say(**message)
        while (heard := await self.hear())["type"] == "event":
            self.events.append(heard["event"])
        return heard

    async def event(self) -> Event:
        if self.events:
            return self.events.pop(0)
        heard = await self.hear()
        assert heard["type"] == "event", heard
        found: Event = heard["event"]
        return found

    async def closed(self) -> tuple[int | None, str | None]:
        """The code and the reason with which the server closes."""
        async with asyncio.timeout(DEADLINE_S):
            await self.connection.wait_closed()
        return self.connection.close_code, self.connection.close_reason


class Listener:
    """Somebody who follows the stream as browsers do: connects again where they were, whatever ends the connection."""

    def __init__(self, url: str, token: str, question: dict[str, str]) -> None:
        self._url = f"{url}/api/v1/stream"
        self._headers = {"authorization": f"Bearer {token}"}
        self._question = question
        self._changed = asyncio.Event()
        self.last_id: str | None = None
        self.events: list[Event] = []
        self.end: dict[str, Any] | None = None
        self.refused: httpx2.Response | None = None
        #: How often it has begun.
        self.begun = 0
        #: Whether the connection is open.
        self.is_open = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        await self.until(lambda: self.begun > 0 or self.refused is not None)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    @property
    def ids(self) -> list[str]:
        """The subjects of what was heard, in the order in which it was."""
        return [event["subject"] for event in self.events]

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not enough():
                if self._task.done():
                    await self._task
                self._changed.clear()
                waiting = asyncio.create_task(self._changed.wait())
                await asyncio.wait([waiting, self._task], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if self._task.done() and not enough():
                    await self._task
                    raise AssertionError(f"the stream is over: {self.end} {self.refused}")

    async def _follow(self) -> None:
        async with httpx2.AsyncClient(timeout=None) as client:
            while self.end is None and self.refused is None:
                headers = self._headers | ({"last-event-id": self.last_id} if self.last_id is not None else {})
                try:
                    async with client.stream("GET", self._url, headers=headers, params=self._question) as answer:
                        if answer.status_code != 200 and answer.status_code < 500:
                            await answer.aread()
                            self.refused = answer
                        elif answer.status_code == 200:
                            await self._read(answer)
                except httpx2.TransportError:
                    pass
                self.is_open = False
                self._changed.set()
                await asyncio.sleep(0.05)

    async def _read(self, answer: httpx2.Response) -> None:
        frame: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                frame[name] = value
                continue
            self._take(frame)
            frame = {}

    def _take(self, frame: dict[str, str]) -> None:
        self.last_id = frame.get("id", self.last_id)
        match frame.get("event"):
            case "ready":
                self.begun += 1
                self.is_open = True
            case "end":
                end = msgspec.json.decode(frame["data"])
                # What is retryable is what one comes again after.
                self.end = None if end["retryable"] else end
            case _ if "data" in frame:
                self.events.append(msgspec.json.decode(frame["data"]))
        self._changed.set()


async def tell(world: World, owner: UUID, *, count: int, padding: int = 0) -> list[str]:
    """Tell an owner of transfers that there were not, without a broker, and give their subjects."""
    subjects = [str(ids.new()) for _ in range(count)]
    data = msgspec.json.encode({"entries": [], "description": "x" * padding}).decode()
    entries = [
        store.Entry(owner, "/billfold/ledger", one, "transfer.posted.v1", one, datetime.now(UTC), data)
        for one in subjects
    ]
    async with world._database.transaction() as connection:
        await store.append(connection, entries)
    return subjects


async def until(enough: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what takes a moment."""
    async with asyncio.timeout(DEADLINE_S):
        while not await enough():  # noqa: ASYNC110 - it is not ours to be told of.
            await asyncio.sleep(0.02)
