"""`python -m bench.signer`: transactions that the signer signs in a second, on secp256k1 and on ed25519.

All of it counts: the transaction is read, compared, checked against a limit, signed, logged and committed to a real
PostgreSQL. The facade runs in this process, on one core at a time; PostgreSQL has processes of its own. A second of the
processor is what this process has used; where other programs share the machine, that is the figure to compare.
"""

from __future__ import annotations

import asyncio
import base64
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from stellar_sdk import (
    Asset,
    FeeBumpTransaction,
    FeeBumpTransactionEnvelope,
    Keypair,
    Preconditions,
    TimeBounds,
    Transaction,
    TransactionEnvelope,
)
from stellar_sdk import Payment as PaymentOperation

from billfold.app.migrate import SIGNER_SETS
from billfold.chains.bitcoin import building, transactions
from billfold.chains.bitcoin.addresses import script_of
from billfold.chains.port import Allocation, Coin, Payment, Rate
from billfold.chains.signing_port import Place
from billfold.chains.solana import orders
from billfold.chains.stellar.networks import PASSPHRASES
from billfold.kernel import ids
from billfold.platform.keys import Keyring, local
from billfold.platform.postgres import cluster, migrations
from billfold.platform.postgres.database import Database
from billfold.platform.postgres.embedded import EmbeddedPostgres
from billfold.signer import Signer
from billfold.signer.contracts import Expected, Limit

TRANSACTIONS = 2_000
#: Callers that wait for an answer each: as a worker has with withdrawals of several chains.
CALLERS = 64
ADDRESSES = 10_000
HOT = Place(purpose="hot", index=0)
MILLION = 10**12


class Work(NamedTuple):
    """A transaction, and what it is expected to do."""

    payload: bytes
    expected: Expected


def bitcoin(hot: str, number: int) -> Work:
    """One coin, one payment, change: one signature."""
    output = transactions.Output(100_000, script_of(hot, "sandbox"))
    parent = transactions.write(inputs=[transactions.Input(f"{number:064x}", 0)], outputs=[output])
    coin = Coin(chain_tx=parent.txid, index="0", address=hot, amount=output.value)
    payment = Payment(address="bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", amount=50_000)
    unsigned = building.build(
        [payment],
        Allocation(source=hot, coins=[coin], change=hot),
        parents={parent.txid: parent},
        rate=Rate(numbers={"sat_per_kvb": 2_000}),
        network="sandbox",
    )
    return Work(unsigned.payload, Expected(payments=[payment], fee_max=unsigned.fee_max))


_PAID = Keypair.random().public_key
#: Any 32 bytes are an address there, and a block's hash.
_SOLANA_PAID = "5SxCKipPqCsBzq1jMt7kV6CjS9RfjM3FhmBmwDtLP75P"


def stellar(hot: str, number: int) -> Work:
    """One payment in a fee bump: two signatures."""
    payment = Payment(address=_PAID, amount=10_000_000)
    operation = PaymentOperation(payment.address, Asset.native(), "1", source=hot)
    bounds = Preconditions(time_bounds=TimeBounds(1_700_000_000, 1_700_086_400))
    inner = TransactionEnvelope(
        Transaction(hot, number, 0, [operation], preconditions=bounds, v1=True), PASSPHRASES["sandbox"]
    )
    envelope = FeeBumpTransactionEnvelope(FeeBumpTransaction(hot, 400, inner), PASSPHRASES["sandbox"])
    return Work(base64.b64decode(envelope.to_xdr()), Expected(payments=[payment], fee_max=400))


def solana(hot: str, number: int) -> Work:
    """One payment: one signature."""
    pays = [orders.Pay(address=_SOLANA_PAID, amount=1_000_000 + number)]
    order = orders.Order(payer=hot, blockhash=_SOLANA_PAID, units=orders.units(pays), micro_lamports=1_000, pays=pays)
    payment = Payment(address=_SOLANA_PAID, amount=1_000_000 + number)
    return Work(orders.message(order), Expected(payments=[payment], fee_max=order.fee_max))


async def measure(signer: Signer, chain: str, make: Callable[[str, int], Work]) -> str:
    """One line of figures."""
    tree = await signer.create(tree_id=ids.new(), chain=chain, network="sandbox")
    (hot,) = await signer.addresses(tree_id=tree.id, purpose="hot", first=0, count=1)
    limit = Limit(
        chain=chain, network="sandbox", token=None, per_transaction=MILLION, per_window=MILLION**2, window_s=86_400
    )
    await signer.set_limit(limit)
    works = [make(hot, number) for number in range(1, TRANSACTIONS + 1)]
    await sign(signer, tree.id, hot, works[:1])
    wall, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(sign(signer, tree.id, hot, works[first::CALLERS]) for first in range(CALLERS)))
    wall, used = time.perf_counter() - wall, time.process_time() - used
    return f"{chain:10} {TRANSACTIONS / wall:8.0f} /s   {TRANSACTIONS / used:8.0f} per second of the processor"


async def sign(signer: Signer, tree_id: UUID, hot: str, works: list[Work]) -> None:
    """One after the other, each as a request of its own."""
    for work in works:
        await signer.sign(
            request_id=ids.new(),
            tree_id=tree_id,
            payload=work.payload,
            places={hot: HOT},
            expected=work.expected,
        )


async def addresses(signer: Signer, chain: str) -> str:
    """How long many addresses take."""
    tree = await signer.create(tree_id=ids.new(), chain=chain, network="sandbox")
    wall, used = time.perf_counter(), time.process_time()
    await signer.addresses(tree_id=tree.id, purpose="deposit", first=0, count=ADDRESSES)
    return (
        f"{chain:10} {ADDRESSES} addresses in {time.perf_counter() - wall:.2f} s, "
        f"{time.process_time() - used:.2f} s of the processor"
    )


async def main(folder: Path) -> None:
    """Run it and print the figures."""
    postgres = EmbeddedPostgres(folder, on_line=lambda _: None)
    child = await postgres.start()
    try:
        await migrations.migrate(postgres.dsn(cluster.OWNER, database=cluster.SIGNER_DATABASE), SIGNER_SETS)
        local.create(folder / "master.key")
        keyring = Keyring({"local": local.load(folder / "master.key")}, sealing="local")
        database = await Database.connect(postgres.dsn(cluster.SIGNER, database=cluster.SIGNER_DATABASE))
        signer = Signer.start(database=database, keyring=keyring)
        for line in [
            await measure(signer, "bitcoin", bitcoin),
            await measure(signer, "solana", solana),
            await measure(signer, "stellar", stellar),
            await addresses(signer, "bitcoin"),
            await addresses(signer, "ethereum"),
            await addresses(signer, "solana"),
        ]:
            sys.stdout.write(f"{line}\n")
        await database.close()
    finally:
        await child.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(Path(made)))
