"""Money of the ledger leaves on a Bitcoin whose rules are the real ones: custody, adapter, signatures, node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import pytest

from billfold.app.migrate import SETS
from billfold.chains.bitcoin import signing
from billfold.chains.bitcoin.chain import Bitcoin
from billfold.chains.port import Signed
from billfold.chains.signing_port import Place
from billfold.custody.contracts.treasury import Band, TreasuryTerms
from billfold.custody.contracts.withdrawals import Withdrawal, WithdrawalTerms
from billfold.custody.service.withdrawals import Withdrawals
from billfold.kernel import ids
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.signer.contracts import Expected
from tests import servers
from tests.integration.chains.bitcoin_engines import SEED, Engine, Local, address
from tests.integration.withdrawals.support import HOT, Office
from tests.servers.devnets import DevnetServer

PLACES = {"hot": Place(purpose="hot", index=9_000), "change": Place(purpose="change", index=9_000)}
OURS = {name: address(place) for name, place in PLACES.items()}
ELSEWHERE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
WARM = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
BTC = 100_000_000


class Chain(Bitcoin):
    """The adapter, with what the office asks of a chain that it can drive."""

    def __init__(self, engine: Engine, server: DevnetServer) -> None:
        super().__init__(engine.nodes(), final_blocks=2)
        self._server = server

    def fund(self, to: str, amount: int, *, token: str | None = None) -> None:
        assert (to, token) == (HOT, None)
        self._server.faucet(OURS["hot"], f"{amount // BTC}.{amount % BTC:08d}")

    def mine(self, blocks: int = 1) -> None:
        self._server.mine(blocks)


class Pen:
    """Signs what is what was expected."""

    async def sign(self, *, payload: bytes, places: Mapping[str, Place], expected: Expected, **_: Any) -> Signed:
        shown = signing.read(payload, network="sandbox")
        wanted = list(expected.payments)
        for payment in shown.payments:
            if payment in wanted:
                wanted.remove(payment)
            else:
                assert payment.address in OURS.values()
        assert not wanted
        assert shown.fee_max <= expected.fee_max
        return signing.sign(payload, SEED, places=places, network="sandbox")


class Branch(Office):
    """An office whose chain is real."""

    chain: Any

    def __init__(self, dsn: str, database: Database, ledger: Ledger, chain: Any) -> None:
        bands = {"BTC": Band(low="0.01", target="0.02", high="0.5")}
        treasury = TreasuryTerms(
            warm=WARM, bands=bands, merge_below="0.006", merge_above=3, merge_rate={"sat_per_kvb": 1_000}
        )
        terms = WithdrawalTerms(confirmations=2, house_fee_max="0.001", treasury=treasury)
        super().__init__(dsn, database, ledger, chain, terms)
        pen: Any = Pen()
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
                "VALUES ('bitcoin', 'sandbox', $1, now())",
                ids.new(),
            )
            for purpose, place in PLACES.items():
                await connection.execute(
                    "INSERT INTO custody.addresses (chain, address, purpose, place, created_at) "
                    "VALUES ('bitcoin', $1, $2, $3, now())",
                    *(OURS[purpose], purpose, place.index),
                )
        self.first = (await self.chain.head()).height
        self.held_before = await self.holdings()

    async def watch(self) -> None:
        head = await self.chain.head()
        blocks = [await self.chain.block(height) for height in range(self.first + 1, head.height + 1)]
        spent = {(one.chain_tx, one.index): block.height for block in blocks for one in block.spent}
        async with self.database.transaction() as connection:
            await connection.execute("UPDATE custody.coins SET height = NULL, spent_height = NULL")
            for block in blocks:
                for one in block.movements:
                    if one.address in OURS.values():
                        await connection.execute(
                            "INSERT INTO custody.coins (chain, chain_tx, index, address, amount, height, spent_height) "
                            "VALUES ('bitcoin', $1, $2, $3, $4, $5, $6) ON CONFLICT (chain, chain_tx, index) "
                            "DO UPDATE SET height = excluded.height, spent_height = excluded.spent_height",
                            *(one.chain_tx, one.index, one.address, one.amount, block.height),
                            spent.get((one.chain_tx, one.index)),
                        )

    async def holdings(self) -> int:
        return sum([await self.chain.balance(one, token=None, height=0) for one in OURS.values()])

    async def check_conserved(self, *withdrawals: Withdrawal) -> None:  # noqa: ARG002 - all of them at once
        """The chain holds what the ledger says."""
        assert (await self.ledger.verify()).faults == []
        posted, _ = await self.posted(await self.house.account(kind="omnibus", asset="BTC"))
        assert -posted == await self.holdings() - self.held_before

    async def until_sent(self, withdrawal_id: UUID) -> Withdrawal:
        for _ in range(10):
            await self.work()
            found = await self.look(withdrawal_id)
            if found.chain_tx is not None and found.status == "sent":
                return found
        raise AssertionError("it was not sent")


@pytest.fixture
async def branch(postgres_server: servers.PostgresServer, bitcoin_server: DevnetServer) -> AsyncIterator[Branch]:
    dsn = postgres_server.create_database(SETS).app_dsn
    database = await Database.connect(dsn, name="test")
    ledger = await Ledger.start(database=database)
    chain: Any = Chain(Local(bitcoin_server), bitcoin_server)
    made = Branch(dsn, database, ledger, chain)
    try:
        await made.furnish()
        yield made
    finally:
        await chain.close()
        await ledger.close()
        await database.close()


async def test_payments_leave_in_one_transaction_and_the_chain_holds_what_the_ledger_says(branch: Branch) -> None:
    account = await branch.customer(BTC, coins=2)
    asked = [(await branch.request(account, 10_000_000 + number, ELSEWHERE)).withdrawal for number in range(3)]

    ended = await branch.finish(*(one.id for one in asked))

    assert {one.status for one in ended} == {"settled"}
    assert len({one.chain_tx for one in ended}) == 1
    assert all(one.fee_paid for one in ended)
    await branch.check_conserved(*ended)


async def test_many_small_coins_pay_a_withdrawal_and_are_made_into_one(branch: Branch) -> None:
    fees = await branch.house.account(kind="fees", asset="BTC")
    account = await branch.customer(7_000_000, coins=14)
    branch.chain.mine()
    await branch.watch()
    asked = (await branch.request(account, 5_500_000 - 10_000, ELSEWHERE)).withdrawal
    (ended,) = await branch.finish(asked.id)
    assert ended.status == "settled"
    # Eleven coins: the customer pays for as many as were estimated.
    assert ended.fee_paid == ended.network_fee
    assert (paid := (await branch.posted(fees))[0]) < 0

    before = await branch.withdrawals.coins(chain="bitcoin")
    assert await branch.withdrawals.merge(chain="bitcoin") == 1
    assert await branch.withdrawals.merge(chain="bitcoin") == 0
    await branch.finish()
    after = await branch.withdrawals.coins(chain="bitcoin")
    assert before.small == before.count >= 4
    assert (after.count, after.small, after.dust) == (1, 0, 0)
    assert (await branch.posted(fees))[0] < paid
    await branch.check_conserved(ended)


async def test_a_surplus_of_coins_goes_to_the_warm_address(branch: Branch) -> None:
    await branch.customer(BTC, coins=2)
    branch.chain.mine()
    await branch.watch()
    assert await branch.tend() == 1
    await branch.finish()
    warm = await branch.house.account(kind="warm", asset="BTC")
    assert await branch.posted(warm) == (-(BTC - 2_000_000), 0)
    await branch.check_conserved()


async def test_a_fee_that_is_raised_replaces_the_transaction_and_only_one_is_mined(branch: Branch) -> None:
    account = await branch.customer(BTC)
    branch.chain.mine()
    asked = (await branch.request(account, 20_000_000, ELSEWHERE)).withdrawal
    first = await branch.until_sent(asked.id)

    await branch.bump(asked.id)
    (ended,) = await branch.finish(asked.id)

    assert ended.status == "settled"
    assert ended.chain_tx != first.chain_tx
    await branch.check_conserved(ended)


async def test_a_transaction_that_a_reorganization_dropped_is_sent_again_as_it_was(
    branch: Branch, bitcoin_server: DevnetServer
) -> None:
    account = await branch.customer(BTC)
    branch.chain.mine()
    asked = (await branch.request(account, 30_000_000, ELSEWHERE)).withdrawal
    sent = await branch.until_sent(asked.id)
    bitcoin_server.mine()
    await branch.work()

    bitcoin_server.reorg(1, drop=True)
    (ended,) = await branch.finish(asked.id)

    assert (ended.status, ended.chain_tx) == ("settled", sent.chain_tx)
    await branch.check_conserved(ended)
