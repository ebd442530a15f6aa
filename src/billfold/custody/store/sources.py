"""SQL over what withdrawals ask of addresses of ours and of others, and of what chains asked for a place in a block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from billfold.custody.domain.withdrawals import Purpose
from billfold.platform.postgres.database import Connection


class Kept(msgspec.Struct, frozen=True):
    """What a chain has asked for each speed, what payments cost by that (by token and speed), and when."""

    rates: Mapping[str, Mapping[str, int]]
    estimates: Mapping[str, int]
    asked_at: datetime


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known here before money leaves for an address."""

    #: Whether withdrawals of the asset are stopped.
    stopped: bool
    #: Whether the address is the house's or one of its wallets'.
    ours: bool
    #: From where it would leave.
    hot: str | None
    kept: Kept | None


async def house(connection: Connection, chain: str) -> Mapping[str, list[str]]:
    """The house's addresses by purpose, in the order of their places; of channels those that are open."""
    rows = await connection.fetch(
        "SELECT purpose, address FROM custody.addresses WHERE chain = $1 AND wallet_id IS NULL AND memo = '' "
        "AND (purpose <> 'channel' OR NOT EXISTS (SELECT FROM custody.openings "
        "WHERE chain = $1 AND kind = 'channel' AND subject = address AND state <> 'open')) ORDER BY purpose, place",
        chain,
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["purpose"], []).append(row["address"])
    return found


async def places(connection: Connection, chain: str, addresses: Sequence[str]) -> Mapping[str, tuple[Purpose, int]]:
    """Where the keys of addresses of ours are: purpose and place."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (address) address, purpose, place FROM custody.addresses "
        "WHERE chain = $1 AND address = ANY($2::text[]) ORDER BY address, memo",
        chain,
        list(addresses),
    )
    return {row["address"]: (row["purpose"], row["place"]) for row in rows}


async def known(connection: Connection, *, chain: str, asset: str, address: str) -> Known:
    """What is known before so much as a node is asked."""
    row = await connection.fetchrow(
        """
        SELECT EXISTS (SELECT FROM custody.standings WHERE asset = $2 AND stopped_at IS NOT NULL),
            EXISTS (SELECT FROM custody.addresses WHERE chain = $1 AND address = $3),
            (SELECT address FROM custody.addresses WHERE chain = $1 AND purpose = 'hot' AND wallet_id IS NULL
                AND memo = '' ORDER BY place LIMIT 1),
            fees.rates, fees.estimates, fees.asked_at
        FROM (VALUES ($1)) AS asked (chain) LEFT JOIN custody.chain_fees fees USING (chain)
        """,
        chain,
        asset,
        address,
    )
    assert row is not None, "it has one row, whatever is known"
    stopped, ours, hot, rates, estimates, asked_at = row
    kept = None if asked_at is None else Kept(rates, estimates, asked_at)
    return Known(stopped=stopped, ours=ours, hot=hot, kept=kept)


async def waits_until(
    connection: Connection, wallet_id: UUID, *, chain: str, address: str, memo: str | None
) -> datetime | None:
    """Until when a wallet's money does not leave for an address; None if it has never been named, or was forgotten."""
    found: datetime | None = await connection.fetchval(
        "SELECT waits_until FROM custody.destinations "
        "WHERE wallet_id = $1 AND chain = $2 AND address = $3 AND memo = $4 AND waits_until < 'infinity'",
        wallet_id,
        chain,
        address,
        memo or "",
    )
    return found


async def name_destination(
    connection: Connection,
    wallet_id: UUID,
    *,
    chain: str,
    address: str,
    memo: str | None,
    until: datetime,
    now: datetime,
) -> datetime:
    """Write down that money is to leave for it, not before `until`; what was sooner stays so."""
    found: datetime = await connection.fetchval(
        "INSERT INTO custody.destinations AS d (wallet_id, chain, address, memo, waits_until, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (wallet_id, chain, address, memo) "
        "DO UPDATE SET waits_until = least(d.waits_until, excluded.waits_until) RETURNING waits_until",
        wallet_id,
        chain,
        address,
        memo or "",
        until,
        now,
    )
    return found


async def forget_destination(
    connection: Connection, wallet_id: UUID, *, chain: str, address: str, memo: str | None
) -> None:
    """Let it be new again, unless it was confirmed, or a withdrawal to it was neither refused nor cancelled.

    It waits for ever then, and who names it next waits anew. The row is locked first: of two that end at the same time
    the later one has to see the earlier one.
    """
    named = (wallet_id, chain, address, memo or "")
    await connection.execute(
        "SELECT FROM custody.destinations WHERE wallet_id = $1 AND chain = $2 AND address = $3 AND memo = $4 "
        "FOR UPDATE",
        *named,
    )
    await connection.execute(
        """
        WITH asked AS (
            SELECT waits_until, outcome = 'cancelled' OR (state = 'failed' AND outcome IS NULL) AS came_to_nothing
            FROM custody.withdrawals
            WHERE wallet_id = $1 AND chain = $2 AND address = $3 AND coalesce(memo, '') = $4
        )
        UPDATE custody.destinations SET waits_until = 'infinity'
        WHERE wallet_id = $1 AND chain = $2 AND address = $3 AND memo = $4
            -- What was confirmed since waits for less than those who had not confirmed it.
            AND waits_until IN (SELECT waits_until FROM asked)
            AND NOT EXISTS (SELECT FROM asked WHERE came_to_nothing IS NOT TRUE)
        """,
        *named,
    )


async def keep_rates(connection: Connection, chain: str, rates: Mapping[str, Any], *, now: datetime) -> None:
    """Keep what a chain asks now."""
    await connection.execute(
        "INSERT INTO custody.chain_fees (chain, rates, asked_at) VALUES ($1, $2, $3) "
        "ON CONFLICT (chain) DO UPDATE SET rates = excluded.rates, asked_at = excluded.asked_at",
        chain,
        rates,
        now,
    )


async def keep_estimate(connection: Connection, chain: str, token: str | None, speed: str, estimate: int) -> None:
    """Keep what a payment costs now."""
    await connection.execute(
        "UPDATE custody.chain_fees SET estimates = estimates || $2 WHERE chain = $1",
        chain,
        {f"{token or ''} {speed}": estimate},
    )


async def kept(connection: Connection, chain: str) -> Kept | None:
    """What is kept of what a chain has asked."""
    row = await connection.fetchrow("SELECT rates, estimates, asked_at FROM custody.chain_fees WHERE chain = $1", chain)
    return None if row is None else Kept(*row)


async def tree(connection: Connection, chain: str) -> UUID | None:
    """The tree of the chain's keys in the signer."""
    found: UUID | None = await connection.fetchval("SELECT tree_id FROM custody.trees WHERE chain = $1", chain)
    return found
