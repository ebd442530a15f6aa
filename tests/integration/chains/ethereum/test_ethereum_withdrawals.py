"""Money of the ledger leaves on our own Ethereum: custody, adapter, signatures and virtual machine are real ones."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from billfold.app.migrate import SETS
from billfold.chains.ethereum import keys, signing
from billfold.chains.ethereum.chain import Ethereum
from billfold.chains.nodes import Nodes
from billfold.chains.port import Signed
from billfold.chains.signing_port import Place
from billfold.custody.contracts.withdrawals import Withdrawal, WithdrawalTerms
from billfold.custody.service.withdrawals import Withdrawals
from billfold.devnet.ethereum.faucet import USDC
from billfold.kernel import ids, money
from billfold.kernel.assets import Asset
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.signer.contracts import Expected
from tests import servers
from tests.integration.chains.ethereum.world import ETH, somebody
from tests.integration.withdrawals.support import TOKEN_ASSET, Office
from tests.servers.devnets import DevnetServer

HOT = Place(purpose="hot", index=0)


class Chain(Ethereum):
    """The adapter, with what the office asks of a chain that it can drive."""

    def __init__(self, server: DevnetServer, hot: str) -> None:
        super().__init__(Nodes(network="sandbox", urls=[server.url], tokens=(USDC,), timeout_s=30))
        self._server = server
        self._hot = hot

    def fund(self, to: str, amount: int, *, token: str | None = None) -> None:
        del to
        contract, scale = (None, 18) if token is None else (USDC, 6)
        self._server.faucet(self._hot, money.format(amount, scale), token=contract)

    def mine(self, blocks: int = 1) -> None:
        self._server.mine(blocks)


class Pen:
    """Signs what is what was expected."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed

    async def sign(self, *, payload: bytes, places: Mapping[str, Place], expected: Expected, **_: Any) -> Signed:
        shown = signing.read(payload, network="sandbox")
        assert list(shown.payments) == list(expected.payments)
        assert shown.fee_max <= expected.fee_max
        return signing.sign(payload, self._seed, places=places, network="sandbox")


class Branch(Office):
    """An office whose chain is real."""

    chain: Any

    def __init__(self, dsn: str, database: Database, ledger: Ledger, server: DevnetServer) -> None:
        terms = WithdrawalTerms(confirmations=2, house_fee_max="0.01")
        seed = secrets.token_bytes(64)
        self.hot = keys.addresses(seed, purpose="hot", first=0, count=1, network="sandbox")[0]
        chain: Any = Chain(server, self.hot)
        super().__init__(dsn, database, ledger, chain, terms)
        pen: Any = Pen(seed)
        self.withdrawals = Withdrawals(
            database=database,
            ledger=ledger,
            house=self.house,
            chains={chain.name: chain},
            terms={chain.name: terms},
            signer=pen,
            clock=self.clock,
        )

    async def furnish(self) -> None:
        async with self.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO custody.trees (chain, network, tree_id, created_at) "
                "VALUES ('ethereum', 'sandbox', $1, now())",
                ids.new(),
            )
            await connection.execute(
                "INSERT INTO custody.addresses (chain, address, purpose, place, created_at) "
                "VALUES ('ethereum', $1, 'hot', $2, now())",
                *(self.hot, HOT.index),
            )
        asset = Asset(code=TOKEN_ASSET, scale=6, kind="token", name="Token", chain="ethereum", contract=USDC)
        await self.ledger.add_asset(asset=asset)

    async def held(self, token: str | None = None, address: str | None = None) -> int:
        head = await self.chain.head()
        units: int = await self.chain.balance(address or self.hot, token=token, height=head.height)
        return units

    async def check_conserved(self, *withdrawals: Withdrawal) -> None:
        """The chain holds what the ledger says, and each destination got its money once, or never."""
        assert (await self.ledger.verify()).faults == []
        for asset, token in (("ETH", None), (TOKEN_ASSET, USDC)):
            posted, _ = await self.posted(await self.house.account(kind="omnibus", asset=asset))
            assert -posted == await self.held(token)
        for one in withdrawals:
            there = await self.held(USDC if one.asset == TOKEN_ASSET else None, one.address)
            assert there == (one.amount if one.status == "settled" else 0)

    async def sent(self, withdrawal: Withdrawal) -> Withdrawal:
        for _ in range(10):
            await self.work()
            found = await self.look(withdrawal.id)
            if found.chain_tx is not None and found.status == "sent":
                return found
        raise AssertionError("it was not sent")


@pytest.fixture
async def branch(postgres_server: servers.PostgresServer, ethereum_server: DevnetServer) -> AsyncIterator[Branch]:
    dsn = postgres_server.create_database(SETS).app_dsn
    database = await Database.connect(dsn, name="test")
    ledger = await Ledger.start(database=database)
    made = Branch(dsn, database, ledger, ethereum_server)
    try:
        await made.furnish()
        yield made
    finally:
        await made.chain.close()
        await ledger.close()
        await database.close()


async def test_coins_and_tokens_leave_in_the_order_of_their_numbers_and_the_books_agree(branch: Branch) -> None:
    await branch.endow(ETH)
    account = await branch.customer(5 * ETH)
    tokens = await branch.customer(9_000_000, asset=TOKEN_ASSET)
    asked = [(await branch.request(account, ETH + number, somebody())).withdrawal for number in range(2)]
    asked.append((await branch.request(tokens, 4_000_000, somebody(), asset=TOKEN_ASSET)).withdrawal)

    ended = await branch.finish(*(one.id for one in asked))

    assert {one.status for one in ended} == {"settled"}
    assert len({one.chain_tx for one in ended}) == 3
    await branch.check_conserved(*ended)


async def test_a_transaction_that_a_reorganisation_dropped_is_sent_again_as_it_was(
    branch: Branch, ethereum_server: DevnetServer
) -> None:
    account = await branch.customer(2 * ETH)
    ethereum_server.mine(3)
    sent = await branch.sent((await branch.request(account, ETH, somebody())).withdrawal)
    ethereum_server.mine()
    await branch.work()

    ethereum_server.reorg(1, drop=True)
    (ended,) = await branch.finish(sent.id)

    assert (ended.status, ended.chain_tx) == ("settled", sent.chain_tx)
    await branch.check_conserved(ended)
