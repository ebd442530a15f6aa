"""Adds lines to the log, one after the other, inside one database transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from billfold.chains.port import Signed
from billfold.chains.signing_port import Shown
from billfold.kernel.errors import BillfoldError
from billfold.platform.postgres.database import Connection
from billfold.signer.contracts import Decision
from billfold.signer.domain import journal
from billfold.signer.domain.requests import Request
from billfold.signer.store import log, trees


class Recorder:
    """Lines that follow the last one there is. While it lives, nobody else adds any."""

    def __init__(self, connection: Connection, last: log.Line | None, now: datetime) -> None:
        self._connection = connection
        self._next = 0 if last is None else last.position + 1
        self._hash = journal.GENESIS if last is None else last.hash
        #: Never before the line before: a clock that is set back would give a window that was used up free again.
        self.at = now if last is None else max(now, last.at)
        self._lines: list[log.Line] = []
        self._answers: list[log.Answer] = []

    @classmethod
    async def begin(cls, connection: Connection, *, now: datetime) -> Recorder:
        """Lock the log until the open transaction ends."""
        await log.lock(connection)
        return cls(connection, await log.last(connection), now)

    def add(
        self,
        decision: Decision,
        about: Mapping[str, Any],
        *,
        request: Request | None = None,
        code: str | None = None,
    ) -> int:
        """Add a line; `about` is what it tells. Returns its position."""
        return self.add_of(
            decision,
            about,
            request_id=None if request is None else request.request_id,
            digest=None if request is None else request.digest,
            code=code,
        )

    def add_of(
        self,
        decision: Decision,
        about: Mapping[str, Any],
        *,
        request_id: UUID | None,
        digest: bytes | None,
        code: str | None = None,
    ) -> int:
        """Add a line by which a request is found again. Returns its position."""
        position = self._next
        text = journal.content(position=position, at=self.at, decision=decision, about=about)
        self._hash = journal.chained(self._hash, text)
        self._next += 1
        self._lines.append(
            log.Line(
                position=position,
                at=self.at,
                decision=decision,
                request_id=request_id,
                digest=digest,
                code=code,
                content=text,
                hash=self._hash,
            )
        )
        return position

    def signed(self, request: Request, row: trees.Row | None, shown: Shown | None, signed: Signed) -> log.Answer:
        """A signature was made."""
        about = {**_asked(request, row, shown), "chain_tx": signed.chain_tx}
        position = self.add("signed", about, request=request)
        answer = log.Answer(request.request_id, request.digest, signed.raw, signed.chain_tx, position)
        self._answers.append(answer)
        return answer

    def refused(self, request: Request, row: trees.Row | None, shown: Shown | None, error: BillfoldError) -> None:
        """None was."""
        self.add("refused", {**_asked(request, row, shown), "code": error.code}, request=request, code=error.code)

    async def write(self) -> None:
        """Give the lines to the database."""
        await log.append(self._connection, self._lines, self._answers)


def _asked(request: Request, row: trees.Row | None, shown: Shown | None) -> dict[str, Any]:
    about: dict[str, Any] = {
        "request": str(request.request_id),
        "tree": str(request.tree_id),
        "digest": request.digest.hex(),
    }
    if row is not None:
        about |= {"chain": row.chain, "network": row.network}
    if shown is not None:
        about |= journal.told(shown, request.places)
    return about
