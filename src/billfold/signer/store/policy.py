"""The policy, and how much has left. A token is '' where the chain's own coin is meant."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal

from billfold.chains.port import Network
from billfold.platform.postgres.database import Connection
from billfold.signer.contracts import Limit, Policy

_COLUMNS = "chain, network, token, per_transaction, per_window, window_s"
#: Tables of what is switched on for a chain and network, and of addresses that are known there.
_Switches = Literal["allow_lists", "claims"]
_Addresses = Literal["destinations", "warm_addresses"]


async def limits(connection: Connection, chain: str | None = None, network: Network | None = None) -> list[Limit]:
    """All limits, or those of a chain and network."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM signer.limits WHERE ($1::text IS NULL OR chain = $1) "
        "AND ($2::text IS NULL OR network = $2) ORDER BY chain, network, token",
        chain,
        network,
    )
    return [Limit(**{**dict(row), "token": row["token"] or None}) for row in rows]


async def put_limit(connection: Connection, limit: Limit) -> None:
    """Set it, in the place of the one that there is."""
    await connection.execute(
        f"INSERT INTO signer.limits ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (chain, network, token) "
        "DO UPDATE SET per_transaction = excluded.per_transaction, per_window = excluded.per_window, "
        "window_s = excluded.window_s",
        *(limit.chain, limit.network, limit.token or "", limit.per_transaction, limit.per_window, limit.window_s),
    )


async def all_(connection: Connection) -> list[Policy]:
    """Whatever is set beside limits."""
    rows = await connection.fetch(
        """
        SELECT chain, network, l.chain IS NOT NULL AS allow_list, c.chain IS NOT NULL AS claims,
            ARRAY(SELECT address FROM signer.destinations d WHERE d.chain = o.chain AND d.network = o.network
                ORDER BY address) AS allowed,
            ARRAY(SELECT address FROM signer.warm_addresses w WHERE w.chain = o.chain AND w.network = o.network
                ORDER BY address) AS warm
        FROM (
            SELECT chain, network FROM signer.allow_lists UNION SELECT chain, network FROM signer.claims
            UNION SELECT chain, network FROM signer.destinations UNION SELECT chain, network FROM signer.warm_addresses
        ) o LEFT JOIN signer.allow_lists l USING (chain, network) LEFT JOIN signer.claims c USING (chain, network)
        ORDER BY chain, network
        """
    )
    return [Policy(**row) for row in rows]


async def has_allow_list(connection: Connection, chain: str, network: Network) -> bool:
    """Whether the chain pays known destinations alone."""
    return await _is_on(connection, "allow_lists", chain, network)


async def put_allow_list(connection: Connection, chain: str, network: Network, *, on: bool) -> None:
    """Have it pay them alone, or anybody."""
    await _switch(connection, "allow_lists", chain, network, on=on)


async def put_destination(connection: Connection, chain: str, network: Network, address: str, *, on: bool) -> None:
    """Let it be paid, or no more."""
    await _put(connection, "destinations", (chain, network, address), on=on)


async def known_of(connection: Connection, chain: str, network: Network, addresses: Collection[str]) -> set[str]:
    """Which of these may be paid where not all may."""
    return await _found(connection, "destinations", chain, network, addresses)


async def claims(connection: Connection, chain: str, network: Network) -> bool:
    """Whether the chain's addresses may be claimed for a proof of reserves."""
    return await _is_on(connection, "claims", chain, network)


async def put_claims(connection: Connection, chain: str, network: Network, *, on: bool) -> None:
    """Let them be claimed, or no more."""
    await _switch(connection, "claims", chain, network, on=on)


async def put_warm(connection: Connection, chain: str, network: Network, address: str, *, on: bool) -> None:
    """Know it as the operator's own warm address, or no more."""
    await _put(connection, "warm_addresses", (chain, network, address), on=on)


async def warm_of(connection: Connection, chain: str, network: Network, addresses: Collection[str]) -> set[str]:
    """Which of these are warm addresses."""
    return await _found(connection, "warm_addresses", chain, network, addresses)


async def spent(connection: Connection, limit: Limit, *, since: datetime) -> int:
    """How much of a limit's asset has left in slices from `since` on."""
    found: int = await connection.fetchval(
        "SELECT coalesce(sum(amount), 0) FROM signer.spending "
        "WHERE chain = $1 AND network = $2 AND token = $3 AND slice >= $4",
        *(limit.chain, limit.network, limit.token or "", since),
    )
    return found


async def add_spending(
    connection: Connection, sums: Mapping[tuple[str, Network, str | None], int], *, slice_begins: datetime
) -> None:
    """Count what leaves now."""
    await connection.executemany(
        "INSERT INTO signer.spending AS now (chain, network, token, slice, amount) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (chain, network, token, slice) DO UPDATE SET amount = now.amount + excluded.amount",
        [(chain, network, token or "", slice_begins, amount) for (chain, network, token), amount in sums.items()],
    )


async def _is_on(connection: Connection, table: _Switches, chain: str, network: Network) -> bool:
    found: bool = await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM signer.{table} WHERE chain = $1 AND network = $2)", chain, network
    )
    return found


async def _switch(connection: Connection, table: _Switches, chain: str, network: Network, *, on: bool) -> None:
    statement = (
        f"INSERT INTO signer.{table} (chain, network) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        if on
        else f"DELETE FROM signer.{table} WHERE chain = $1 AND network = $2"
    )
    await connection.execute(statement, chain, network)


async def _put(connection: Connection, table: _Addresses, place: tuple[str, Network, str], *, on: bool) -> None:
    statement = (
        f"INSERT INTO signer.{table} (chain, network, address) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
        if on
        else f"DELETE FROM signer.{table} WHERE chain = $1 AND network = $2 AND address = $3"
    )
    await connection.execute(statement, *place)


async def _found(
    connection: Connection, table: _Addresses, chain: str, network: Network, addresses: Collection[str]
) -> set[str]:
    rows = await connection.fetch(
        f"SELECT address FROM signer.{table} WHERE chain = $1 AND network = $2 AND address = ANY($3)",
        *(chain, network, list(addresses)),
    )
    return {row["address"] for row in rows}
