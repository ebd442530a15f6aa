"""Addresses that are ours."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from billfold.custody.domain.matching import Ours, Place
from billfold.platform.postgres.database import Connection


class Row(msgspec.Struct, frozen=True):
    """An address of a wallet."""

    chain: str
    address: str
    memo: str
    wallet_id: UUID
    created_at: datetime
    replaced_at: datetime | None


_ROW = "chain, address, memo, wallet_id, created_at, replaced_at"


async def ours(connection: Connection, chain: str, places: Collection[Place]) -> dict[Place, Ours]:
    """Which of these places are ours: one look-up of the set, whose cost does not depend on how many there are."""
    wanted = list(places)
    rows = await connection.fetch(
        """
        SELECT known.address, known.memo, known.purpose, known.wallet_id
        FROM unnest($2::text[], $3::text[]) AS wanted (address, memo)
        JOIN custody.addresses AS known
            ON known.chain = $1 AND known.address = wanted.address AND known.memo = wanted.memo
        """,
        chain,
        [address for address, _ in wanted],
        [memo for _, memo in wanted],
    )
    return {(row[0], row[1]): Ours(row[2], row[3]) for row in rows}


async def shown(connection: Connection, chain: str, wallets: Sequence[UUID]) -> dict[UUID, Row]:
    """The address that each of these wallets shows, where it has one."""
    rows = await connection.fetch(
        f"SELECT {_ROW} FROM custody.addresses WHERE chain = $1 AND wallet_id = ANY($2) AND replaced_at IS NULL",
        chain,
        wallets,
    )
    return {row["wallet_id"]: Row(*row) for row in rows}


async def of_wallet(connection: Connection, wallet_id: UUID, *, limit: int) -> list[Row]:
    """All of a wallet, those that are shown first."""
    rows = await connection.fetch(
        f"SELECT {_ROW} FROM custody.addresses WHERE wallet_id = $1 "
        "ORDER BY replaced_at IS NOT NULL, chain, created_at DESC LIMIT $2",
        wallet_id,
        limit,
    )
    return [Row(*row) for row in rows]


async def add(
    connection: Connection,
    chain: str,
    *,
    places: Sequence[Place],
    numbers: Sequence[int],
    wallets: Sequence[UUID],
    now: datetime,
) -> None:
    """Give each wallet its place, unless it shows another by now."""
    await connection.execute(
        """
        INSERT INTO custody.addresses (chain, address, memo, purpose, place, wallet_id, created_at)
        SELECT $1, address, memo, 'deposit', place, wallet_id, $2
        FROM unnest($3::text[], $4::text[], $5::bigint[], $6::uuid[]) AS new (address, memo, place, wallet_id)
        ORDER BY wallet_id
        ON CONFLICT (wallet_id, chain) WHERE wallet_id IS NOT NULL AND replaced_at IS NULL DO NOTHING
        """,
        chain,
        now,
        [address for address, _ in places],
        [memo for _, memo in places],
        numbers,
        wallets,
    )


async def replace(connection: Connection, chain: str, wallet_id: UUID, *, now: datetime) -> None:
    """Show the wallet's address no more; it stays good."""
    await connection.execute(
        "UPDATE custody.addresses SET replaced_at = $3 WHERE chain = $1 AND wallet_id = $2 AND replaced_at IS NULL",
        chain,
        wallet_id,
        now,
    )


async def of_house(connection: Connection, chain: str, purpose: str) -> dict[int, str]:
    """The house's addresses of this purpose, by their places."""
    rows = await connection.fetch(
        "SELECT place, address FROM custody.addresses WHERE chain = $1 AND purpose = $2", chain, purpose
    )
    return {row["place"]: row["address"] for row in rows}


async def add_of_house(
    connection: Connection, chain: str, purpose: str, addresses: Sequence[str], *, first: int, now: datetime
) -> None:
    """Keep addresses of the house, at places in a row."""
    await connection.execute(
        """
        INSERT INTO custody.addresses (chain, address, purpose, place, created_at)
        SELECT $1, address, $2, $3 + number - 1, $4
        FROM unnest($5::text[]) WITH ORDINALITY AS new (address, number) ON CONFLICT DO NOTHING
        """,
        chain,
        purpose,
        first,
        now,
        addresses,
    )
