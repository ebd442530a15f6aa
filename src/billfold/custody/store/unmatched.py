"""Who is given money of nobody known."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from billfold.custody.store.deposits import Row
from billfold.platform.postgres.database import Connection


class Claim(msgspec.Struct, frozen=True):
    """A deposit that is being given to a wallet, or was."""

    deposit_id: UUID
    wallet_id: UUID
    account_id: UUID
    transfer_id: UUID | None


_CLAIM = ", ".join(f"claim.{name}" for name in Claim.__struct_fields__)
_DEPOSIT = ", ".join(f"deposit.{name}" for name in Row.__struct_fields__)


async def add(
    connection: Connection,
    *,
    deposit_id: UUID,
    wallet_id: UUID,
    account_id: UUID,
    claimed_by: UUID,
    reason: str,
    now: datetime,
) -> Claim:
    """Note who is given a deposit; whoever was first stays it."""
    await connection.execute(
        "INSERT INTO custody.claims (deposit_id, wallet_id, account_id, claimed_by, reason, claimed_at) "
        "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (deposit_id) DO NOTHING",
        deposit_id,
        wallet_id,
        account_id,
        claimed_by,
        reason,
        now,
    )
    row = await connection.fetchrow(
        "SELECT deposit_id, wallet_id, account_id, transfer_id FROM custody.claims WHERE deposit_id = $1", deposit_id
    )
    assert row is not None, "it is there by now"
    return Claim(*row)


async def open_(connection: Connection, *, limit: int) -> list[tuple[Row, Claim]]:
    """What the ledger was asked to move, and nobody has written down that it did.

    Each with its deposit as it is while that is so: who reads it later may be told of another epoch, whose money this
    is not.
    """
    rows = await connection.fetch(
        f"SELECT {_DEPOSIT}, {_CLAIM} FROM custody.claims AS claim "
        "JOIN custody.deposits AS deposit ON deposit.id = claim.deposit_id WHERE claim.transfer_id IS NULL "
        "ORDER BY claim.deposit_id LIMIT $1",
        limit,
    )
    fields = len(Row.__struct_fields__)
    return [(Row(*row[:fields]), Claim(*row[fields:])) for row in rows]


async def moved(connection: Connection, claim: Claim, transfer_id: UUID) -> None:
    """The ledger has moved it: the deposit is the wallet's. Where that is written already, nothing changes.

    Nor does it where the deposit was lost since, and another wallet is being given it.
    """
    first = await connection.fetchval(
        "UPDATE custody.claims SET transfer_id = $2 WHERE deposit_id = $1 AND wallet_id = $3 AND transfer_id IS NULL "
        "RETURNING true",
        claim.deposit_id,
        transfer_id,
        claim.wallet_id,
    )
    if not first:
        return
    await connection.execute(
        "UPDATE custody.deposits SET kind = 'wallet', wallet_id = $2, account_id = $3 WHERE id = $1",
        claim.deposit_id,
        claim.wallet_id,
        claim.account_id,
    )


async def give_early(connection: Connection, deposit_id: UUID, wallet_id: UUID) -> None:
    """It is not credited to anybody yet, so it will be credited to the wallet."""
    await connection.execute(
        "UPDATE custody.deposits SET kind = 'wallet', wallet_id = $2 WHERE id = $1", deposit_id, wallet_id
    )
