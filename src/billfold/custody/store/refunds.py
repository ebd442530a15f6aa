"""SQL over what has arrived for nobody known and is sent back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from billfold.custody.store import withdrawals
from billfold.custody.store.withdrawals import Seen
from billfold.platform.postgres.database import Connection


class Row(msgspec.Struct, frozen=True):
    """A deposit that is sent back, or was to be."""

    withdrawal_id: UUID
    deposit_id: UUID
    asked_by: UUID
    reason: str
    asked_at: datetime
    failed: bool


_ROW = ", ".join(Row.__struct_fields__)


async def is_claimed(connection: Connection, deposit_id: UUID) -> bool:
    """Whether a wallet is being given the deposit, whose row the caller has locked."""
    return bool(
        await connection.fetchval("SELECT EXISTS (SELECT FROM custody.claims WHERE deposit_id = $1)", deposit_id)
    )


async def add(connection: Connection, new: Row) -> None:
    """Note that a deposit is sent back; its row is locked, and was nobody's."""
    await connection.execute(
        f"INSERT INTO custody.refunds ({_ROW}) VALUES ($1, $2, $3, $4, $5, $6)", *msgspec.structs.astuple(new)
    )
    await connection.execute("UPDATE custody.deposits SET kind = 'refunded' WHERE id = $1", new.deposit_id)


async def of_withdrawal(connection: Connection, withdrawal_id: UUID) -> Row:
    """What a withdrawal of nobody's wallet sends back."""
    row = await connection.fetchrow(f"SELECT {_ROW} FROM custody.refunds WHERE withdrawal_id = $1", withdrawal_id)
    assert row is not None, "they are written together"
    return Row(*row)


async def fail(connection: Connection, row: Row) -> None:
    """It was not sent back: the deposit is nobody's again."""
    await connection.execute("UPDATE custody.refunds SET failed = true WHERE withdrawal_id = $1", row.withdrawal_id)
    await connection.execute(
        "UPDATE custody.deposits SET kind = 'unmatched' WHERE id = $1 AND kind = 'refunded'", row.deposit_id
    )


async def latest(connection: Connection, deposits: Sequence[UUID]) -> dict[UUID, tuple[Row, Seen]]:
    """The last refund of each of these deposits, and how far it is."""
    rows: Sequence[Any] = await connection.fetch(
        f"SELECT DISTINCT ON (deposit_id) {_ROW} FROM custody.refunds WHERE deposit_id = ANY($1) "
        "ORDER BY deposit_id, asked_at DESC",
        deposits,
    )
    found = {}
    for one in rows:
        row = Row(*one)
        seen = await withdrawals.find(connection, row.withdrawal_id)
        assert seen is not None, "they are written together"
        found[row.deposit_id] = row, seen
    return found
