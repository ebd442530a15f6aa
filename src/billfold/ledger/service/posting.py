"""Group commit: requests that arrive while a batch is in flight join the next one.

A batch is one database transaction, of which `writing` says what it does, and only after its COMMIT is everybody
answered. How often it had to be run is nobody's business but ours: it can be repeated, because what was committed is
found by its keys.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any
from uuid import UUID

import structlog

from billfold.kernel import errors as kernel_errors
from billfold.kernel import origin
from billfold.kernel.idempotency import IdempotencyKeyInUse
from billfold.ledger import errors
from billfold.ledger.service import held, journal, measures, writing
from billfold.ledger.service.commands import Command
from billfold.ledger.store import batch as store
from billfold.platform.postgres import database
from billfold.platform.postgres.database import Database
from billfold.platform.telemetry import traces

#: A batch's row locks are held while it is folded and written; at 20 µs a transfer this is 80 ms.
BATCH_MAX = 4_000
#: What waits longer than a few seconds had better be told to come back: this is about two seconds of work.
WAITING_MAX = 50_000
#: A restarting database answers again within a second or two. A request that has waited for longer than this is told.
RETRY_FOR_S = 6.0
#: However long it has waited, what became of a COMMIT is asked for so long.
RETRY_AT_LEAST_S = 1.0
#: Batches hold their locks for a tenth of that. When another session keeps one waiting for longer, the requests that do
#: not need what it holds are posted first.
LOCK_WAIT_S = 1.0
#: Of a batch so many are answered in one turn of the event loop. Callers answered together send their next requests
#: together, and the next batch would wait for all of that work between its statements, while the database is idle.
ANSWERED_AT_ONCE = 16
RETRY_PAUSE_S = 0.05
RETRY_PAUSE_MAX_S = 0.5
#: How often is looked whether an account that another session held is free again, when nothing else is to be done.
LOOK_AGAIN_S = 0.05

log = structlog.get_logger(__name__)


class Job:
    """A command, where its answer goes, and when it came, by the loop's clock."""

    __slots__ = ("came_at", "command", "future")

    def __init__(self, command: Command, future: asyncio.Future[Any], came_at: float) -> None:
        self.command = command
        self.future = future
        self.came_at = came_at

    def answer(self, outcome: Any) -> None:
        """Hand over the outcome. The caller may have gone; what was done stays done."""
        if self.future.done():
            return
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class Poster:
    """Takes commands, and runs batches of them, one after the other."""

    def __init__(self, database: Database, *, journal: journal.Journal) -> None:
        self._session = database.session(lock_timeout_s=LOCK_WAIT_S)
        self._journal = journal
        self._queue: deque[Job] = deque()
        #: Those that need what another session holds.
        self._parked: list[Job] = []
        #: Transfers that have not been answered.
        self._waiting = 0
        self._in_flight: set[UUID] = set()
        self._outcomes: deque[tuple[Job, Any]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        # One writer: a second would mostly wait for the first one's row locks, and halve the batches.
        self._writer = asyncio.create_task(self._write(), name="ledger writer")

    async def close(self) -> None:
        """Finish what waits, take nothing more."""
        self._closing = True
        self._wake.set()
        await self._writer
        await self._session.close()

    async def submit(self, command: Command) -> Any:
        """Run `command` in the next batch; what it returns or raises is durable when this ends.

        Raises:
            LedgerError: it was refused, and the refusal is kept under its key.
            IdempotencyKeyReused, IdempotencyKeyInUse: the key stands for something else, or is being worked on.
            Overloaded: too much waits; nothing was done.
            DatabaseUnavailable: nothing was done.
            OutcomeUnknown: the database was lost during COMMIT and has not come back: ask again with the key.
        """
        with traces.span("ledger " + type(command).__name__):
            return await self.enqueue(command)

    def enqueue(self, command: Command) -> asyncio.Future[Any]:
        """As `submit`, but only queue it: the future is its answer."""
        if self._closing or self._waiting + command.size > WAITING_MAX:
            raise errors.Overloaded
        assert not self._writer.done(), "the writer ends only when the ledger closes"
        if command.key is not None:
            if command.key.digest in self._in_flight:
                raise IdempotencyKeyInUse
            self._in_flight.add(command.key.digest)
        command.trace = traces.current()
        command.origin = origin.current()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._queue.append(Job(command, future, loop.time()))
        self._waiting += command.size
        self._wake.set()
        return future

    async def _write(self) -> None:
        while self._queue or self._parked or not self._closing:
            ready = await self._look_again() if self._parked else deque(_batch(self._queue))
            while ready:
                await self._run(_batch(ready))
            if not self._queue and (self._parked or not self._closing):
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_AGAIN_S if self._parked else None):
                        await self._wake.wait()

    async def _run(self, jobs: Sequence[Job]) -> None:
        """Commit the batch and answer everybody. A request that makes its batch fail is found by halving the batch."""
        measures.WAITING.set(self._waiting)
        began = perf_counter()
        batch = [job.command for job in jobs]
        waiting = [command.trace for command in batch if command.trace is not None]
        try:
            with traces.span("ledger batch", parent=waiting[0] if waiting else None, links=waiting[1:]) as span:
                span.set("billfold.batch.commands", len(batch))
                with measures.BATCH_FAILURES.count_exceptions():
                    outcomes = await self._commit(batch, came_at=jobs[0].came_at)
        except database.RowsLocked as error:
            await self._run_around(jobs, error)
        except (kernel_errors.Unavailable, IdempotencyKeyInUse) as error:
            for job in jobs:
                self._answer(job, error)
        except Exception as error:
            if len(jobs) == 1:
                log.exception("a batch of one failed", command=type(jobs[0].command).__name__)
                self._answer(jobs[0], error)
                return
            log.warning("a batch failed; its halves are run apart", requests=len(jobs), error=repr(error))
            middle = len(jobs) // 2
            await self._run(jobs[:middle])
            await self._run(jobs[middle:])
        else:
            measures.BATCH_SECONDS.observe(perf_counter() - began)
            measures.BATCH_REQUESTS.observe(len(batch))
            answering = bool(self._outcomes)
            self._outcomes.extend(zip(jobs, outcomes, strict=True))
            if not answering:
                self._answer_some()

    def _answer_some(self) -> None:
        for _ in range(min(ANSWERED_AT_ONCE, len(self._outcomes))):
            self._answer(*self._outcomes.popleft())
        if self._outcomes:
            asyncio.get_running_loop().call_soon(self._answer_some)

    def _answer(self, job: Job, outcome: Any) -> None:
        self._waiting -= job.command.size
        if not self._waiting:
            measures.WAITING.set(0)
        if job.command.key is not None:
            self._in_flight.discard(job.command.key.digest)
        job.answer(outcome)

    async def _run_around(self, jobs: Sequence[Job], error: database.RowsLocked) -> None:
        """Park those that another session keeps from their accounts, and run the others."""
        # When it is not for accounts that the batch waits, nobody can do without what is held.
        kept = await self._kept_waiting(jobs) or range(len(jobs))
        log.warning("another session holds what requests need", requests=len(jobs), kept_waiting=len(kept))
        self._park([jobs[place] for place in sorted(kept)], error)
        free = [job for place, job in enumerate(jobs) if place not in kept]
        if free:
            await self._run(free)

    def _park(self, jobs: Sequence[Job], error: database.RowsLocked) -> None:
        """Let them wait apart, but nobody for longer than RETRY_FOR_S."""
        overdue = asyncio.get_running_loop().time() - RETRY_FOR_S
        for job in jobs:
            if job.came_at < overdue:
                self._answer(job, error)
            else:
                self._parked.append(job)

    async def _look_again(self) -> deque[Job]:
        """Those of the parked whose accounts are free again, and of the next in the queue; the others are parked."""
        jobs = [*self._parked, *_batch(self._queue)]
        self._parked = []
        kept = await self._kept_waiting(jobs)
        self._park([jobs[place] for place in sorted(kept)], database.RowsLocked())
        return deque(job for place, job in enumerate(jobs) if place not in kept)

    async def _kept_waiting(self, jobs: Sequence[Job]) -> set[int]:
        """The places of those whose accounts another session holds now."""
        try:
            async with self._session.transaction() as connection:
                return await held.places(connection, [job.command for job in jobs])
        except database.DatabaseUnavailable:
            return set()  # Whoever runs them will be told why.

    async def _commit(self, batch: Sequence[Command], *, came_at: float) -> list[Any]:
        """Run the batch until it is known to be committed, or the database has stayed away for too long.

        Repeating it is safe whatever became of the last try: a key that was committed is found and replayed, and a key
        that a dying connection is still committing makes the repetition wait and then fail on its unique index.
        """
        loop = asyncio.get_running_loop()
        deadline = max(came_at + RETRY_FOR_S, loop.time() + RETRY_AT_LEAST_S)
        pause = RETRY_PAUSE_S
        unknown = met = False
        while True:
            try:
                return await self._attempt(batch)
            except database.UniqueViolation as violation:
                if violation.constraint_name != store.KEYS_UNIQUE:
                    raise
                # Whoever had the key has answered it by now, so the next try finds the answer. However long this one
                # has waited, its neighbours must not be refused for it.
                reason: Exception = IdempotencyKeyInUse()
                if not met:
                    met = True
                    continue
            except database.RowsLocked:
                if not unknown:
                    raise
                reason = errors.OutcomeUnknown()
            except database.CommitUnknown:
                unknown = True
                reason = errors.OutcomeUnknown()
            except database.DatabaseUnavailable as error:
                reason = errors.OutcomeUnknown() if unknown else error
            if loop.time() + pause > deadline:
                raise reason
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_PAUSE_MAX_S)

    async def _attempt(self, batch: Sequence[Command]) -> list[Any]:
        async with self._session.transaction() as connection:
            return await writing.answers(connection, batch, told_by=self._journal)


def _batch(jobs: deque[Job]) -> list[Job]:
    """Take the next ones out, as many as go into one batch."""
    batch: list[Job] = []
    size = 0
    while jobs and (not batch or size + jobs[0].command.size <= BATCH_MAX):
        job = jobs.popleft()
        size += job.command.size
        batch.append(job)
    return batch
