"""All addresses of the signer's keys that were given out, page by page, whose number does not matter to memory."""

from __future__ import annotations

from collections.abc import Collection

from billfold.custody.contracts import IssuedAddress, IssuedTree
from billfold.platform.postgres.database import Connection

#: Chain, purpose and place of an address: there is one at each.
After = tuple[str, str, int]
#: Where addresses were imported, their keys are elsewhere, and no backup of ours has them.
_OURS = (
    "NOT EXISTS (SELECT FROM custody.public_keys AS key WHERE key.chain = given.chain) "
    "AND NOT EXISTS (SELECT FROM custody.listed_addresses AS listed WHERE listed.chain = given.chain)"
)


async def trees(connection: Connection) -> list[IssuedTree]:
    """The tree of each chain."""
    rows = await connection.fetch("SELECT chain, network, tree_id FROM custody.trees ORDER BY chain")
    return [IssuedTree(**dict(row)) for row in rows]


async def count(connection: Connection) -> int:
    """How many there are whose keys the signer has."""
    found: int = await connection.fetchval(f"SELECT count(*) FROM custody.addresses AS given WHERE {_OURS}")
    return found


async def page(connection: Connection, *, after: After, limit: int) -> list[IssuedAddress]:
    """Those that follow, in the order of chain, purpose and place."""
    rows = await connection.fetch(
        "SELECT chain, purpose, place, address, memo FROM custody.addresses AS given "
        f"WHERE (chain, purpose, place) > ($1, $2, $3) AND {_OURS} ORDER BY chain, purpose, place LIMIT $4",
        *after,
        limit,
    )
    return [IssuedAddress(**dict(row)) for row in rows]


async def with_coins(connection: Connection, chain: str, addresses: Collection[str]) -> set[str]:
    """Which of these addresses have coins that nobody has spent."""
    rows = await connection.fetch(
        "SELECT DISTINCT address FROM custody.coins "
        "WHERE chain = $1 AND address = ANY($2) AND spent_height IS NULL AND height IS NOT NULL",
        chain,
        list(addresses),
    )
    return {row["address"] for row in rows}
