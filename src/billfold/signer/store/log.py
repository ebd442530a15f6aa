"""The log, and what was signed for each request. Nothing here is changed: the database refuses it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from billfold.platform.postgres.database import Connection
from billfold.signer.contracts import Decision

#: Whoever holds it appends; "signer" in ASCII.
_LOCK = int.from_bytes(b"signer")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line."""

    position: int
    at: datetime
    decision: Decision
    request_id: UUID | None
    digest: bytes | None
    code: str | None
    content: bytes
    hash: bytes


class Answer(msgspec.Struct, frozen=True):
    """What was signed for a request."""

    request_id: UUID
    digest: bytes
    raw: bytes
    chain_tx: str
    position: int


_COLUMNS = ("position", "at", "decision", "request_id", "digest", "code", "content", "hash")


async def lock(connection: Connection) -> None:
    """Let nobody else append until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


async def last(connection: Connection) -> Line | None:
    """The newest line, if there is one."""
    row = await connection.fetchrow(f"SELECT {', '.join(_COLUMNS)} FROM signer.log ORDER BY position DESC LIMIT 1")
    return None if row is None else Line(**dict(row))


async def last_good_drill(connection: Connection) -> datetime | None:
    """When a backup was tried last, and was good."""
    found: datetime | None = await connection.fetchval(
        "SELECT at FROM signer.log WHERE decision = 'drilled' AND code IS NULL ORDER BY position DESC LIMIT 1"
    )
    return found


async def page(connection: Connection, *, first: int, limit: int) -> list[Line]:
    """Lines from `first` on, in their order."""
    rows = await connection.fetch(
        f"SELECT {', '.join(_COLUMNS)} FROM signer.log WHERE position >= $1 ORDER BY position LIMIT $2", first, limit
    )
    return [Line(**dict(row)) for row in rows]


async def append(connection: Connection, lines: Sequence[Line], answers: Sequence[Answer]) -> None:
    """Add lines, and what was signed."""
    await connection.copy_records_to_table(
        "log", schema_name="signer", columns=_COLUMNS, records=[msgspec.structs.astuple(line) for line in lines]
    )
    await connection.copy_records_to_table(
        "signed",
        schema_name="signer",
        columns=("request_id", "digest", "raw", "chain_tx", "position"),
        records=[msgspec.structs.astuple(answer) for answer in answers],
    )


async def answered(connection: Connection, request_ids: Sequence[UUID]) -> dict[UUID, Answer]:
    """What was signed for these requests before."""
    rows = await connection.fetch(
        "SELECT request_id, digest, raw, chain_tx, position FROM signer.signed WHERE request_id = ANY($1)",
        list(request_ids),
    )
    return {row["request_id"]: Answer(*row) for row in rows}


async def refusals(connection: Connection, request_ids: Sequence[UUID]) -> set[tuple[UUID, bytes, str]]:
    """What was refused of these requests before, and why: that is not told a second time."""
    rows = await connection.fetch(
        "SELECT DISTINCT request_id, digest, code FROM signer.log WHERE decision = 'refused' AND request_id = ANY($1)",
        list(request_ids),
    )
    return {(row["request_id"], row["digest"], row["code"]) for row in rows}


async def claimed(connection: Connection, snapshot: UUID) -> set[bytes]:
    """What was claimed for a proof of reserves before."""
    rows = await connection.fetch(
        "SELECT digest FROM signer.log WHERE decision = 'claimed' AND request_id = $1", snapshot
    )
    return {row["digest"] for row in rows}
