"""Sinks on real servers, and what tests ask of them: what is there, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import httpx2
import pymongo
import pymongo.errors
from prometheus_client import REGISTRY

from billfold.audit import Audit, Sink, workers
from billfold.audit.contracts import AuditRecord
from billfold.audit.service.feeding import Target
from billfold.audit.workers import sinks as feeding
from billfold.kernel.errors import Unavailable
from billfold.platform.messaging.port import Messaging
from billfold.platform.postgres.database import Database
from tests import servers
from tests.integration.audit import support

#: A server that is started again takes its time, and a sink that was away is tried again after some seconds.
PATIENCE_S = 120.0
AGAIN_S = 0.1
#: No search gives more at a time.
_PAGE = 10_000


class Kept(Protocol):
    """A sink of a test's own, and what is in it."""

    sink: Sink
    server: servers.LocalServer[Any]
    #: What gives a worker this sink.
    settings: Mapping[str, str]

    def count(self) -> int:
        """How many documents there are."""
        ...

    def found(self) -> list[dict[str, Any]]:
        """Every document, in the order of their positions."""
        ...

    def down(self) -> None:
        """End the server in the worst way that it loses nothing by."""
        ...

    def empty(self) -> None:
        """Lose every document."""
        ...


class KeptInMongodb:
    """A database of the stand-in for MongoDB."""

    def __init__(self, server: servers.MongoServer, sink: Sink, database: str) -> None:
        self.server: servers.LocalServer[Any] = server
        self.sink = sink
        self.settings: Mapping[str, str] = {
            "BILLFOLD_AUDIT__SINKS__MONGODB__URL": server.url,
            "BILLFOLD_AUDIT__SINKS__MONGODB__DATABASE": database,
        }
        self._database = database

    def count(self) -> int:
        with pymongo.MongoClient[dict[str, Any]](self.server.url) as client:
            return client[self._database]["audit"].estimated_document_count()

    def found(self) -> list[dict[str, Any]]:
        with pymongo.MongoClient[dict[str, Any]](self.server.url) as client:
            try:
                return list(client[self._database]["audit"].find().sort("position"))
            except pymongo.errors.OperationFailure:
                # The stand-in fails to go on with a cursor while somebody writes.
                return []

    def down(self) -> None:
        self.server.stop()

    def empty(self) -> None:
        with pymongo.MongoClient[dict[str, Any]](self.server.url) as client:
            client.drop_database(self._database)


class KeptInOpensearch:
    """Indexes of an OpenSearch."""

    def __init__(self, server: servers.OpenSearchServer, sink: Sink, index: str) -> None:
        self.server: servers.LocalServer[Any] = server
        self.sink = sink
        self.settings: Mapping[str, str] = {
            "BILLFOLD_AUDIT__SINKS__OPENSEARCH__URL": server.url,
            "BILLFOLD_AUDIT__SINKS__OPENSEARCH__INDEX": index,
        }
        self._index = index

    def count(self) -> int:
        number: int = self.ask("POST", f"{self._index}-*/_count")["count"]
        return number

    def found(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            asked: dict[str, Any] = {"size": _PAGE, "sort": ["position"], "query": {"match_all": {}}}
            if found:
                asked["search_after"] = [found[-1]["position"]]
            page = self.ask("POST", f"{self._index}-*/_search", asked)["hits"]["hits"]
            found += [{"_id": one["_id"], **one["_source"]} for one in page]
            if len(page) < _PAGE:
                return found

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Its answer, of what is there by now."""
        httpx2.post(f"{self.server.url}/_refresh", timeout=PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = httpx2.request(method, f"{self.server.url}/{path}", json=body, timeout=PATIENCE_S)
            if answer.status_code < 300:
                return answer.json()
            # An index that is just being made is not there for a moment.
            assert answer.status_code == 503, answer.text
            assert time.monotonic() < deadline, answer.text
            time.sleep(AGAIN_S)

    def down(self) -> None:
        self.server.kill()

    def empty(self) -> None:
        self.ask("DELETE", f"{self._index}-2026.01")


class Called:
    """A sink under a name of a test's own, so that its queue is one too; `after` is done when something is written."""

    def __init__(self, sink: Sink, name: str, after: Callable[[], Awaitable[None]] | None = None) -> None:
        self.name = name
        self._sink = sink
        self._after = after

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Target]:
        async with self._sink.opened() as target:
            yield _Watched(target, self._after)


class _Watched:
    def __init__(self, target: Target, after: Callable[[], Awaitable[None]] | None) -> None:
        self._target = target
        self._after = after

    async def write(self, told: Sequence[AuditRecord]) -> None:
        await self._target.write(told)
        if self._after is not None:
            await self._after()

    async def examine(self) -> str:
        return await self._target.examine()


@asynccontextmanager
async def running(
    audit: Audit, sink: Sink, *, messaging: Messaging, core: Database, fill: bool = True
) -> AsyncIterator[None]:
    """A worker's duties for a sink, until the block ends."""

    async def kept_up(duty: Callable[[], Awaitable[None]]) -> None:
        while True:
            with contextlib.suppress(Unavailable):
                await duty()
            await asyncio.sleep(AGAIN_S)

    duties: list[Callable[[], Awaitable[None]]] = [lambda: workers.feed(audit, sink.name, messaging)]
    if fill:
        duties.append(lambda: workers.fill(sink, messaging=messaging, database=core))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(kept_up(duty)) for duty in duties]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def until_there(kept: Kept, count: int) -> list[dict[str, Any]]:
    """What is in the sink once there is so much of it.

    Until then it is only counted: to read thousands again and again would take the time from who writes them.
    """
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await asyncio.to_thread(kept.count) >= count:
                found = await asyncio.to_thread(kept.found)
                if len(found) >= count:
                    return found
            await asyncio.sleep(AGAIN_S)


async def recorded(audit: Audit, count: int, *, start: int = 0) -> None:
    """That many records are in the audit."""
    for first in range(start, start + count, 500):
        await audit.recording.add(support.facts(min(500, start + count - first), start=first))


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for it."""
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():  # noqa: ASYNC110 - a server can't tell.
            await asyncio.sleep(AGAIN_S)


async def waiting(messaging: Messaging, name: str) -> int:
    """What the broker has for a sink, in its hand or not."""
    async with messaging.connected(name="test") as broker:
        backlog = await broker.backlog(feeding.queue_of(name))
    return 0 if backlog is None else backlog.waiting + backlog.in_hand


def lag(name: str) -> float:
    """As the metric says."""
    return _value("billfold_audit_sink_lag_records", name)


def written(name: str) -> float:
    """As the metric says: repeats are counted."""
    return _value("billfold_audit_sink_written_total", name)


def _value(metric: str, name: str) -> float:
    return REGISTRY.get_sample_value(metric, {"sink": name}) or 0.0
