"""SQL over what is known of keys that are elsewhere: public keys of accounts, and lists of addresses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from billfold.platform.postgres.database import Connection


class KeyRow(msgspec.Struct, frozen=True):
    """The public key of a chain's account."""

    network: str
    public_key: str
    fingerprint: str | None


async def lock(connection: Connection, chain: str) -> None:
    """Let what is imported for a chain be decided one after the other, until the database transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('custody keys:' || $1, 0))", chain)


async def public_key(connection: Connection, chain: str) -> KeyRow | None:
    """That of a chain."""
    row = await connection.fetchrow(
        "SELECT network, public_key, fingerprint FROM custody.public_keys WHERE chain = $1", chain
    )
    return None if row is None else KeyRow(*row)


async def add_public_key(connection: Connection, chain: str, key: KeyRow, *, now: datetime) -> None:
    """Keep one."""
    await connection.execute(
        "INSERT INTO custody.public_keys (chain, network, public_key, fingerprint, created_at) "
        "VALUES ($1, $2, $3, $4, $5)",
        chain,
        key.network,
        key.public_key,
        key.fingerprint,
        now,
    )


async def has_addresses(connection: Connection, chain: str) -> bool:
    """Whether a chain has addresses already, given out or listed."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM custody.addresses WHERE chain = $1) "
            "OR EXISTS (SELECT FROM custody.listed_addresses WHERE chain = $1)",
            chain,
        )
    )


async def has_import(connection: Connection, chain: str) -> bool:
    """Whether anything was imported for a chain."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM custody.public_keys WHERE chain = $1) "
            "OR EXISTS (SELECT FROM custody.listed_addresses WHERE chain = $1)",
            chain,
        )
    )


async def known(connection: Connection, chain: str, addresses: Sequence[str]) -> set[str]:
    """Those of these addresses that are given out or listed."""
    rows = await connection.fetch(
        "SELECT address FROM custody.addresses WHERE chain = $1 AND address = ANY($2::text[]) "
        "UNION SELECT address FROM custody.listed_addresses WHERE chain = $1 AND address = ANY($2::text[])",
        chain,
        list(addresses),
    )
    return {row[0] for row in rows}


async def add_listed(
    connection: Connection, chain: str, purpose: str, addresses: Sequence[str], *, now: datetime
) -> None:
    """Append to a chain's list, which the caller has locked."""
    await connection.execute(
        """
        INSERT INTO custody.listed_addresses (chain, purpose, place, address, created_at)
        SELECT $1, $2, number - 1 + (
            SELECT coalesce(max(place) + 1, 0) FROM custody.listed_addresses WHERE chain = $1 AND purpose = $2
        ), address, $3 FROM unnest($4::text[]) WITH ORDINALITY AS new (address, number)
        """,
        chain,
        purpose,
        now,
        list(addresses),
    )


async def listed(connection: Connection, chain: str, purpose: str, *, first: int, count: int) -> list[str]:
    """What is listed at so many places in a row, in their order; fewer where the list ends."""
    rows = await connection.fetch(
        "SELECT address FROM custody.listed_addresses WHERE chain = $1 AND purpose = $2 AND place >= $3 "
        "AND place < $4 ORDER BY place",
        chain,
        purpose,
        first,
        first + count,
    )
    return [row[0] for row in rows]


async def left(connection: Connection, chain: str) -> int:
    """How many listed addresses wait to be given to wallets."""
    found: int = await connection.fetchval(
        "SELECT (SELECT count(*) FROM custody.listed_addresses WHERE chain = $1 AND purpose = 'deposit' AND place >= "
        "coalesce((SELECT next_place FROM custody.places WHERE chain = $1 AND purpose = 'deposit'), 0))",
        chain,
    )
    return found
