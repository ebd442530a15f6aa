"""Money of the ledger leaves on our own Solana: custody, adapter, signatures and programs are the real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from billfold.app.migrate import SETS
from billfold.chains.nodes import Nodes
from billfold.chains.port import Signed
from billfold.chains.signing_port import Place
from billfold.chains.solana import signing
from billfold.chains.solana.chain import Solana
from billfold.custody.contracts.withdrawals import Withdrawal, WithdrawalTerms
from billfold.custody.service.withdrawals import Withdrawals
from billfold.kernel import ids
from billfold.kernel.assets import Asset
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.signer.contracts import Expected
from tests import servers
from tests.integration.chains.solana.networks import SOL, USDC, Payer, somebody
from tests.integration.withdrawals.support import TOKEN_ASSET, Office
from tests.servers.solana import SolanaServer

#: Of the token account that is opened for whoever had none.
RENT = 2_039_280


class Chain(Solana):
    """The adapter, with what the office asks of a chain that it can drive."""

    def __init__(self, server: SolanaServer, hot: str) -> None:
        super().__init__(Nodes(network="sandbox", urls=[server.url], tokens=(USDC,), timeout_s=30))
        self._server = server
        self._hot = hot

    def fund(self, to: str, amount: int, *, token: str | None = None) -> None:
        del to
        mint, scale = (None, 9) if token is None else (USDC, 6)
        self._server.faucet(self._hot, f"{amount // 10**scale}.{amount % 10**scale:0{scale}d}", token=mint)

    def mine(self, blocks: int = 1) -> None:
        self._server.mine(blocks)


class Pen:
    """Signs what is what was expected."""

    def __init__(self, payer: Payer) -> None:
        self._payer = payer

    async def sign(self, *, payload: bytes, places: Mapping[str, Place], expected: Expected, **_: Any) -> Signed:
        shown = signing.read(payload, network="sandbox")
        assert list(shown.payments) == list(expected.payments)
        assert shown.fee_max <= expected.fee_max
        return signing.sign(payload, self._payer.seed, places=places, network="sandbox")


class Branch(Office):
    """An office whose chain is real."""

    chain: Any

    def __init__(self, dsn: str, database: Database, ledger: Ledger, server: SolanaServer) -> None:
        terms = WithdrawalTerms(confirmations=2, house_fee_max="0.01")
        self.payer = Payer()
        chain: Any = Chain(server, self.payer.address)
        super().__init__(dsn, database, ledger, chain, terms)
        pen: Any = Pen(self.payer)
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
                "VALUES ('solana', 'sandbox', $1, now())",
                ids.new(),
            )
            await connection.execute(
                "INSERT INTO custody.addresses (chain, address, purpose, place, created_at) "
                "VALUES ('solana', $1, 'hot', $2, now())",
                *(self.payer.address, self.payer.place.index),
            )
        asset = Asset(code=TOKEN_ASSET, scale=6, kind="token", name="Token", chain="solana", contract=USDC)
        await self.ledger.add_asset(asset=asset)

    async def held(self, token: str | None = None) -> int:
        units: int = await self.chain.balance(self.payer.address, token=token, height=0)
        return units

    async def check_conserved(self, *withdrawals: Withdrawal) -> None:
        """The chain holds what the ledger says, and each destination got its money once, or never."""
        assert (await self.ledger.verify()).faults == []
        for asset, token in (("SOL", None), (TOKEN_ASSET, USDC)):
            posted, _ = await self.posted(await self.house.account(kind="omnibus", asset=asset))
            assert -posted == await self.held(token)
        for one in withdrawals:
            token = USDC if one.asset == TOKEN_ASSET else None
            there = await self.chain.balance(one.address, token=token, height=0)
            assert there == (one.amount if one.status == "settled" else 0)

    async def sent(self, withdrawal: Withdrawal) -> Withdrawal:
        for _ in range(10):
            await self.work()
            found = await self.look(withdrawal.id)
            if found.chain_tx is not None and found.status == "sent":
                return found
        raise AssertionError("it was not sent")


@pytest.fixture
async def branch(postgres_server: servers.PostgresServer, solana_server: SolanaServer) -> AsyncIterator[Branch]:
    dsn = postgres_server.create_database(SETS).app_dsn
    database = await Database.connect(dsn, name="test")
    ledger = await Ledger.start(database=database)
    made = Branch(dsn, database, ledger, solana_server)
    try:
        await made.furnish()
        yield made
    finally:
        await made.chain.close()
        await ledger.close()
        await database.close()


async def test_payments_leave_at_the_same_time_and_the_chain_holds_what_the_ledger_says(branch: Branch) -> None:
    account = await branch.customer(5 * SOL)
    asked = [(await branch.request(account, SOL + number, somebody())).withdrawal for number in range(3)]

    ended = await branch.finish(*(one.id for one in asked))

    assert {one.status for one in ended} == {"settled"}
    assert len({one.chain_tx for one in ended}) == 3
    await branch.check_conserved(*ended)


async def test_tokens_leave_to_one_who_had_none_and_the_house_opens_their_account(branch: Branch) -> None:
    await branch.endow(SOL)
    account = await branch.customer(9_000_000, asset=TOKEN_ASSET)
    asked = (await branch.request(account, 4_000_000, somebody(), asset=TOKEN_ASSET)).withdrawal

    (ended,) = await branch.finish(asked.id)

    assert ended.status == "settled"
    assert await branch.held() < SOL - RENT
    await branch.check_conserved(ended)


async def test_a_transaction_that_a_fork_dropped_is_sent_again_as_it_was(
    branch: Branch, solana_server: SolanaServer
) -> None:
    account = await branch.customer(2 * SOL)
    solana_server.mine(3)
    sent = await branch.sent((await branch.request(account, SOL, somebody())).withdrawal)
    solana_server.mine()
    await branch.work()

    solana_server.reorg(1, drop=True)
    (ended,) = await branch.finish(sent.id)

    assert (ended.status, ended.chain_tx) == ("settled", sent.chain_tx)
    await branch.check_conserved(ended)


async def test_a_transaction_that_no_block_took_in_time_is_made_anew_and_paid_once(
    branch: Branch, solana_server: SolanaServer
) -> None:
    account = await branch.customer(2 * SOL)
    solana_server.control("faults", lose=1)
    sent = await branch.sent((await branch.request(account, SOL, somebody())).withdrawal)
    solana_server.mine(200)

    (ended,) = await branch.finish(sent.id)

    assert ended.status == "settled"
    assert ended.chain_tx != sent.chain_tx
    await branch.check_conserved(ended)
