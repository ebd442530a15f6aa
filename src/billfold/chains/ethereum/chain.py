"""All of Ethereum for custody: each concern is a module of its own, put together here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from billfold.chains import errors
from billfold.chains.ethereum import addresses, fees, sending
from billfold.chains.ethereum.building import Building
from billfold.chains.ethereum.node import Node, Tag
from billfold.chains.ethereum.watching import Watching
from billfold.chains.nodes import Nodes
from billfold.chains.nodes.failures import CallRefused
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
    Payment,
    Rate,
    Signed,
    Sought,
    Speed,
    Unsigned,
)


class Ethereum:
    """One network of Ethereum, by its nodes."""

    name = "ethereum"
    model: Model = "nonce"
    coin = "ETH"

    def __init__(self, nodes: Nodes) -> None:
        self.network = nodes.network
        tokens = frozenset(addresses.canonical(token) for token in nodes.tokens)
        self._node = Node(nodes)
        self._watching = Watching(self._node, tokens)
        self._building = Building(self._node, tokens)

    async def check(self) -> None:
        """Pass if the nodes are of this network."""
        await self._node.check()

    async def close(self) -> None:
        """Give up connections."""
        await self._node.close()

    async def head(self) -> Head:
        """The last block."""
        return await self._watching.head()

    async def block(self, height: int) -> Block | None:
        """A block with what it moved."""
        return await self._watching.block(height)

    async def pending(self) -> Sequence[Movement]:
        """What waits, as far as it can be read without executing it."""
        return await self._watching.pending()

    def canonical(self, text: str) -> tuple[str, None]:
        """The address with its checksum."""
        return addresses.canonical(text), None

    async def examine(self, address: str, *, memo: str | None, token: str | None, amount: int) -> Destination:
        """What would become of a payment."""
        return await self._building.examine(address, memo=memo, token=token, amount=amount)

    async def rates(self) -> Mapping[Speed, Rate]:
        """What is offered now."""
        return await fees.rates(self._node)

    async def estimate(self, payments: Sequence[Payment], *, source: str, rate: Rate) -> int:
        """The highest fee."""
        return await self._building.estimate(payments, source=source, rate=rate)

    def coin_fee(self, *, rate: Rate) -> int:  # noqa: ARG002 - the port's
        return 0

    async def hastening(self, chain_tx: str, *, to: str, rate: Rate) -> Hastening | None:  # noqa: ARG002 - the port's
        """Not of this chain."""
        raise AssertionError("Ethereum's transactions use up no coins")

    async def sponsored(self, owner: str, *, token: str, payer: str, rate: Rate) -> tuple[int, int] | None:  # noqa: ARG002
        return None

    def raised(self, rate: Rate) -> Rate:
        """An eighth more of both."""
        return fees.raised(rate)

    async def anchor(self) -> NoReturn:
        """Nothing of the kind is here."""
        raise errors.PaymentInvalid("Transactions of Ethereum stand on no recent block.")

    async def nonce_accounts(self, source: str, *, count: int) -> Sequence[str]:  # noqa: ARG002 - the port's
        """There are none here."""
        return ()

    async def durable_anchor(self, account: str, *, source: str) -> str | None:  # noqa: ARG002 - the port's
        """Not of this chain."""
        raise AssertionError("Ethereum's transactions are numbered")

    async def next_nonce(self, source: str) -> int:
        """The next number of a source, by the blocks."""
        return await self._node.nonce(addresses.canonical(source), "latest")

    def choose(self, coins: Sequence[Coin], payments: Sequence[Payment], *, rate: Rate) -> Sequence[Coin]:
        """None: there are no coins to choose from."""
        del coins, payments, rate
        return ()

    async def build(self, payments: Sequence[Payment], allocation: Allocation, *, rate: Rate) -> Unsigned:
        """The transaction of one payment."""
        return await self._building.build(payments, allocation, rate=rate)

    async def broadcast(self, signed: Signed) -> None:
        """Hand it over."""
        await sending.broadcast(self._node, signed)

    async def find(self, signed: Signed, allocation: Allocation) -> Found:
        """What has become of it."""
        return await sending.find(self._node, signed, allocation)

    async def seek(self, payload: bytes, allocation: Allocation) -> Sought:
        """What has become of one that others were to sign."""
        return await sending.seek(self._node, payload, allocation)

    async def balance(self, address: str, *, token: str | None, height: int) -> int:
        """What an address holds after a block, or now where the node has forgotten that."""
        address = addresses.canonical(address)
        try:
            return await self._balance(address, token, height)
        except CallRefused:
            return await self._balance(address, token, "latest")

    async def missing(self, coins: Sequence[Coin]) -> Sequence[Coin]:  # noqa: ARG002 - the port's
        """There are no coins here."""
        return ()

    async def _balance(self, address: str, token: str | None, at: int | Tag) -> int:
        if token is None:
            return await self._node.balance(address, at)
        return await self._node.token_balance(addresses.canonical(token), address, at)
