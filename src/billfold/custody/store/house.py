"""Accounts of the house, and the key trees of chains."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from billfold.platform.postgres.database import Connection


async def accounts(connection: Connection, kind: str, assets: Sequence[str]) -> dict[str, UUID]:
    """The accounts of this kind by their asset, where they exist."""
    rows = await connection.fetch(
        "SELECT asset, account_id FROM custody.house_accounts WHERE kind = $1 AND asset = ANY($2)", kind, list(assets)
    )
    return {row["asset"]: row["account_id"] for row in rows}


async def all_accounts(connection: Connection) -> list[tuple[str, str, UUID]]:
    """Asset, kind and id of each."""
    rows = await connection.fetch("SELECT asset, kind, account_id FROM custody.house_accounts ORDER BY asset, kind")
    return [(row["asset"], row["kind"], row["account_id"]) for row in rows]


async def add_account(connection: Connection, *, asset: str, kind: str, account_id: UUID) -> bool:
    """Note an account, unless there is one; it says whether there was none."""
    added = await connection.fetchval(
        "INSERT INTO custody.house_accounts (asset, kind, account_id) VALUES ($1, $2, $3) "
        "ON CONFLICT (asset, kind) DO NOTHING RETURNING true",
        asset,
        kind,
        account_id,
    )
    return bool(added)


async def tree(connection: Connection, *, chain: str, network: str, tree_id: UUID, now: datetime) -> tuple[UUID, str]:
    """The tree of a chain and its network: `tree_id` if there was none."""
    await connection.execute(
        "INSERT INTO custody.trees (chain, network, tree_id, created_at) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (chain) DO NOTHING",
        chain,
        network,
        tree_id,
        now,
    )
    row = await connection.fetchrow("SELECT tree_id, network FROM custody.trees WHERE chain = $1", chain)
    assert row is not None, "it is there by now"
    return row["tree_id"], row["network"]


async def take_places(connection: Connection, *, chain: str, purpose: str, count: int) -> int:
    """The first of `count` places in a row that nobody else gets."""
    end: int = await connection.fetchval(
        "INSERT INTO custody.places (chain, purpose, next_place) VALUES ($1, $2, $3) "
        "ON CONFLICT (chain, purpose) DO UPDATE SET next_place = custody.places.next_place + $3 RETURNING next_place",
        chain,
        purpose,
        count,
    )
    return end - count
