"""Reads back what was answered under a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar
from uuid import UUID

from billfold.ledger import errors
from billfold.ledger.contracts import HoldChange, Posting
from billfold.ledger.service import commands
from billfold.ledger.store import batch as store
from billfold.platform.postgres.database import Connection

Answer = Posting | HoldChange | errors.LedgerError
K = TypeVar("K")


async def answers(connection: Connection, records: Mapping[K, store.Answered]) -> dict[K, Answer]:
    """The answer that each record keeps, marked as a replay."""
    kept = {name: commands.stored(record.subject, record.answer) for name, record in records.items()}
    single = await store.transfers(connection, [id_ for answer in kept.values() for id_ in answer.transfers])
    spans = {answer.span for answer in kept.values() if answer.span is not None}
    several = dict(zip(spans, await store.transfers_of(connection, list(spans)), strict=True)) if spans else {}
    return {name: commands.replay(answer, single, several) for name, answer in kept.items()}


async def answer(connection: Connection, digest: UUID) -> Answer | None:
    """The answer of the key that is known by `digest`, if it has one."""
    known = await store.answered(connection, [digest])
    answered = {digest: record for digest, record in known.items() if not record.is_reserved}
    return (await answers(connection, answered)).get(digest)
