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
    claimed_by: UUID
    reason: str
    transfer_id: UUID | None
    #: How many claims to the deposit have ended before.
    attempt: int


_FIELDS = ", ".join(Claim.__struct_fields__)
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
) -> tuple[Claim, bool]:
    """Note who is given a deposit, and say whether that is new; whoever was first stays it. The deposit is locked."""
    done = await connection.execute(
        "INSERT INTO custody.claims (deposit_id, wallet_id, account_id, claimed_by, reason, claimed_at, attempt) "
        "SELECT $1, $2, $3, $4, $5, $6, count(*) FROM custody.ended_claims WHERE deposit_id = $1 "
        "ON CONFLICT (deposit_id) DO NOTHING",
        deposit_id,
        wallet_id,
        account_id,
        claimed_by,
        reason,
        now,
    )
    row = await connection.fetchrow(f"SELECT {_FIELDS} FROM custody.claims WHERE deposit_id = $1", deposit_id)
    assert row is not None, "it is there by now"
    return Claim(*row), done == "INSERT 0 1"


async def open_(connection: Connection, chain: str, *, limit: int) -> list[tuple[Row, Claim]]:
    """What the ledger was asked to move of a chain's, and nobody has written down that it did.

    Each with its deposit as it is while that is so: who reads it later may be told of another epoch, whose money this
    is not.
    """
    rows = await connection.fetch(
        f"SELECT {_DEPOSIT}, {_CLAIM} FROM custody.claims AS claim "
        "JOIN custody.deposits AS deposit ON deposit.id = claim.deposit_id "
        "WHERE claim.transfer_id IS NULL AND deposit.chain = $1 ORDER BY claim.deposit_id LIMIT $2",
        chain,
        limit,
    )
    fields = len(Row.__struct_fields__)
    return [(Row(*row[:fields]), Claim(*row[fields:])) for row in rows]


async def moved(connection: Connection, claim: Claim, transfer_id: UUID) -> bool:
    """The ledger has moved it: the deposit, whose row is locked, is the wallet's. False where that is written already.

    Nor is anything written where the deposit was lost since, and another wallet is being given it.
    """
    first = await connection.fetchval(
        "UPDATE custody.claims SET transfer_id = $2 WHERE deposit_id = $1 AND wallet_id = $3 AND attempt = $4 "
        "AND transfer_id IS NULL RETURNING true",
        claim.deposit_id,
        transfer_id,
        claim.wallet_id,
        claim.attempt,
    )
    if not first:
        return False
    await connection.execute(
        "UPDATE custody.deposits SET kind = 'wallet', wallet_id = $2, account_id = $3 WHERE id = $1",
        claim.deposit_id,
        claim.wallet_id,
        claim.account_id,
    )
    return True


async def end(connection: Connection, claim: Claim, *, why: str) -> bool:
    """The ledger has refused to move it: the deposit, whose row is locked, is nobody's. False if that is written."""
    ended = await connection.fetchval(
        """
        WITH ended AS (
            DELETE FROM custody.claims WHERE deposit_id = $1 AND attempt = $2 AND transfer_id IS NULL RETURNING
                deposit_id, wallet_id, account_id, claimed_by, reason, claimed_at, transfer_id
        )
        INSERT INTO custody.ended_claims
            (deposit_id, wallet_id, account_id, claimed_by, reason, claimed_at, transfer_id, why)
        SELECT deposit_id, wallet_id, account_id, claimed_by, reason, claimed_at, transfer_id, $3 FROM ended
        RETURNING true
        """,
        claim.deposit_id,
        claim.attempt,
        why,
    )
    return bool(ended)


async def give_early(connection: Connection, deposit_id: UUID, wallet_id: UUID) -> None:
    """It is not credited to anybody yet, so it will be credited to the wallet."""
    await connection.execute(
        "UPDATE custody.deposits SET kind = 'wallet', wallet_id = $2, waits = NULL, retry_at = NULL WHERE id = $1",
        deposit_id,
        wallet_id,
    )
