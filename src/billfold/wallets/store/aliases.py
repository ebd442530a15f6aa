"""Which wallet money for an alias goes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from billfold.platform.postgres.database import Connection

#: Stands for every asset that has no row of its own.
ANY_ASSET = ""


class Wanted(msgspec.Struct, frozen=True):
    """Where an owner gets an asset that is sent to one of their aliases."""

    alias_id: UUID
    owner_id: UUID
    asset: str


async def wallets_for(connection: Connection, wanted: Sequence[Wanted]) -> dict[Wanted, UUID]:
    """The wallet of each: the alias's for the asset, else its default, else the owner's oldest open one.

    A closed wallet is passed over. A frozen one is not: what its owner has named must not be avoided because somebody
    has stopped it.
    """
    rows = await connection.fetch(
        """
        SELECT wanted.place, coalesce(
            (
                SELECT mapped.wallet_id FROM wallets.alias_wallets AS mapped
                JOIN wallets.wallets AS wallet ON wallet.id = mapped.wallet_id
                WHERE mapped.alias_id = wanted.alias_id AND mapped.asset IN (wanted.asset, $4)
                  AND wallet.owner_id = wanted.owner_id AND wallet.status <> 'closed'
                ORDER BY mapped.asset DESC LIMIT 1
            ),
            (
                SELECT wallet.id FROM wallets.wallets AS wallet
                WHERE wallet.owner_id = wanted.owner_id AND wallet.status = 'open'
                ORDER BY wallet.id LIMIT 1
            )
        ) AS wallet_id
        FROM unnest($1::uuid[], $2::uuid[], $3::text[]) WITH ORDINALITY AS wanted (alias_id, owner_id, asset, place)
        """,
        [one.alias_id for one in wanted],
        [one.owner_id for one in wanted],
        [one.asset for one in wanted],
        ANY_ASSET,
    )
    return {wanted[row["place"] - 1]: row["wallet_id"] for row in rows if row["wallet_id"] is not None}


async def of_alias(connection: Connection, alias_id: UUID) -> dict[str, UUID]:
    """The wallet that is named for each asset, and for ANY_ASSET."""
    rows = await connection.fetch(
        "SELECT asset, wallet_id FROM wallets.alias_wallets WHERE alias_id = $1 ORDER BY asset", alias_id
    )
    return {row["asset"]: row["wallet_id"] for row in rows}


async def not_closed(connection: Connection, owner: UUID, wallet_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these wallets that the owner has and that are not closed. They stay so until the transaction ends."""
    rows = await connection.fetch(
        "SELECT id FROM wallets.wallets WHERE id = ANY($1) AND owner_id = $2 AND status <> 'closed' "
        "ORDER BY id FOR SHARE",
        wallet_ids,
        owner,
    )
    return {row["id"] for row in rows}


async def replace(connection: Connection, alias_id: UUID, wallets: Mapping[str, UUID]) -> None:
    """Name these wallets for the alias, and no others."""
    # Two who replace at once do so one after the other, and not each a part.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"alias wallets {alias_id}")
    await connection.execute("DELETE FROM wallets.alias_wallets WHERE alias_id = $1", alias_id)
    await connection.execute(
        "INSERT INTO wallets.alias_wallets (alias_id, asset, wallet_id) "
        "SELECT $1, asset, wallet_id FROM unnest($2::text[], $3::uuid[]) AS named (asset, wallet_id)",
        alias_id,
        list(wallets),
        list(wallets.values()),
    )
