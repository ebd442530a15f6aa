"""SQL over deposits that lie at addresses of their own, and have to go where withdrawals are paid from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from billfold.platform.postgres.database import Connection

#: What is not taken yet; each is in the partial indexes of the migration 0003.
_UNCOLLECTED = "state = 'releasable' AND sweep_at IS NOT NULL"


class Pile(msgspec.Struct, frozen=True):
    """Deposits at one address."""

    address: str
    amount: int


async def due(connection: Connection, chain: str, *, token: str, now: datetime, limit: int) -> list[Pile]:
    """Addresses with deposits that it is time to look at, and all that lies there and is not taken."""
    rows = await connection.fetch(
        f"""
        SELECT address, sum(amount) FROM custody.deposits
        WHERE chain = $1 AND token = $2 AND {_UNCOLLECTED} AND address IN (
            SELECT address FROM custody.deposits
            WHERE chain = $1 AND token = $2 AND {_UNCOLLECTED} AND sweep_at <= $3 ORDER BY sweep_at LIMIT $4)
        GROUP BY address ORDER BY address
        """,
        chain,
        token,
        now,
        limit,
    )
    return [Pile(row[0], int(row[1])) for row in rows]


async def postpone(
    connection: Connection, chain: str, addresses: Collection[str], *, token: str, until: datetime
) -> None:
    """Look at what lies there again then."""
    await connection.execute(
        f"UPDATE custody.deposits SET sweep_at = $4 "
        f"WHERE chain = $1 AND address = ANY($2::text[]) AND token = $3 AND {_UNCOLLECTED}",
        chain,
        sorted(addresses),
        token,
        until,
    )


async def take(connection: Connection, chain: str, address: str, *, token: str, allocation_id: UUID) -> bool:
    """Let what lies there be an allocation's; False if nothing does any more."""
    done = await connection.execute(
        f"UPDATE custody.deposits SET sweep_at = NULL, swept_by = $4 "
        f"WHERE chain = $1 AND address = $2 AND token = $3 AND {_UNCOLLECTED}",
        chain,
        address,
        token,
        allocation_id,
    )
    return done != "UPDATE 0"


async def give_back(connection: Connection, allocation_id: UUID, *, until: datetime) -> None:
    """The allocation moves nothing: what it took, if it is one of a sweep, is looked at again then."""
    await connection.execute(
        "UPDATE custody.deposits SET sweep_at = $2, swept_by = NULL WHERE swept_by = $1", allocation_id, until
    )


async def uncollected(connection: Connection, chain: str, assets: Sequence[str]) -> Mapping[str, int]:
    """How much of each asset is not taken."""
    rows = await connection.fetch(
        f"SELECT asset, sum(amount) FROM custody.deposits WHERE chain = $1 AND {_UNCOLLECTED} GROUP BY asset", chain
    )
    return dict.fromkeys(assets, 0) | {row[0]: int(row[1]) for row in rows}
