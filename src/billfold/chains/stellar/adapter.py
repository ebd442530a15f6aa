"""Stellar as custody knows chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from billfold.chains import errors
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
    Payment,
    Rate,
    Signed,
    Sought,
    Speed,
    Unsigned,
)
from billfold.chains.stellar import addresses, building, fees, sending, watching
from billfold.chains.stellar.horizon import Horizon
from billfold.chains.stellar.networks import PASSPHRASES


class Stellar:
    """All of the chain; each method says what the port says."""

    name = "stellar"
    model: Model = "nonce"
    coin = "XLM"

    def __init__(self, nodes: Nodes) -> None:
        self.network = nodes.network
        self._passphrase = PASSPHRASES[nodes.network]
        self._tokens = frozenset(nodes.tokens)
        self._horizon = Horizon(nodes)

    async def check(self) -> None:
        """Pass if the nodes are of this network."""
        for root in await self._horizon.roots():
            if root.get("network_passphrase") != self._passphrase:
                raise errors.NodeWrong("A node of Stellar is of another network.")

    async def close(self) -> None:
        """Give up connections."""
        await self._horizon.close()

    # --- watch ------------------------------------------------------------------------------------------------

    async def head(self) -> Head:
        """The last ledger."""
        return (await self._horizon.last()).head()

    async def block(self, height: int) -> Block | None:
        """A ledger with all that it moved."""
        return await watching.block(self._horizon, height, tokens=self._tokens)

    async def pending(self) -> Sequence[Movement]:
        """Horizon shows nothing that no ledger has."""
        return ()

    # --- addresses --------------------------------------------------------------------------------------------

    def canonical(self, text: str) -> tuple[str, str | None]:
        """The account's address, and the number that is part of a muxed one."""
        return addresses.canonical(text)

    async def examine(self, address: str, *, memo: str | None, token: str | None, amount: int) -> Destination:
        """What would become of a payment."""
        return await addresses.examine(self._horizon, address, memo=memo, token=token, amount=amount)

    # --- fees -------------------------------------------------------------------------------------------------

    async def rates(self) -> Mapping[Speed, Rate]:
        """What is offered now."""
        return await fees.rates(self._horizon)

    async def estimate(self, payments: Sequence[Payment], *, source: str, rate: Rate) -> int:  # noqa: ARG002 - it is the same for every source
        """The highest fee of a transaction with these payments."""
        return fees.estimate(len(payments), rate=rate)

    def coin_fee(self, *, rate: Rate) -> int:  # noqa: ARG002 - the port's
        return 0

    async def hastening(self, chain_tx: str, *, to: str, rate: Rate) -> Hastening | None:  # noqa: ARG002 - the port's
        """Not of this chain."""
        raise AssertionError("Stellar's transactions use up no coins")

    async def sponsored(self, owner: str, *, token: str, payer: str, rate: Rate) -> tuple[int, int] | None:  # noqa: ARG002
        return None

    def raised(self, rate: Rate) -> Rate:
        """The least rate of a fee bump that replaces."""
        return fees.raised(rate)

    # --- build ------------------------------------------------------------------------------------------------

    async def anchor(self) -> tuple[str, int]:
        """Only chains of the model `recent_block` have one."""
        raise AssertionError("a transaction of Stellar has no recent block in it")

    async def nonce_accounts(self, source: str, *, count: int) -> Sequence[str]:  # noqa: ARG002 - the port's
        """There are none here."""
        return ()

    async def durable_anchor(self, account: str, *, source: str) -> str | None:  # noqa: ARG002 - the port's
        """Not of this chain."""
        raise AssertionError("Stellar's transactions are numbered")

    async def next_nonce(self, source: str) -> int:
        """The sequence number after the account's last.

        Raises:
            FundsShort: the account is not there yet.
        """
        account = await self._horizon.account(source)
        if account is None:
            raise errors.FundsShort(
                "The account that gives the sequence number is not there yet: it needs its reserve."
            )
        return account.sequence + 1

    def choose(self, coins: Sequence[Coin], payments: Sequence[Payment], *, rate: Rate) -> Sequence[Coin]:  # noqa: ARG002 - there are none
        """There are no coins to choose from."""
        return ()

    async def build(self, payments: Sequence[Payment], allocation: Allocation, *, rate: Rate) -> Unsigned:
        """The transaction within its fee bump."""
        return await building.build(self._horizon, payments, allocation, rate=rate, passphrase=self._passphrase)

    # --- broadcast and prove ----------------------------------------------------------------------------------

    async def broadcast(self, signed: Signed) -> None:
        """Hand it over."""
        await sending.broadcast(self._horizon, signed, passphrase=self._passphrase)

    async def find(self, signed: Signed, allocation: Allocation) -> Found:
        """What has become of it."""
        return await sending.find(self._horizon, signed, allocation, passphrase=self._passphrase)

    async def seek(self, payload: bytes, allocation: Allocation) -> Sought:
        """What has become of one that others were to sign."""
        return await sending.seek(self._horizon, payload, allocation, passphrase=self._passphrase)

    async def missing(self, coins: Sequence[Coin]) -> Sequence[Coin]:  # noqa: ARG002 - the port's
        """There are no coins here."""
        return ()

    async def balance(self, address: str, *, token: str | None, height: int) -> int:
        """What the account holds now, as nodes say that have the ledger of this height."""
        line = await self._horizon.line(address, token, at=height)
        return 0 if line is None else line.balance
