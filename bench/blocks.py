"""`python -m bench.blocks [ADDRESSES …]`: how long a block of 5,000 transfers takes, by how many addresses are issued.

All of it counts: the block is checked, matched against the addresses, written with its deposits, coins and events, and
committed to a real PostgreSQL. The chain hands blocks over from memory. A second of the processor is what this process
has used; PostgreSQL has processes of its own.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import cast
from uuid import UUID

import asyncpg

from billfold.app.migrate import SETS
from billfold.chains.bitcoin import showing
from billfold.chains.port import Chain
from billfold.custody import Custody, Served, Showing
from billfold.custody.contracts import Terms
from billfold.ledger import Ledger
from billfold.platform.postgres import cluster, migrations
from billfold.platform.postgres.database import Connection, Database
from billfold.platform.postgres.embedded import EmbeddedPostgres
from tests.integration.custody.simulated import SimulatedChain

TRANSFERS = 5_000
#: A wallet and an asset.
Pair = tuple[UUID, str]
#: How many of them are for us: a quiet chain, a busy house, and all of them.
OURS = (0, 100, TRANSFERS)
BLOCKS = 5
DEFAULT = (10_000, 1_000_000)
#: An outage of the machine aside, the driver waits for as long as ten million rows take.
FILL_TIMEOUT_S = 3_600
#: Nothing is credited: that is the ledger's work, and measured there.
TERMS = Terms(credit_after=10_000, release_after=10_000, reorg_limit=100)


async def fill(dsn: str, before: int, count: int) -> None:
    """Issue so many addresses, as if each were another wallet's."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "INSERT INTO custody.addresses (chain, address, purpose, place, wallet_id, created_at) "
            "SELECT 'bitcoin', 'bcrt1q' || md5(n::text), 'deposit', n, gen_random_uuid(), now() "
            "FROM generate_series($1::bigint, $2::bigint) AS n",
            before,
            count - 1,
            timeout=FILL_TIMEOUT_S,
        )
        await connection.execute("VACUUM ANALYZE custody.addresses", timeout=FILL_TIMEOUT_S)
    finally:
        await connection.close()


async def known(dsn: str, count: int) -> list[str]:
    """Some of them, from all over."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT 'bcrt1q' || md5((n * ($1::bigint / $2))::text) AS address FROM generate_series(0, $2 - 1) AS n",
            count,
            TRANSFERS,
        )
    finally:
        await connection.close()
    return [row["address"] for row in rows]


async def measure(custody: Custody, chain: SimulatedChain, addresses: list[str], ours: int) -> str:
    """Some blocks with so many transfers for us."""
    walls, used = [], []
    for _ in range(BLOCKS):
        for number in range(TRANSFERS):
            own = number < ours
            chain.pay(addresses[number] if own else f"bcrt1q{number:032x}", 1_000 + number)
        chain.mine()
        wall, processor = time.perf_counter(), time.process_time()
        await custody.watchers["bitcoin"].step()
        walls.append(time.perf_counter() - wall)
        used.append(time.process_time() - processor)
    wall, processor = statistics.median(walls), statistics.median(used)
    return f"{ours:5} of {TRANSFERS} ours: {wall:.3f} s, {processor:.3f} s of the processor"


async def main(folder: Path, sizes: list[int]) -> None:
    """Run it and print the figures."""
    postgres = EmbeddedPostgres(folder, on_line=lambda _: None)
    child = await postgres.start()
    try:
        await migrations.migrate(postgres.dsn(cluster.OWNER), SETS)
        database = await Database.connect(postgres.dsn(cluster.APP))
        ledger = await Ledger.start(database=database)
        chain = SimulatedChain()
        served = Served(chain=cast("Chain", chain), terms=TERMS, showing=cast("Showing", showing))
        custody = Custody(
            database=database, ledger=ledger, wallet_accounts=_no_accounts, freeze_wallet=_no_freezing, served=[served]
        )
        await custody.watchers["bitcoin"].step()
        before = 0
        for size in sizes:
            await fill(postgres.dsn(cluster.OWNER), before, size)
            before = size
            addresses = await known(postgres.dsn(cluster.OWNER), size)
            for ours in OURS:
                sys.stdout.write(f"{size:10} addresses, {await measure(custody, chain, addresses, ours)}\n")
                sys.stdout.flush()
        await ledger.close()
        await database.close()
    finally:
        await child.stop()


async def _no_accounts(connection: Connection, pairs: Collection[Pair]) -> dict[Pair, UUID]:
    raise AssertionError(f"nothing is credited: {pairs} in {connection}")


async def _no_freezing(connection: Connection, wallet_id: UUID) -> None:
    raise AssertionError(f"nothing is taken back: {wallet_id} in {connection}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(Path(made), [int(text) for text in sys.argv[1:]] or list(DEFAULT)))
