"""Money of the ledger leaves on a Stellar, numbered by channels: custody, adapter and signatures are the real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import pytest
from stellar_sdk import Keypair

from billfold.app.migrate import SETS
from billfold.chains.nodes import Nodes
from billfold.chains.port import Signed
from billfold.chains.signing_port import Place
from billfold.chains.stellar import keys, signing
from billfold.chains.stellar.adapter import Stellar
from billfold.custody.contracts.withdrawals import Withdrawal, WithdrawalTerms
from billfold.custody.service.withdrawals import Withdrawals
from billfold.kernel import ids
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.signer.contracts import Expected
from tests import servers
from tests.integration.chains.stellar.net import XLM
from tests.integration.withdrawals.support import HOT, Office
from tests.servers.devnets import DevnetServer


class Chain(Stellar):
    """The adapter, with what the office asks of a chain that it can drive."""

    def __init__(self, server: DevnetServer, hot: str) -> None:
        super().__init__(Nodes(network="sandbox", urls=[server.url]))
        self._server = server
        self._hot = hot

    def fund(self, to: str, amount: int, *, token: str | None = None) -> None:
        assert (to, token) == (HOT, None)
        self._server.faucet(self._hot, f"{amount // XLM}.{amount % XLM:07d}")

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
    """An office on that chain, with two channels, and one that nobody has opened yet."""

    chain: Any

    def __init__(self, dsn: str, database: Database, ledger: Ledger, server: DevnetServer) -> None:
        self.seed = seed = ids.new().bytes * 4
        self.hot = keys.addresses(seed, purpose="hot", first=0, count=1, network="sandbox")[0]
        self.channels = keys.addresses(seed, purpose="channel", first=0, count=2, network="sandbox")
        self.server = server
        chain: Any = Chain(server, self.hot)
        terms = WithdrawalTerms(confirmations=1)
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
        [absent] = keys.addresses(self.seed, purpose="channel", first=2, count=1, network="sandbox")
        channels = [*self.channels, absent]
        places = [(self.hot, "hot", 0), *((one, "channel", number) for number, one in enumerate(channels))]
        async with self.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO custody.trees (chain, network, tree_id, created_at) "
                "VALUES ('stellar', 'sandbox', $1, now())",
                ids.new(),
            )
            for address, purpose, place in places:
                await connection.execute(
                    "INSERT INTO custody.addresses (chain, address, purpose, place, created_at) "
                    "VALUES ('stellar', $1, $2, $3, now())",
                    *(address, purpose, place),
                )
                if address != absent:
                    self.server.faucet(address, "2")
        self.server.mine()
        self.held_before = await self.holdings()

    async def holdings(self) -> int:
        return int(await self.chain.balance(self.hot, token=None, height=0))

    async def check_conserved(self, *withdrawals: Withdrawal) -> None:
        """The chain holds what the ledger says, all of it in one account, and everybody got what they were sent."""
        assert (await self.ledger.verify()).faults == []
        posted, _ = await self.posted(await self.house.account(kind="omnibus", asset="XLM"))
        assert -posted == await self.holdings() - self.held_before
        for one in self.channels:
            assert await self.chain.balance(one, token=None, height=0) == 2 * XLM
        for gone in withdrawals:
            arrived = await self.chain.balance(gone.address, token=None, height=0)
            assert arrived == (gone.amount if gone.status == "settled" else 0)

    async def until_sent(self, withdrawal_id: UUID) -> Withdrawal:
        for _ in range(10):
            await self.work()
            found = await self.look(withdrawal_id)
            if found.chain_tx is not None and found.status == "sent":
                return found
        raise AssertionError("it was not sent")


@pytest.fixture
async def branch(postgres_server: servers.PostgresServer, stellar_server: DevnetServer) -> AsyncIterator[Branch]:
    dsn = postgres_server.create_database(SETS).app_dsn
    database = await Database.connect(dsn, name="test")
    ledger = await Ledger.start(database=database)
    made = Branch(dsn, database, ledger, stellar_server)
    try:
        await made.furnish()
        yield made
    finally:
        await made.chain.close()
        await ledger.close()
        await database.close()


def nobody() -> str:
    """An account that is not there yet."""
    return Keypair.random().public_key


async def test_payments_leave_by_channels_and_the_chain_holds_what_the_ledger_says(branch: Branch) -> None:
    account = await branch.customer(100 * XLM)
    asked = [(await branch.request(account, 5 * XLM + number, nobody())).withdrawal for number in range(3)]

    ended = await branch.finish(*(one.id for one in asked))

    assert {one.status for one in ended} == {"settled"}
    assert all(one.fee_paid for one in ended)
    await branch.check_conserved(*ended)


async def test_a_fee_that_is_raised_replaces_the_transaction_and_only_one_is_mined(branch: Branch) -> None:
    account = await branch.customer(100 * XLM)
    asked = (await branch.request(account, 20 * XLM, nobody())).withdrawal
    first = await branch.until_sent(asked.id)

    await branch.bump(asked.id)
    (ended,) = await branch.finish(asked.id)

    assert ended.status == "settled"
    assert ended.chain_tx != first.chain_tx
    await branch.check_conserved(ended)


async def test_what_is_cancelled_in_time_uses_its_number_up_and_pays_nobody(branch: Branch) -> None:
    account = await branch.customer(100 * XLM)
    asked = (await branch.request(account, 20 * XLM, nobody())).withdrawal
    await branch.until_sent(asked.id)

    await branch.withdrawals.cancel(withdrawal_id=asked.id)
    (ended,) = await branch.finish(asked.id)

    assert ended.status == "cancelled"
    await branch.check_conserved(ended)
