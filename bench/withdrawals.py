"""`python -m bench.withdrawals [CHAIN …]`: withdrawals that are sent out in a second, from the request to the end.

All of it counts: asked for, held by a real ledger, allocated, built, signed by a real signer in a process of its own,
stored in a real PostgreSQL, handed over, looked for, and settled. The node is in memory and costs next to nothing, so
that the figure is the machine's own: transactions have the chain's own form, and a block takes all of them each half
second. Beside it stands a plain loop against the same node: built, signed and handed over, one after the other, with
nothing stored but by the signer. Milliseconds of the processor are told for each withdrawal: of this process, of which
asking is the API's in an installation and the rest a worker's, of PostgreSQL, and of the signer. For these all are
asked for before any is sent; the rate is that of as many more, which are sent while others are asked for.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from bench import processes
from bench.node import COIN, FORMS, PARENTS, RICH, SOLANA_PAID, Node
from billfold.app import settings, signing
from billfold.app.migrate import SETS, SIGNER_SETS
from billfold.app.supervisor.roles import SIGNER, RoleProcess
from billfold.chains.bitcoin import transactions
from billfold.chains.bitcoin.addresses import script_of
from billfold.chains.port import Allocation, Coin, Payment
from billfold.chains.signing_port import Place
from billfold.custody.contracts.withdrawals import NewWithdrawal, WithdrawalTerms
from billfold.custody.service.house import House
from billfold.custody.service.withdrawals import Withdrawals
from billfold.kernel import clock, idempotency, ids
from billfold.ledger import Ledger
from billfold.ledger.contracts import NewAccount, NewTransfer
from billfold.platform import host
from billfold.platform.keys import local
from billfold.platform.postgres import cluster, migrations
from billfold.platform.postgres.database import Database
from billfold.platform.postgres.embedded import EmbeddedPostgres
from billfold.signer.contracts import Expected, SigningService

WITHDRAWALS = 1_000
#: Of the plain loop: it does the same again and again.
SENDS = 200
#: Callers that wait for an answer each.
CALLERS = 32
CUSTOMERS = 50
HOT = Place(purpose="hot", index=0)
AMOUNT = 10_000_000
#: A node of one's own keeps as many of one source as it is told to; others' keep 64.
TERMS = WithdrawalTerms(living_max=WITHDRAWALS)
#: Nothing takes longer, even where others share the machine.
DEADLINE_S = 600.0


class Bench:
    """A house with customers, and what they send out on one chain."""

    def __init__(self, database: Database, ledger: Ledger, signer: SigningService, node: Node) -> None:
        self.database, self.ledger, self.signer, self.node = database, ledger, signer, node
        self.house = House(database=database, ledger=ledger)
        self.withdrawals = Withdrawals(
            database=database,
            ledger=ledger,
            house=self.house,
            chains={node.name: node},
            terms={node.name: TERMS},
            signer=signer,
            clock=clock.SystemClock(),
        )
        self.tree, self.hot = UUID(int=0), ""
        self.customers: list[UUID] = []

    async def furnish(self) -> None:
        """Addresses of the house, its coins, and customers with money."""
        name = self.node.name
        self.tree = (await self.signer.create(tree_id=ids.new(), chain=name, network="sandbox")).id
        (self.hot,) = await self.signer.addresses(tree_id=self.tree, purpose="hot", first=0, count=1)
        async with self.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO custody.trees (chain, network, tree_id, created_at) VALUES ($1, 'sandbox', $2, now())",
                *(name, self.tree),
            )
            await connection.execute(
                "INSERT INTO custody.addresses (chain, address, purpose, place, created_at) "
                "VALUES ($1, $2, 'hot', 0, now())",
                *(name, self.hot),
            )
            if self.node.model == "coins":
                await self._coins(connection)
        self.customers = [ids.new() for _ in range(CUSTOMERS)]
        await self.ledger.open_accounts(accounts=[NewAccount(id=one, asset=self.node.coin) for one in self.customers])
        omnibus = await self.house.account(kind="omnibus", asset=self.node.coin)
        for one in self.customers:
            given = NewTransfer(
                debit_account=omnibus, credit_account=one, amount=RICH, asset=self.node.coin, kind="deposit"
            )
            key = idempotency.key(owner=one, text="k", operation="bench", content=b"")
            (await self.ledger.post(key=key, transfers=[given])).single()

    async def _coins(self, connection: Any) -> None:
        for number in range(WITHDRAWALS):
            output = transactions.Output(COIN, script_of(self.hot, "sandbox"))
            made = transactions.write(inputs=[transactions.Input(f"{number:064x}", 0)], outputs=[output])
            PARENTS[made.txid] = made
        await connection.execute(
            "INSERT INTO custody.coins (chain, chain_tx, index, address, amount, height, mature_at) "
            "SELECT 'bitcoin', tx, '0', $2, $3, 1, 1 FROM unnest($1::text[]) AS tx",
            *(list(PARENTS), self.hot, COIN),
        )

    async def plain(self) -> float:
        """So many sends in a second by a plain loop."""
        coins = [Coin(chain_tx=one, index="0", address=self.hot, amount=COIN) for one in PARENTS]
        began = time.perf_counter()
        for number in range(SENDS):
            paid = Payment(address=self.node.form.paid, amount=AMOUNT + number)
            allocation = Allocation(
                source=self.hot,
                coins=coins[number : number + 1],
                change=self.hot,
                nonce=10**6 + number,
                anchor=SOLANA_PAID,
            )
            unsigned = await self.node.build([paid], allocation, rate=self.node.form.rate)
            signed = await self.signer.sign(
                request_id=ids.new(),
                tree_id=self.tree,
                payload=unsigned.payload,
                places={self.hot: HOT},
                expected=Expected(payments=[paid], fee_max=unsigned.fee_max),
            )
            await self.node.broadcast(signed)
        return SENDS / (time.perf_counter() - began)

    async def apart(self) -> tuple[float, float]:
        """Seconds of the processor for asking, and then for all else."""
        used = time.process_time()
        await self._ask_for_all(0)
        asked = time.process_time() - used
        await self._work()
        return asked, time.process_time() - used - asked

    async def together(self) -> float:
        """Withdrawals in a second, while others are asked for."""
        began = time.perf_counter()
        asking = asyncio.create_task(self._ask_for_all(WITHDRAWALS))
        while not asking.done():
            await self._round()
        await asking
        await self._work()
        return WITHDRAWALS / (time.perf_counter() - began)

    async def _work(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while await self._open():
                await self._round()

    async def _round(self) -> None:
        if not await self.withdrawals.work(chain=self.node.name):
            await asyncio.sleep(0.05)

    async def _ask_for_all(self, first: int) -> None:
        await asyncio.gather(
            *(self._ask(range(first + place, first + WITHDRAWALS, CALLERS)) for place in range(CALLERS))
        )

    async def _ask(self, numbers: range) -> None:
        for number in numbers:
            account = self.customers[number % CUSTOMERS]
            new = NewWithdrawal(
                wallet_id=account,
                owner_id=account,
                account_id=account,
                asset=self.node.coin,
                # Solana takes two payments that are the same, from the same block, for one.
                amount=AMOUNT + number,
                address=self.node.form.paid,
                confirmed=True,
            )
            key = idempotency.key(owner=account, text=str(number), operation="bench", content=b"")
            await self.withdrawals.request(new=new, key=key)

    async def _open(self) -> bool:
        async with self.database.connection() as connection:
            left = await connection.fetchval("SELECT count(*) FROM custody.withdrawals WHERE state <> 'settled'")
            return bool(left)


def _tree(folder: Path, dsn: str) -> settings.Settings:
    door = f"unix:{host.private_folder(folder / 's')}/signer.sock"
    local.create(folder / "master.key")
    signer = settings.Signer(
        dsn=dsn, keys_file=folder / "master.key", listen=door, address=door, metrics_port=host.free_port(), timeout_s=60
    )
    return settings.Settings(data_dir=folder, signer=signer)


async def measure(postgres: EmbeddedPostgres, signer: SigningService, name: str, pids: dict[str, int]) -> str:
    """One line of figures."""
    admin = await asyncpg.connect(postgres.dsn(cluster.SUPERUSER, database="postgres"))
    try:
        await cluster.create_database(admin, name, template="template0", entered_by=(cluster.APP, cluster.READONLY))
    finally:
        await admin.close()
    await migrations.migrate(postgres.dsn(cluster.OWNER, database=name), SETS)
    database = await Database.connect(postgres.dsn(cluster.APP, database=name))
    ledger = await Ledger.start(database=database)
    node = Node(name)
    try:
        async with node.running():
            bench = Bench(database, ledger, signer, node)
            await bench.furnish()
            plain = await bench.plain()
            before = processes.cpu_seconds(pids)
            asked, worked = await bench.apart()
            others = processes.spent(before, processes.cpu_seconds(pids))
            whole = await bench.together()
            assert (await ledger.verify()).faults == []
    finally:
        await ledger.close()
        await database.close()
    spent = {"asking": asked, "the queue": worked, **others}
    told = ", ".join(f"{who} {1000 * seconds / WITHDRAWALS:.1f}" for who, seconds in spent.items())
    rates = f"{whole:5.0f} /s   plain loop {plain:5.0f} /s   ratio {whole / plain:.2f}"
    return f"{name:9} {rates}   ms of the processor: {told}"


async def main(folder: Path, names: Sequence[str]) -> None:
    """Run it and print the figures."""
    postgres = EmbeddedPostgres(folder, on_line=lambda _: None)
    child = await postgres.start()
    try:
        dsn = postgres.dsn(cluster.SIGNER, database=cluster.SIGNER_DATABASE)
        await migrations.migrate(postgres.dsn(cluster.OWNER, database=cluster.SIGNER_DATABASE), SIGNER_SETS)
        tree = _tree(folder, dsn)
        role = await RoleProcess(SIGNER, tree, on_line=lambda _: None).start()
        try:
            async with signing.connected(tree.signer) as signer:
                assert signer is not None
                for name in names:
                    line = await measure(postgres, signer, name, {"PostgreSQL": child.pid, "the signer": role.pid})
                    sys.stdout.write(f"{line}   load {os.getloadavg()[0]:.1f}\n")
                    sys.stdout.flush()
        finally:
            await role.stop()
    finally:
        await child.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(Path(made), sys.argv[1:] or list(FORMS)))
