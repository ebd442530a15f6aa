"""A Stellar to test against, and a house on it: the sandbox's by default, any Horizon's by STELLAR_HORIZON_URL.

What others send is made by the SDK alone, so that the adapter is not tested by itself.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from stellar_sdk import (
    Asset,
    ChangeTrust,
    CreateAccount,
    FeeBumpTransactionEnvelope,
    Keypair,
    Memo,
    Payment,
    Transaction,
    TransactionEnvelope,
)
from stellar_sdk.operation import Operation

from billfold.chains import port, stellar
from billfold.chains.nodes import Nodes
from billfold.chains.port import Allocation, Block, Movement, Network, Signed
from billfold.chains.signing_port import Place
from billfold.chains.stellar import keys, signing
from billfold.chains.stellar.networks import PASSPHRASES
from tests.servers.devnets import DevnetServer

#: A real Horizon to run the same tests against, such as that of the public test network.
REAL = os.environ.get("STELLAR_HORIZON_URL")
#: A ledger of a real network takes six seconds.
LEDGER_TIMEOUT_S = 60.0
#: One lumen in stroops.
XLM = 10**7
RATE = port.Rate(numbers={"stroops": 200})


@dataclass
class Net:
    """The chain, from outside."""

    url: str
    devnet: DevnetServer | None
    network: Network
    client: httpx2.AsyncClient = field(default_factory=lambda: httpx2.AsyncClient(timeout=60, trust_env=False))
    opened: list[port.Chain] = field(default_factory=list)

    @property
    def passphrase(self) -> str:
        return PASSPHRASES[self.network]

    def chain(self, *tokens: str, **told: Any) -> port.Chain:
        """The adapter."""
        found = stellar.open(Nodes(network=self.network, urls=told.pop("urls", [self.url]), tokens=tokens, **told))
        self.opened.append(found)
        return found

    async def close(self) -> None:
        for each in self.opened:
            await each.close()
        await self.client.aclose()

    async def get(self, path: str) -> Any:
        return (await self.client.get(f"{self.url}{path}")).json()

    async def ledger(self) -> int:
        """The number of the last ledger."""
        return int((await self.get("/"))["history_latest_ledger"])

    async def next_ledger(self) -> int:
        """The number of a ledger that has everything that was handed in so far."""
        before = await self.ledger()
        if self.devnet is not None:
            return int(self.devnet.mine()["height"])
        deadline = time.monotonic() + LEDGER_TIMEOUT_S
        while (now := await self.ledger()) < before + 2:
            assert time.monotonic() < deadline, "no ledger was closed"
            await asyncio.sleep(1)
        return now

    async def funded(self) -> Keypair:
        """A new account with ten thousand lumens."""
        pair = Keypair.random()
        answer = await self.client.get(f"{self.url}/friendbot", params={"addr": pair.public_key})
        assert answer.status_code == 200, answer.text
        return pair

    async def send(
        self, source: Keypair, *operations: Operation, memo: Memo | None = None, others: Sequence[Keypair] = ()
    ) -> tuple[str, int]:
        """A transaction's hash and ledger, when one has it and it has succeeded."""
        envelope = await self.envelope(source, *operations, memo=memo, others=others)
        await self.hand_in(envelope)
        name = envelope.hash_hex()
        found = await self.settled(name)
        assert found["successful"], found
        return name, found["ledger"]

    async def envelope(
        self, source: Keypair, *operations: Operation, memo: Memo | None = None, others: Sequence[Keypair] = ()
    ) -> TransactionEnvelope:
        """A signed transaction of what its account says is its next number."""
        found = await self.get(f"/accounts/{source.public_key}")
        assert "sequence" in found, found
        number = int(found["sequence"]) + 1
        transaction = Transaction(source.public_key, number, 1_000 * len(operations), operations, memo)
        envelope = TransactionEnvelope(transaction, self.passphrase)
        for pair in (source, *others):
            envelope.sign(pair)
        return envelope

    async def hand_in(self, envelope: TransactionEnvelope | FeeBumpTransactionEnvelope) -> None:
        answer = await self.client.post(f"{self.url}/transactions_async", data={"tx": envelope.to_xdr()})
        assert answer.status_code == 201, answer.text

    async def settled(self, name: str) -> dict[str, Any]:
        """The transaction when a ledger has it."""
        await self.next_ledger()
        deadline = time.monotonic() + LEDGER_TIMEOUT_S
        while (answer := await self.client.get(f"{self.url}/transactions/{name}")).status_code != 200:
            assert time.monotonic() < deadline, answer.text
            await asyncio.sleep(0.5)
        found: dict[str, Any] = answer.json()
        return found

    async def issued(self, issuer: Keypair, holder: Keypair, amount: str) -> str:
        """A token of the issuer's own that the holder has so much of."""
        asset = Asset("TEST", issuer.public_key)
        await self.send(
            holder,
            ChangeTrust(asset),
            Payment(holder.public_key, asset, amount, source=issuer.public_key),
            others=[issuer],
        )
        return f"TEST:{issuer.public_key}"


@dataclass
class House:
    """A hot account and channels from one seed, as the signer has them."""

    net: Net
    seed: bytes
    hot: str
    channels: list[str]

    @classmethod
    async def open(cls, net: Net, *, channels: int = 1) -> House:
        """With its accounts on the chain."""
        seed = os.urandom(64)
        hot = keys.addresses(seed, purpose="hot", first=0, count=1, network=net.network)[0]
        others = keys.addresses(seed, purpose="channel", first=0, count=channels, network=net.network)
        giver = await net.funded()
        await net.send(giver, CreateAccount(hot, "5000"), *(CreateAccount(each, "2") for each in others))
        return cls(net, seed, hot, others)

    def places(self) -> dict[str, Place]:
        found = {self.hot: Place(purpose="hot", index=0)}
        return found | {each: Place(purpose="channel", index=number) for number, each in enumerate(self.channels)}

    async def allocation(self, chain: port.Chain, *, channel: int = 0, life_s: float = 120) -> Allocation:
        """The next number of a channel, for so long."""
        source = self.channels[channel]
        return Allocation(
            source=source,
            change=self.hot,
            nonce=await chain.next_nonce(source),
            expires_at=datetime.now(UTC) + timedelta(seconds=life_s),
        )

    async def signed(
        self, chain: port.Chain, payments: Sequence[port.Payment], allocation: Allocation, rate: port.Rate = RATE
    ) -> Signed:
        """Built, read and signed."""
        unsigned = await chain.build(payments, allocation, rate=rate)
        shown = signing.read(unsigned.payload, network=self.net.network)
        assert (list(shown.payments), shown.fee_max) == (list(payments), unsigned.fee_max)
        return signing.sign(unsigned.payload, self.seed, places=self.places(), network=self.net.network)


def inner_of(signed: Signed, net: Net) -> TransactionEnvelope:
    """The transaction within a fee bump, with its signatures: what a stranger sees on the way."""
    outer = FeeBumpTransactionEnvelope.from_xdr(base64.b64encode(signed.raw).decode(), net.passphrase)
    return outer.transaction.inner_transaction_envelope


def arrived(block: Block | None, address: str) -> list[Movement]:
    """What a ledger brought an address."""
    assert block is not None
    return [each for each in block.movements if each.address == address]
