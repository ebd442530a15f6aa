"""Has the audit keep what leaves no event behind, such as a refusal. What comes at the same time shares a transaction.

So each waits for one commit and not for its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from prometheus_client import Counter

from billfold.kernel import clock, ids
from billfold.kernel.clock import Clock, SystemClock
from billfold.kernel.errors import BillfoldError, Refusal, Unavailable
from billfold.kernel.facts import Fact
from billfold.kernel.origin import Origin
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Database
from billfold.platform.telemetry import logs

#: What was refused by an API or a ledger; `data` says of what.
REFUSED = "request.refused.v1"
#: Facts that share a transaction, unless one request has more by itself.
TOGETHER_MAX = 1_000
#: What is kept of a text of the caller's, such as a path; longer ones name nothing of ours.
_SHOWN_MAX = 1_000
_LOST = Counter("billfold_audit_refusals_lost", "Refused requests of which the audit could not be told.")

#: A part of a request that was refused, and what of the caller's own words tells which.
RefusedPart = tuple[BillfoldError, Mapping[str, str | int | None]]
_Waiting = tuple[Sequence[Fact], "asyncio.Future[None]"]

log = structlog.get_logger(__name__)


class Notary:
    """Writes facts into the outbox of `database`. `source` is who tells them, and `key` keeps them in order."""

    def __init__(self, database: Database, *, source: str, key: str, watch: Clock | None = None) -> None:
        self._database = database
        self._source = source
        self._key = key
        self._clock = watch or SystemClock()
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    def fact(self, kind: str, of: Origin, *, subject: str, outcome: str, data: Mapping[str, Any]) -> Fact:
        """What is to be kept; it happens now."""
        return Fact(
            type=kind,
            source=self._source,
            id=str(ids.new()),
            subject=subject,
            time=clock.format(self._clock.now()),
            origin=of,
            outcome=outcome,
            data=data,
        )

    async def write(self, told: Sequence[Fact]) -> None:
        """Return once they are committed, all of them together.

        Raises:
            DatabaseUnavailable: they are not, or it is not known.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((told, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all(), name=f"audit of {self._source}")
        await written

    async def write_refused(
        self, parts: Iterable[RefusedPart], *, of: Origin, subject: str, where: Mapping[str, str]
    ) -> None:
        """As `write`. Nothing has changed by what was refused, so it is refused all the same if it can't be written."""
        told = [
            self.fact(
                REFUSED,
                of,
                subject=subject,
                outcome=error.code,
                data={**where, "detail": shown(error.detail), **_all_shown(part)},
            )
            for error, part in parts
            if isinstance(error, Refusal)
        ]
        if not told:
            return
        try:
            await self.write(told)
        except Exception as error:  # noqa: BLE001 - whoever is refused must not hear of this instead.
            _LOST.inc(len(told))
            reason = error.detail if isinstance(error, Unavailable) else repr(error)
            log.warning("the audit was not told of a refusal", code=told[0].outcome, reason=reason)

    async def _write_all(self) -> None:
        while self._waiting:
            batch = self._next()
            try:
                await self._commit([fact for told, _ in batch for fact in told])
            except Exception as error:  # noqa: BLE001 - whoever waits gets it.
                _answer(batch, error)
            else:
                _answer(batch, None)

    def _next(self) -> list[_Waiting]:
        """Those who have waited longest: one, and as many more as go along."""
        end, count = 1, len(self._waiting[0][0])
        while end < len(self._waiting) and (count := count + len(self._waiting[end][0])) <= TOGETHER_MAX:
            end += 1
        batch, self._waiting = self._waiting[:end], self._waiting[end:]
        return batch

    async def _commit(self, written: Sequence[Fact]) -> None:
        async with self._database.transaction() as connection:
            await outbox.append_facts(connection, written, key=self._key, time=self._clock.now())


def shown(text: str) -> str:
    """A text of the caller's, without the credentials that they may have put there by mistake."""
    return logs.mask_text(text)[:_SHOWN_MAX]


def _all_shown(told: Mapping[str, str | int | None]) -> Mapping[str, str | int]:
    """Those texts and numbers of the caller's that there are."""
    return {name: shown(one) if isinstance(one, str) else one for name, one in told.items() if one is not None}


def _answer(batch: Sequence[_Waiting], error: Exception | None) -> None:
    for _, written in batch:
        # Its request may have been given up.
        if written.done():
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)
