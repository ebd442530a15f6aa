"""Wallets. Whose a wallet is, is part of every statement here: another owner's is not found.

An `owner` of None stands for an operator, who sees all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from billfold.platform.postgres.database import Connection
from billfold.wallets.contracts import NewWallet, Wallet, WalletChange, WalletStatus

if TYPE_CHECKING:
    import asyncpg

_COLUMNS = """
    wallet.id, wallet.owner_id, wallet.name, wallet.external_id, wallet.status, wallet.metadata, wallet.created_at,
    ARRAY(SELECT asset FROM wallets.accounts AS account WHERE account.wallet_id = wallet.id ORDER BY asset) AS assets,
    ARRAY(SELECT account_id FROM wallets.accounts AS account WHERE account.wallet_id = wallet.id ORDER BY asset)
        AS accounts
"""


class WalletQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which wallets are wanted; every given field narrows."""

    owner: UUID | None
    external_id: str | None = None
    status: WalletStatus | None = None
    #: Only those created before this one.
    before: UUID | None = None


def _wallet(row: asyncpg.Record) -> Wallet:
    values: dict[str, Any] = dict(row)
    values["id"] = str(values["id"])
    values["owner_id"] = str(values["owner_id"])
    values["accounts"] = dict(zip(values["assets"], map(str, values["accounts"]), strict=True))
    return Wallet(**values)


async def insert(
    connection: Connection, *, wallet_id: UUID, owner: UUID, new: NewWallet, created_with: UUID, now: datetime
) -> bool:
    """Add a wallet, or answer False because the owner has one with this external_id."""
    added = await connection.fetchval(
        """
        INSERT INTO wallets.wallets (id, owner_id, created_at, name, external_id, created_with, metadata)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (owner_id, external_id) WHERE external_id IS NOT NULL DO NOTHING
        RETURNING id
        """,
        wallet_id,
        owner,
        now,
        new.name,
        new.external_id,
        created_with,
        new.metadata,
    )
    return added is not None


async def created_with(connection: Connection, *, owner: UUID, external_id: str) -> tuple[UUID, UUID]:
    """The id of the owner's wallet with this external_id, and the digest of what it was created with."""
    row = await connection.fetchrow(
        "SELECT id, created_with FROM wallets.wallets WHERE owner_id = $1 AND external_id = $2", owner, external_id
    )
    assert row is not None, "a wallet is never deleted"
    return row["id"], row["created_with"]


async def get(connection: Connection, wallet_id: UUID, *, owner: UUID | None, lock: bool = False) -> Wallet | None:
    """The wallet; `lock` keeps its row from changing until the database transaction ends."""
    parameters: list[object] = [wallet_id]
    where = "wallet.id = $1"
    if owner is not None:
        parameters.append(owner)
        where += " AND wallet.owner_id = $2"
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM wallets.wallets AS wallet WHERE {where}"
        + (" FOR NO KEY UPDATE OF wallet" if lock else ""),
        *parameters,
    )
    return None if row is None else _wallet(row)


async def owners(connection: Connection, wallet_ids: Sequence[UUID]) -> set[UUID]:
    """Who has these wallets."""
    rows = await connection.fetch("SELECT DISTINCT owner_id FROM wallets.wallets WHERE id = ANY($1)", wallet_ids)
    return {row["owner_id"] for row in rows}


async def page(connection: Connection, query: WalletQuery, *, limit: int) -> list[Wallet]:
    """Wallets, the newest first."""
    wanted = {
        "wallet.owner_id =": query.owner,
        "wallet.external_id =": query.external_id,
        "wallet.status =": query.status,
        "wallet.id <": query.before,
    }
    given = {test: value for test, value in wanted.items() if value is not None}
    where = " AND ".join(f"{test} ${place}" for place, test in enumerate(given, start=2)) or "true"
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM wallets.wallets AS wallet WHERE {where} ORDER BY wallet.id DESC LIMIT $1",
        limit,
        *given.values(),
    )
    return [_wallet(row) for row in rows]


async def count_open(connection: Connection) -> int:
    """How many wallets are not closed."""
    found: int = await connection.fetchval("SELECT count(*) FROM wallets.wallets WHERE status <> 'closed'")
    return found


async def block_open(connection: Connection, *, after: UUID, limit: int) -> list[UUID]:
    """The wallets that are not closed, in the order of their ids, from behind `after` on."""
    rows = await connection.fetch(
        "SELECT id FROM wallets.wallets WHERE id > $1 AND status <> 'closed' ORDER BY id LIMIT $2", after, limit
    )
    return [row["id"] for row in rows]


async def change(connection: Connection, wallet_id: UUID, what: WalletChange) -> None:
    """Set the name and the metadata, where given."""
    name = None if what.name is msgspec.UNSET else what.name
    metadata = None if what.metadata is msgspec.UNSET else what.metadata
    await connection.execute(
        "UPDATE wallets.wallets SET name = coalesce($2, name), metadata = coalesce($3, metadata) WHERE id = $1",
        wallet_id,
        name,
        metadata,
    )


async def set_status(connection: Connection, wallet_id: UUID, status: WalletStatus) -> None:
    """Set the wallet's status; its accounts are the ledger's to set."""
    await connection.execute("UPDATE wallets.wallets SET status = $2 WHERE id = $1", wallet_id, status)


async def lock_shared(connection: Connection, wallet_ids: Sequence[UUID]) -> dict[UUID, WalletStatus]:
    """The status of each, which can't change until the database transaction ends; others may read it so as well.

    Locked in the order of their ids, so that two who lock several never wait for each other.
    """
    rows = await connection.fetch(
        "SELECT id, status FROM wallets.wallets WHERE id = ANY($1) ORDER BY id FOR SHARE", wallet_ids
    )
    return {row["id"]: row["status"] for row in rows}


async def lock_all(connection: Connection, owner: UUID) -> list[Wallet]:
    """The owner's wallets but for closed ones, which stay as they are until the database transaction ends."""
    locked = await connection.fetch(
        "SELECT id FROM wallets.wallets WHERE owner_id = $1 AND status <> 'closed' ORDER BY id FOR NO KEY UPDATE", owner
    )
    # A statement of its own: accounts that were opened while a lock was waited for are in its sight.
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM wallets.wallets AS wallet WHERE id = ANY($1) ORDER BY id",
        [row["id"] for row in locked],
    )
    return [_wallet(row) for row in rows]


async def owned(connection: Connection, *, owner: UUID, wallet_ids: Collection[UUID]) -> set[UUID]:
    """Those of these wallets that the owner has."""
    rows = await connection.fetch(
        "SELECT id FROM wallets.wallets WHERE owner_id = $1 AND id = ANY($2)", owner, list(wallet_ids)
    )
    return {row["id"] for row in rows}


async def owner_of_each(connection: Connection, wallet_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Who has each of these wallets."""
    rows = await connection.fetch("SELECT id, owner_id FROM wallets.wallets WHERE id = ANY($1)", list(wallet_ids))
    return {row["id"]: row["owner_id"] for row in rows}
