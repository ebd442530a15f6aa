"""Records, in their order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import msgspec

from billfold.audit.contracts import Filter
from billfold.audit.domain.records import found_by
from billfold.platform.postgres.database import Connection

#: Whoever holds it appends or seals; "audit" in ASCII.
_LOCK = int.from_bytes(b"audit")
_COLUMNS = (
    *("position", "source", "event_id", "type", "subject", "happened_at", "outcome", "actor", "owner"),
    *("content", "leaf"),
)

#: By which channel it came. What was done at the machine has in it who was there, under no id that would be an actor's.
_CHANNEL = "convert_from(content, 'UTF8')::json -> 'origin' ->> 'channel'"


class Row(msgspec.Struct, frozen=True):
    """A record and what it is found by."""

    position: int
    source: str
    event_id: str
    type: str
    subject: str
    happened_at: datetime
    outcome: str
    actor: str | None
    owner: str | None
    content: bytes
    leaf: bytes


class Kept(msgspec.Struct, frozen=True):
    """A record as it is kept."""

    position: int
    content: bytes


async def lock(connection: Connection) -> None:
    """Wait until nobody else appends or seals, and let nobody until this database transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


async def count(connection: Connection) -> int:
    """How many there are, which is the position of the next one."""
    found: int = await connection.fetchval("SELECT coalesce(max(position) + 1, 0) FROM audit.records")
    return found


async def known(connection: Connection, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """The texts of those of these sources and ids that are recorded."""
    found = await connection.fetch(
        "SELECT source, event_id, content FROM audit.records "
        "JOIN unnest($1::text[], $2::text[]) AS asked (source, event_id) USING (source, event_id)",
        [source for source, _ in pairs],
        [event_id for _, event_id in pairs],
    )
    return {(row[0], row[1]): row[2] for row in found}


async def insert(connection: Connection, rows: Sequence[Row]) -> None:
    """Add rows at the end."""
    await connection.copy_records_to_table(
        "records", schema_name="audit", columns=_COLUMNS, records=[msgspec.structs.astuple(row) for row in rows]
    )


async def leaves(connection: Connection, begin: int, end: int) -> list[bytes]:
    """The hashes of the records from `begin` to before `end`."""
    found = await connection.fetch(
        "SELECT leaf FROM audit.records WHERE position >= $1 AND position < $2 ORDER BY position", begin, end
    )
    return [row[0] for row in found]


async def contents(connection: Connection, begin: int, end: int) -> list[bytes]:
    """The texts of the records from `begin` to before `end`."""
    found = await connection.fetch(
        "SELECT content FROM audit.records WHERE position >= $1 AND position < $2 ORDER BY position", begin, end
    )
    return [row[0] for row in found]


async def page(connection: Connection, asked: Filter, *, before: int | None, limit: int) -> list[Kept]:
    """The last of those that are meant, the newest first."""
    where, values = _where(asked)
    if before is not None:
        values.append(before)
        where.append(f"position < ${len(values)}")
    found = await connection.fetch(
        f"SELECT position, content FROM audit.records WHERE {' AND '.join(where)} "
        f"ORDER BY position DESC LIMIT {limit:d}",
        *values,
    )
    return [Kept(*row) for row in found]


async def find(connection: Connection, event_id: str, *, told_to: str | None) -> Kept | None:
    """The record of that id, the first if there are several; with `told_to` only if it is theirs."""
    where, values = _where(Filter(told_to=told_to))
    row = await connection.fetchrow(
        f"SELECT position, content FROM audit.records WHERE {' AND '.join(where)} AND event_id = ${len(values) + 1} "
        "ORDER BY position LIMIT 1",
        *values,
        event_id,
    )
    return None if row is None else Kept(*row)


def _where(asked: Filter) -> tuple[list[str], list[object]]:
    """Conditions and their values; only those that are asked for, so that each finds its index."""
    conditions = {
        "type = {}": asked.type if asked.type and not asked.type.endswith(".") else None,
        "type LIKE {} || '%'": _escaped(asked.type) if asked.type and asked.type.endswith(".") else None,
        "actor = {}": asked.actor,
        "owner = {}": asked.owner,
        "subject = {}": found_by(asked.subject) if asked.subject else None,
        "outcome = {}": asked.outcome,
        "happened_at >= {}": asked.since,
        "happened_at < {}": asked.until,
        f"(actor = {{0}} OR (actor IS NULL AND owner = {{0}} AND {_CHANNEL} IS DISTINCT FROM 'cli'))": asked.told_to,
    }
    where, values = ["true"], list[object]()
    for condition, value in conditions.items():
        if value is not None:
            values.append(value)
            where.append(condition.format(f"${len(values)}"))
    return where, values


def _escaped(begin: str) -> str:
    return begin.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


async def blocks(connection: Connection, begin: int, end: int, *, size: int) -> AsyncIterator[list[bytes]]:
    """The texts of these records, so many at a time."""
    for start in range(begin, end, size):
        yield await contents(connection, start, min(start + size, end))
