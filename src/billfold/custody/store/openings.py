"""SQL over what the house needs on a chain and has to have opened there first: channels, nonces, trustlines."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from billfold.platform.postgres.database import Connection

Kind = Literal["channel", "nonce", "trustline"]
State = Literal["wanted", "allocated", "open"]


class Row(msgspec.Struct, frozen=True):
    """One of them."""

    chain: str
    kind: Kind
    #: The address of the channel or of the nonce's account, or the token.
    subject: str
    state: State
    reason: str


_ROW = "chain, kind, subject, state, reason"


async def want(connection: Connection, chain: str, kind: Kind, subjects: Collection[str], *, now: datetime) -> None:
    """Have these opened, unless that is wanted already."""
    await connection.execute(
        "INSERT INTO custody.openings (chain, kind, subject, state, created_at, next_at) "
        "SELECT $1, $2, subject, 'wanted', $4, $4 FROM unnest($3::text[]) AS new (subject) ON CONFLICT DO NOTHING",
        chain,
        kind,
        sorted(subjects),
        now,
    )


async def all_(connection: Connection) -> Sequence[Row]:
    """Every one, channels first, each in the order in which they were wanted."""
    rows = await connection.fetch(f"SELECT {_ROW} FROM custody.openings ORDER BY chain, kind, created_at, subject")
    return [Row(*row) for row in rows]


async def due(connection: Connection, chain: str, *, now: datetime, limit: int) -> Sequence[Row]:
    """Those that it is time to look at."""
    rows = await connection.fetch(
        f"SELECT {_ROW} FROM custody.openings WHERE chain = $1 AND state = 'wanted' AND next_at <= $2 "
        "ORDER BY kind, next_at, subject LIMIT $3",
        chain,
        now,
        limit,
    )
    return [Row(*row) for row in rows]


async def take(connection: Connection, rows: Sequence[Row], allocation_id: UUID) -> bool:
    """Let them be an allocation's; False, and no change, if another has taken one since, or it is open."""
    chain, kind = rows[0].chain, rows[0].kind
    subjects = sorted(row.subject for row in rows)
    wanted = await connection.fetch(
        "SELECT subject FROM custody.openings WHERE chain = $1 AND kind = $2 AND subject = ANY($3) "
        "AND state = 'wanted' ORDER BY subject FOR UPDATE",
        chain,
        kind,
        subjects,
    )
    if len(wanted) < len(rows):
        return False
    await connection.execute(
        "UPDATE custody.openings SET state = 'allocated', allocation_id = $4, reason = '' "
        "WHERE chain = $1 AND kind = $2 AND subject = ANY($3)",
        chain,
        kind,
        subjects,
        allocation_id,
    )
    return True


async def found_open(connection: Connection, rows: Sequence[Row]) -> None:
    """The chain has them already."""
    for row in rows:
        await connection.execute(
            "UPDATE custody.openings SET state = 'open', reason = '' "
            "WHERE chain = $1 AND kind = $2 AND subject = $3 AND state = 'wanted'",
            row.chain,
            row.kind,
            row.subject,
        )


async def postpone(connection: Connection, rows: Sequence[Row], *, until: datetime, reason: str) -> None:
    """Look at them again then, and say why."""
    for row in rows:
        await connection.execute(
            "UPDATE custody.openings SET next_at = $4, reason = $5 "
            "WHERE chain = $1 AND kind = $2 AND subject = $3 AND state = 'wanted'",
            row.chain,
            row.kind,
            row.subject,
            until,
            reason,
        )


async def opened(connection: Connection, allocation_id: UUID) -> None:
    """The chain has what the allocation was for."""
    await connection.execute(
        "UPDATE custody.openings SET state = 'open' WHERE allocation_id = $1 AND state = 'allocated'", allocation_id
    )


async def give_back(connection: Connection, allocation_id: UUID, *, until: datetime, reason: str) -> None:
    """The allocation opens nothing: what it took, if it was one to open anything, is looked at again then."""
    await connection.execute(
        "UPDATE custody.openings SET state = 'wanted', allocation_id = NULL, next_at = $2, reason = $3 "
        "WHERE allocation_id = $1 AND state = 'allocated'",
        allocation_id,
        until,
        reason,
    )
