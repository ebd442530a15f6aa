"""Transfers over HTTP. One counts only if it was answered 2xx and is found in the database afterwards."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec

from bench import processes, wrk
from bench.processes import Moment
from bench.rows import Cost, cost
from bench.stack import Running
from bench.wrk import Answers, Load
from billfold.app.roles import requests
from billfold.audit import workers as audit
from billfold.kernel import ids
from billfold.notifications import workers as notifications

#: Events are published after the answers; the next measurement begins when all are, or after this.
DRAIN_TIMEOUT_S = 120.0
_LOOK_S = 0.1
#: The outbox of a stack at rest is empty at each of so many looks.
_QUIET_LOOKS = 3
#: The worker's own consumers of events, who may be behind when everything is published.
_FOLLOWERS = (notifications.FEED, audit.SUBSCRIPTION, requests.SUBSCRIPTION)
#: So much is taken from a measurement's two processors if it is not waited for; a bulk load leaves a minute of it.
FOLLOW_TIMEOUT_S = 300.0


class Lost(Exception):
    """The API acknowledged more transfers than there are in the database."""


class Result(msgspec.Struct, frozen=True):
    """What one load did."""

    answers: Answers
    #: Transfers that were acknowledged, and those that were found: the answers to the last few came too late to count.
    acknowledged: int
    found: int
    per_s: float
    #: Processor time of a transfer until its answer, and until its event is published, in the feed and in the audit.
    answering: Cost
    publishing: Cost
    #: From the last answer until the last event was published, and until feed and audit had it.
    drain_s: float
    follow_s: float
    #: The share of all processors' time that went to others while the load ran: what blurs a figure.
    others: float


class Read(msgspec.Struct, frozen=True):
    """What one load of questions did, and the processor time of an answer."""

    answers: Answers
    answering: Cost


class Stored(msgspec.Struct, frozen=True):
    """Bytes of the journal with its links, and of the idempotency records, all with their indexes; and their rows."""

    journal_bytes: int
    transfers: int
    keys_bytes: int
    keys: int

    @property
    def single_bytes(self) -> float:
        """What a transfer takes that was a request of its own."""
        return self.journal_bytes / self.transfers + self.keys_bytes / self.keys


class Site:
    """A running stack under load, and the database behind it."""

    def __init__(self, running: Running, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._running = running
        self._connection = connection

    async def post(
        self,
        lines: Path,
        *,
        label: str,
        connections: int,
        seconds: int,
        items: int = 1,
        per_s: float | None = None,
        token: str | None = None,
    ) -> Result:
        """Send the requests of a file, each with `items` transfers, under idempotency keys that begin with `label`.

        `token` is whose they are, instead of the stack's own key.

        Raises: Lost, ProgramFailed.
        """
        first = ids.floor_of(time.time_ns() // 1_000_000)
        before = processes.cpu_seconds(self._running.roots)
        began = Moment.now()
        load = self._load(lines, label, connections, seconds, per_s)
        answers = await wrk.run(load if token is None else msgspec.structs.replace(load, token=token))
        others = Moment.now().others_since(began)
        answered = processes.cpu_seconds(self._running.roots)
        drain_s = await self.drained()
        follow_s = drain_s + await self.followed()
        published = processes.cpu_seconds(self._running.roots)
        found = await self.posted_since(first)
        acknowledged = answers.accepted * items
        if acknowledged > found:
            raise Lost(f"{acknowledged} transfers were acknowledged and {found} are in the database")
        return Result(
            answers,
            acknowledged,
            found,
            acknowledged / answers.seconds,
            cost(processes.spent(before, answered), found),
            cost(processes.spent(before, published), found),
            drain_s,
            follow_s,
            others,
        )

    async def posted_since(self, first: UUID) -> int:
        """How many transfers there are whose ids are not smaller: those of a load, and of nobody else."""
        found: int = await self._connection.fetchval("SELECT count(*) FROM ledger.transfers WHERE id >= $1", first)
        return found

    async def get(self, lines: Path, *, connections: int, seconds: int, header: str | None = None) -> Answers:
        """Send the requests of a file, which read."""
        load = self._load(lines, None, connections, seconds, None)
        return await wrk.run(msgspec.structs.replace(load, header=header))

    async def read(self, lines: Path, *, connections: int, seconds: int, header: str | None = None) -> Read:
        """The same, and what it cost."""
        before = processes.cpu_seconds(self._running.roots)
        answers = await self.get(lines, connections=connections, seconds=seconds, header=header)
        after = processes.cpu_seconds(self._running.roots)
        return Read(answers, cost(processes.spent(before, after), answers.accepted))

    async def storm(self, lines: Path, *, connections: int, seconds: int, per_s: float) -> wrk.Logins:
        """Logins from everywhere."""
        url = self._running.record.api_url
        return await wrk.storm(wrk.Storm(lines, url, connections=connections, seconds=seconds, per_s=per_s))

    async def drained(self) -> float:
        """Wait until every event is published, and say how long that took."""
        began = time.perf_counter()
        quiet = 0
        while quiet < _QUIET_LOOKS and time.perf_counter() - began < DRAIN_TIMEOUT_S:
            waiting = await self._connection.fetchval("SELECT EXISTS (SELECT FROM messaging.outbox)")
            quiet = 0 if waiting else quiet + 1
            await asyncio.sleep(_LOOK_S)
        return time.perf_counter() - began - _QUIET_LOOKS * _LOOK_S

    async def followed(self) -> float:
        """Wait until feed, audit and requests have what was published, and say how long that took."""
        began = time.perf_counter()
        async with self._running.messaging.connected(name="billfold bench") as broker:
            for follower in _FOLLOWERS:
                while time.perf_counter() - began < FOLLOW_TIMEOUT_S:
                    backlog = await broker.backlog(follower)
                    if backlog is None or not backlog.waiting + backlog.in_hand:
                        break
                    await asyncio.sleep(_LOOK_S)
        return time.perf_counter() - began

    async def stored(self) -> Stored:
        """What is kept by now."""
        found = await self._connection.fetchrow(
            """
            SELECT pg_total_relation_size('ledger.transfers') + pg_total_relation_size('ledger.links'),
                   (SELECT count(*) FROM ledger.transfers),
                   pg_total_relation_size('ledger.idempotency'),
                   (SELECT count(*) FROM ledger.idempotency)
            """
        )
        assert found is not None, "a SELECT without FROM has a row"
        return Stored(*found)

    def _load(self, lines: Path, label: str | None, connections: int, seconds: int, per_s: float | None) -> Load:
        record = self._running.record
        return Load(
            lines=lines,
            url=record.api_url,
            token=record.api_key,
            connections=connections,
            seconds=seconds,
            label=label,
            per_s=per_s,
        )
