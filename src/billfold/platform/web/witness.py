"""Has the audit keep what leaves no event behind: refused commands, and what staff looked at that is somebody else's.

Requests that come together share a database transaction, so that each waits for one commit and not for its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from prometheus_client import Counter

from billfold.kernel import clock, facts, ids, origin
from billfold.kernel.clock import Clock, SystemClock
from billfold.kernel.errors import Denied, Refusal, Unavailable
from billfold.kernel.facts import Fact
from billfold.kernel.origin import Origin
from billfold.kernel.principal import Principal
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Database
from billfold.platform.telemetry import logs
from billfold.platform.web.operations import Operation

SOURCE = "/billfold/api"
REFUSED = "request.refused.v1"
LOOKED = "data.looked_at.v1"
#: Facts that share a transaction; each is below a kilobyte, and an event takes 512.
TOGETHER_MAX = 100
#: What is kept of a path or a query; longer ones name nothing of ours.
_TARGET_MAX = 1_000
#: Methods that change nothing.
_READS = frozenset({"GET", "HEAD"})
_LOST = Counter("billfold_audit_refusals_lost", "Refused requests of which the audit could not be told.")

log = structlog.get_logger(__name__)


class Witness:
    """Writes facts into the outbox of `database`."""

    def __init__(self, database: Database, *, watch: Clock | None = None) -> None:
        self._database = database
        self._clock = watch or SystemClock()
        self._waiting: list[tuple[Fact, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def refused(self, error: BaseException, *, method: str, route: str, path: str) -> None:
        """A known caller has been refused a command, or something they may not have.

        Nothing has changed, so they are refused all the same when it can't be written down.
        """
        known = origin.current()
        if known is None or known.credential_id is None or not isinstance(error, Refusal):
            return
        if method in _READS and not isinstance(error, Denied):
            return
        data = {"method": method, "route": route, "path": _shown(path), "detail": _shown(error.detail)}
        try:
            await self._write(self._fact(REFUSED, known, subject=f"{method} {route}", outcome=error.code, data=data))
        except Unavailable as unavailable:
            _LOST.inc()
            log.warning("the audit was not told of a refusal", code=error.code, reason=unavailable.detail)

    async def looked(self, principal: Principal, operation: Operation, *, method: str, path: str, query: str) -> None:
        """A person is about to see what may be somebody else's, by a role that lets them. First it is written down.

        Raises:
            DatabaseUnavailable: it can't be written down, so they must not see it.
        """
        known = origin.current()
        reaches = operation.everybody in principal.scopes or (operation.everybody and principal.sees_everybody)
        if known is None or principal.user_id is None or method not in _READS or not reaches:
            return
        data = {"operation": operation.summary, "path": _shown(path), "query": _shown(query)}
        await self._write(self._fact(LOOKED, known, subject=_shown(path), outcome=facts.DONE, data=data))

    def _fact(self, kind: str, known: Origin, *, subject: str, outcome: str, data: dict[str, str]) -> Fact:
        return Fact(
            type=kind,
            source=SOURCE,
            id=str(ids.new()),
            subject=subject,
            time=clock.format(self._clock.now()),
            origin=known,
            outcome=outcome,
            data=data,
        )

    async def _write(self, fact: Fact) -> None:
        """Return once it is committed."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((fact, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all(), name="audit of requests")
        await written

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:TOGETHER_MAX], self._waiting[TOGETHER_MAX:]
            try:
                await self._commit([fact for fact, _ in batch])
            except Exception as error:  # noqa: BLE001 - whoever waits gets it.
                _answer(batch, error)
            else:
                _answer(batch, None)

    async def _commit(self, written: Sequence[Fact]) -> None:
        async with self._database.transaction() as connection:
            await outbox.append_facts(connection, written, key="api", time=self._clock.now())


def _shown(text: str) -> str:
    """A text of the caller's, without the credentials that they may have put there by mistake."""
    return logs.mask_text(text)[:_TARGET_MAX]


def _answer(batch: Sequence[tuple[Fact, asyncio.Future[None]]], error: Exception | None) -> None:
    for _, written in batch:
        # Its request may have been given up.
        if written.done():
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)
