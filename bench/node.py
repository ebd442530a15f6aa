"""A chain in memory that costs next to nothing, for what is measured of the machine and not of a node.

Transactions have the chain's own form, for a real signer reads them. Each is taken, and a block has it within half a
second. Nothing is watched here, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from stellar_sdk import (
    Asset,
    FeeBumpTransaction,
    FeeBumpTransactionEnvelope,
    Preconditions,
    TimeBounds,
    Transaction,
    TransactionEnvelope,
)
from stellar_sdk import Payment as PaymentOperation

from billfold.chains.bitcoin import building, transactions
from billfold.chains.ethereum import addresses as ethereum_addresses
from billfold.chains.ethereum import transactions as ethereum_transactions
from billfold.chains.port import (
    Allocation,
    Block,
    Coin,
    Destination,
    Fate,
    Found,
    Hastening,
    Head,
    Model,
    Movement,
    Network,
    Payment,
    Rate,
    Signed,
    Sought,
    Speed,
    Unsigned,
)
from billfold.chains.solana import orders
from billfold.chains.stellar.networks import PASSPHRASES

BLOCK_S = 0.5
FEE = 100_000
#: What each coin of the house is worth.
COIN = 10**9
#: Enough for all, and what a node would say of the house's address.
RICH = 10**15


class Form(NamedTuple):
    """How a chain writes a payment of ours."""

    model: Model
    coin: str
    paid: str
    rate: Rate
    build: Callable[[Sequence[Payment], Allocation, Rate], Unsigned]


def _bitcoin(payments: Sequence[Payment], allocation: Allocation, rate: Rate) -> Unsigned:
    parents = {}
    for coin in allocation.coins:
        parents[coin.chain_tx] = PARENTS[coin.chain_tx]
    return building.build(payments, allocation, parents=parents, rate=rate, network="sandbox")


def _ethereum(payments: Sequence[Payment], allocation: Allocation, rate: Rate) -> Unsigned:
    assert allocation.nonce is not None
    call = ethereum_transactions.Call(
        chain_id=31_337,
        nonce=allocation.nonce,
        max_priority_fee_per_gas=1,
        max_fee_per_gas=rate.numbers["max_fee_per_gas"],
        gas=21_000,
        to=payments[0].address,
        value=payments[0].amount,
        data=b"",
    )
    raw = ethereum_addresses.raw(ethereum_addresses.canonical(allocation.source))
    return Unsigned(payload=raw + ethereum_transactions.encode(call), fee_max=call.fee_max)


def _solana(payments: Sequence[Payment], allocation: Allocation, rate: Rate) -> Unsigned:
    assert allocation.anchor is not None
    pays = [orders.Pay(address=one.address, amount=one.amount) for one in payments]
    order = orders.Order(
        payer=allocation.source,
        blockhash=allocation.anchor,
        units=orders.units(pays),
        micro_lamports=rate.numbers["micro_lamports"],
        pays=pays,
    )
    return Unsigned(payload=orders.message(order), fee_max=order.fee_max)


def _stellar(payments: Sequence[Payment], allocation: Allocation, rate: Rate) -> Unsigned:
    assert allocation.nonce is not None
    whole, part = divmod(payments[0].amount, 10**7)
    operation = PaymentOperation(payments[0].address, Asset.native(), f"{whole}.{part:07}", source=allocation.source)
    bounds = Preconditions(time_bounds=TimeBounds(1_700_000_000, 1_900_000_000))
    inner = Transaction(allocation.source, allocation.nonce, 0, [operation], preconditions=bounds, v1=True)
    passphrase = PASSPHRASES["sandbox"]
    fee = 2 * rate.numbers["stroops"]
    bump = FeeBumpTransaction(allocation.source, fee, TransactionEnvelope(inner, passphrase))
    return Unsigned(
        payload=base64.b64decode(FeeBumpTransactionEnvelope(bump, passphrase).to_xdr()),
        fee_max=fee,
    )


#: Where coins of the house came from, by the transaction's id.
PARENTS: dict[str, transactions.Transaction] = {}
#: A Solana address of nobody's, and a block's hash: any 32 bytes are.
SOLANA_PAID = "5SxCKipPqCsBzq1jMt7kV6CjS9RfjM3FhmBmwDtLP75P"
FORMS: Mapping[str, Form] = {
    "bitcoin": Form(
        "coins", "BTC", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", Rate(numbers={"sat_per_kvb": 2_000}), _bitcoin
    ),
    "ethereum": Form(
        "nonce",
        "ETH",
        ethereum_addresses.checksummed(b"\xab" * 20),
        Rate(numbers={"max_fee_per_gas": 4, "max_priority_fee_per_gas": 1}),
        _ethereum,
    ),
    "solana": Form("recent_block", "SOL", SOLANA_PAID, Rate(numbers={"micro_lamports": 1_000}), _solana),
    "stellar": Form(
        "nonce",
        "XLM",
        "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ",
        Rate(numbers={"stroops": 200}),
        _stellar,
    ),
}


class Node:
    """Takes what it is given and makes a block of it each half second."""

    network: Network = "sandbox"

    def __init__(self, name: str) -> None:
        self.name, self.form = name, FORMS[name]
        self.model, self.coin = self.form.model, self.form.coin
        self.height = 100
        self.mined: dict[str, int] = {}
        self._waiting: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Blocks are made meanwhile."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(BLOCK_S)
            self.height += 1
            self.mined |= dict.fromkeys(self._waiting, self.height)
            self._waiting.clear()

    async def check(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def head(self) -> Head:
        return Head(height=self.height, hash=f"b{self.height}", time=datetime.now(UTC))

    async def block(self, height: int) -> Block | None:
        raise AssertionError(f"nothing is watched here: {height}")

    async def pending(self) -> Sequence[Movement]:
        return []

    def canonical(self, text: str) -> tuple[str, str | None]:
        return text, None

    async def examine(self, address: str, **_: Any) -> Destination:
        return Destination(address=address)

    async def rates(self) -> Mapping[Speed, Rate]:
        return {"slow": self.form.rate, "normal": self.form.rate, "fast": self.form.rate}

    async def estimate(self, payments: Sequence[Payment], **_: Any) -> int:
        return FEE * len(payments)

    def coin_fee(self, **_: Any) -> int:
        # What is estimated has all coins in it.
        return 0

    async def hastening(self, chain_tx: str, **_: Any) -> Hastening | None:  # noqa: ARG002 - nothing waits for long.
        return None

    async def sponsored(self, owner: str, **_: Any) -> tuple[int, int] | None:  # noqa: ARG002 - there are no tokens.
        return None

    def raised(self, rate: Rate) -> Rate:
        raise AssertionError(f"nothing is replaced here: {rate}")

    async def anchor(self) -> tuple[str, int]:
        return SOLANA_PAID, self.height + 150

    async def nonce_accounts(self, source: str, *, count: int) -> Sequence[str]:  # noqa: ARG002 - the port's
        """There are none here."""
        return ()

    async def durable_anchor(self, account: str, *, source: str) -> str | None:  # noqa: ARG002 - the port's
        """Not of this chain."""
        raise AssertionError("nothing here is durable")

    async def next_nonce(self, source: str) -> int:  # noqa: ARG002 - there is one.
        return len(self.mined)

    def choose(self, coins: Sequence[Coin], payments: Sequence[Payment], **_: Any) -> Sequence[Coin]:
        needed = sum(payment.amount for payment in payments) + FEE * len(payments)
        return coins[: -(-needed // COIN)]

    async def build(self, payments: Sequence[Payment], allocation: Allocation, *, rate: Rate) -> Unsigned:
        return self.form.build(payments, allocation, rate)

    async def broadcast(self, signed: Signed) -> None:
        if signed.chain_tx not in self.mined:
            self._waiting.append(signed.chain_tx)

    async def find(self, signed: Signed, allocation: Allocation) -> Found:  # noqa: ARG002 - nothing else is used up.
        height = self.mined.get(signed.chain_tx)
        if height is None:
            return Found(fate=Fate.PENDING)
        return Found(fate=Fate.MINED, height=height, block=f"b{height}", fee=FEE // 2)

    async def seek(self, payload: bytes, allocation: Allocation) -> Sought:
        raise AssertionError(f"nobody else signs here: {payload.hex()} of {allocation}")

    async def balance(self, address: str, **_: Any) -> int:  # noqa: ARG002 - everybody is rich.
        return RICH

    async def missing(self, coins: Sequence[Coin]) -> Sequence[Coin]:  # noqa: ARG002 - nothing is lost.
        return []
