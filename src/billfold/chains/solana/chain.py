"""The adapter: each concern of the port, in the modules beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from billfold.chains.errors import NodeWrong, NotReplaceable, PaymentInvalid
from billfold.chains.nodes import Nodes
from billfold.chains.port import (
    Allocation,
    Block,
    Coin,
    Destination,
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
from billfold.chains.solana import (
    addresses,
    building,
    durable,
    fees,
    holding,
    nonces,
    seeking,
    sending,
    sponsoring,
    watching,
)
from billfold.chains.solana.node import Node

#: The first blocks of the public networks, by which they are told apart.
_MAIN = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
_TESTS = frozenset(
    {
        "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",  # devnet
        "4uhcVJyU9pJkvQyS88uRDiswHSCkY3zQawwpjk2NsNY",  # testnet
    }
)


class Solana:
    """Solana by the JSON-RPC of its nodes."""

    name = "solana"
    model: Model = "recent_block"
    coin = "SOL"

    def __init__(self, nodes: Nodes) -> None:
        self.network: Network = nodes.network
        self._tokens = frozenset(nodes.tokens)
        self._node = Node(nodes)
        self._builder = building.Builder(self._node, self._tokens)

    async def check(self) -> None:
        """Pass if the nodes are of this network; a chain of one's own is any but the public ones."""
        for found in await self._node.genesis_hashes():
            network = "main" if found == _MAIN else "test" if found in _TESTS else "sandbox"
            if network != self.network:
                raise NodeWrong(f"A node of Solana is of the network {network}, and not of {self.network}.")
        for token in sorted(self._tokens):
            try:
                await self._builder.decimals(token)
            except PaymentInvalid as error:
                raise NodeWrong(f"On this network, {token} is no token: {error.detail}") from error

    async def close(self) -> None:
        await self._node.close()

    async def head(self) -> Head:
        tip = await self._node.tip()
        return Head(height=tip.slot, hash=tip.hash, time=tip.time)

    async def block(self, height: int) -> Block | None:
        return await self._node.block(height, watching.reader(height, self._tokens))

    async def pending(self) -> Sequence[Movement]:
        """None ever: Solana has no room where transactions wait."""
        return ()

    def canonical(self, text: str) -> tuple[str, str | None]:
        return addresses.canonical(text), None

    async def examine(self, address: str, *, memo: str | None, token: str | None, amount: int) -> Destination:
        return await addresses.examine(self._node, self._tokens, address, memo=memo, token=token, amount=amount)

    async def rates(self) -> Mapping[Speed, Rate]:
        return fees.rates(await self._node.recent_fees())

    async def estimate(self, payments: Sequence[Payment], *, source: str, rate: Rate) -> int:
        return fees.estimate(payments, source=source, rate=rate)

    def coin_fee(self, *, rate: Rate) -> int:  # noqa: ARG002 - the port's
        return 0

    async def hastening(self, chain_tx: str, *, to: str, rate: Rate) -> Hastening | None:  # noqa: ARG002 - the port's
        """Not of this chain."""
        raise AssertionError("Solana's transactions use up no coins")

    async def sponsored(self, owner: str, *, token: str, payer: str, rate: Rate) -> tuple[int, int] | None:
        return await sponsoring.sponsored(self._node, owner, token=token, payer=payer, rate=rate)

    def raised(self, rate: Rate) -> Rate:  # noqa: ARG002 - none is ever high enough
        raise NotReplaceable

    async def anchor(self) -> tuple[str, int]:
        return building.anchor(await self._node.final())

    async def nonce_accounts(self, source: str, *, count: int) -> Sequence[str]:
        return nonces.accounts(source, count=count)

    async def durable_anchor(self, account: str, *, source: str) -> str | None:
        return await durable.fresh(self._node, account, source=source)

    async def next_nonce(self, source: str) -> int:  # noqa: ARG002 - nobody has one
        """Zero: nothing here is numbered."""
        return 0

    def choose(self, coins: Sequence[Coin], payments: Sequence[Payment], *, rate: Rate) -> Sequence[Coin]:  # noqa: ARG002
        """None: what an address holds is one sum."""
        return ()

    async def build(self, payments: Sequence[Payment], allocation: Allocation, *, rate: Rate) -> Unsigned:
        return await self._builder.build(payments, allocation, rate=rate)

    async def broadcast(self, signed: Signed) -> None:
        await self._node.send(signed.raw, signed.chain_tx)

    async def find(self, signed: Signed, allocation: Allocation) -> Found:
        return await sending.find(self._node, signed, allocation)

    async def seek(self, payload: bytes, allocation: Allocation) -> Sought:
        return await seeking.seek(self._node, payload, allocation)

    async def missing(self, coins: Sequence[Coin]) -> Sequence[Coin]:  # noqa: ARG002 - the port's
        """There are no coins here."""
        return ()

    async def balance(self, address: str, *, token: str | None, height: int) -> int:
        if token is None:
            return await self._node.lamports(address, slot=height)
        return await holding.balance(self._node, address, token, slot=height)
