"""`python -m bench.blocks [ADDRESSES …]`: how long a block of 5,000 transfers takes, by how many addresses are issued.

All of it counts: the block is checked, matched against the addresses, written with its deposits, coins and events, and
committed to a real PostgreSQL. The chain hands blocks over from memory. A second of the processor is what this process
has used, and what the processes of PostgreSQL have.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import cast
from uuid import UUID

import asyncpg

from bench import processes
from billfold.app.migrate import SETS
from billfold.chains.bitcoin import showing
from billfold.chains.port import Chain
from billfold.custody import Custody, Served, Showing
from billfold.custody.contracts import Terms
from billfold.kernel import ids
from billfold.ledger import Ledger
from billfold.ledger.contracts import NewAccount
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
#: Lines that are sent at a time.
CHUNK = 50_000
#: Nothing is credited, or all at once by the ledger.
TERMS = Terms(credit_after=10_000, release_after=10_000, reorg_limit=100)
AT_ONCE = Terms(credit_after=1, release_after=10_000, reorg_limit=100)


async def fill(dsn: str, before: int, count: int) -> str:
    """Issue so many addresses, as if each were another wallet's; how long that took, and what the table has then."""

    async def lines() -> AsyncIterator[bytes]:
        for first in range(before, count, CHUNK):
            yield "".join(
                f"bitcoin\tbcrt1q{hashlib.md5(str(n).encode(), usedforsecurity=False).hexdigest()}"
                f"\tdeposit\t{n}\t{n:032x}\t2026-01-01\n"
                for n in range(first, min(first + CHUNK, count))
            ).encode()

    connection = await asyncpg.connect(dsn)
    try:
        began = time.perf_counter()
        await connection.copy_to_table(
            "addresses",
            schema_name="custody",
            source=lines(),
            columns=["chain", "address", "purpose", "place", "wallet_id", "created_at"],
            timeout=FILL_TIMEOUT_S,
        )
        took = time.perf_counter() - began
        await connection.execute("VACUUM ANALYZE custody.addresses", timeout=FILL_TIMEOUT_S)
        size = await connection.fetchval("SELECT pg_total_relation_size('custody.addresses')")
        heap = await connection.fetchval("SELECT pg_relation_size('custody.addresses')")
    finally:
        await connection.close()
    mib, whole = heap / 2**20, size / 2**20
    return f"{count - before} addresses copied in {took:.0f} s; the table has {mib:.0f} MiB, with indexes {whole:.0f}"


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


async def measure(custody: Custody, chain: SimulatedChain, addresses: list[str], ours: int, *, postgres: int) -> str:
    """Some blocks with so many transfers for us. `postgres` is the server's process."""
    walls, used, served = [], [], []
    for _ in range(BLOCKS):
        for number in range(TRANSFERS):
            own = number < ours
            chain.pay(addresses[number] if own else f"bcrt1q{number:032x}", 1_000 + number)
        chain.mine()
        before = processes.cpu_seconds({"postgres": postgres})["postgres"]
        wall, processor = time.perf_counter(), time.process_time()
        await custody.watchers["bitcoin"].step()
        walls.append(time.perf_counter() - wall)
        used.append(time.process_time() - processor)
        served.append(processes.cpu_seconds({"postgres": postgres})["postgres"] - before)
    wall, processor, server = (statistics.median(each) for each in (walls, used, served))
    return (
        f"{ours:5} of {TRANSFERS} ours: {wall:.3f} s; of the processor {processor:.3f} s here and {server:.2f} s in "
        f"PostgreSQL; load {os.getloadavg()[0]:.1f}"
    )


async def main(folder: Path, sizes: list[int]) -> None:
    """Run it and print the figures."""
    postgres = EmbeddedPostgres(folder, on_line=lambda _: None)
    child = await postgres.start()
    try:
        await migrations.migrate(postgres.dsn(cluster.OWNER), SETS)
        database = await Database.connect(postgres.dsn(cluster.APP))
        ledger = await Ledger.start(database=database)
        chain = SimulatedChain()
        accounts = Accounts(ledger)

        def opened(terms: Terms) -> Custody:
            served = Served(chain=cast("Chain", chain), terms=terms, showing=cast("Showing", showing))
            return Custody(
                database=database, ledger=ledger, wallet_accounts=accounts, freeze_wallet=_no_freezing, served=[served]
            )

        custody, crediting = opened(TERMS), opened(AT_ONCE)
        await custody.watchers["bitcoin"].step()
        before = 0
        for size in sizes:
            sys.stdout.write(f"{await fill(postgres.dsn(cluster.OWNER), before, size)}\n")
            before = size
            addresses = await known(postgres.dsn(cluster.OWNER), size)
            if size == sizes[0]:
                # Before anything waits that was not credited.
                line = await measure(crediting, chain, addresses, TRANSFERS, postgres=child.pid)
                sys.stdout.write(f"{size:10} addresses, all credited too, {line}\n")
            for ours in OURS:
                sys.stdout.write(
                    f"{size:10} addresses, {await measure(custody, chain, addresses, ours, postgres=child.pid)}\n"
                )
                sys.stdout.flush()
        await ledger.close()
        await database.close()
    finally:
        await child.stop()


class Accounts:
    """The ledger's accounts of wallets, opened when they are first asked for."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[Pair, UUID] = {}

    async def __call__(self, connection: Connection, pairs: Collection[Pair]) -> dict[Pair, UUID]:
        new = {pair: ids.new() for pair in pairs if pair not in self._known}
        opened = [NewAccount(id=one, asset=asset) for (_, asset), one in new.items()]
        await self._ledger.open_accounts(accounts=opened, transaction=connection)
        self._known |= new
        return {pair: self._known[pair] for pair in pairs}


async def _no_freezing(connection: Connection, wallet_id: UUID) -> None:
    raise AssertionError(f"nothing is taken back: {wallet_id} in {connection}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(Path(made), [int(text) for text in sys.argv[1:]] or list(DEFAULT)))
