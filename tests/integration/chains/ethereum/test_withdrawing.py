"""Money of the ledger leaves on a real Ethereum: custody, adapter, signatures, node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from billfold.app.migrate import SETS
from billfold.chains.ethereum import signing
from billfold.chains.port import Chain, Signed
from billfold.chains.signing_port import Place
from billfold.custody.contracts import Withdrawal, WithdrawalTerms
from billfold.custody.service.withdrawals import Withdrawals
from billfold.kernel import ids
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.signer.contracts import Expected
from tests import servers
from tests.integration.chains.ethereum import world
from tests.integration.chains.ethereum.world import ETH, somebody
from tests.integration.withdrawals.support import Office
from tests.servers.devnets import DevnetServer


class Driven:
    """The adapter, with what the office asks of a chain that it can drive."""

    def __init__(self, house: world.House) -> None:
        self._house = house

    def __getattr__(self, name: str) -> Any:
        return getattr(self._house.chain, name)

    def fund(self, _to: str, amount: int, *, token: str | None = None) -> None:
        assert token is None
        self._house.server.faucet(self._house.hot, f"{amount // ETH}.{amount % ETH:018d}")

    def mine(self, blocks: int = 1) -> None:
        self._house.server.mine(blocks)


class Pen:
    """Signs what is what was expected."""

    def __init__(self, house: world.House) -> None:
        self._house = house

    async def sign(self, *, payload: bytes, places: Mapping[str, Place], expected: Expected, **_: Any) -> Signed:
        shown = signing.read(payload, network="sandbox")
        assert list(shown.payments) in (list(expected.payments), [])
        assert shown.fee_max <= expected.fee_max
        return signing.sign(payload, self._house.seed, places=places, network="sandbox")


class Branch(Office):
    """An office whose chain is real."""

    chain: Any

    def __init__(self, dsn: str, database: Database, ledger: Ledger, house: world.House) -> None:
        terms = WithdrawalTerms(confirmations=2)
        self.ours = house
        driven: Any = Driven(house)
        super().__init__(dsn, database, ledger, driven, terms)
        pen: Any = Pen(house)
        self.withdrawals = Withdrawals(
            database=database,
            ledger=ledger,
            house=self.house,
            chains={"ethereum": driven},
            terms={"ethereum": terms},
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
                "VALUES ('ethereum', $1, 'hot', 0, now())",
                self.ours.hot,
            )

    async def check_conserved(self, *withdrawals: Withdrawal) -> None:
        """The chain holds what the ledger says, and each destination got its money once, or never."""
        assert (await self.ledger.verify()).faults == []
        height = (await self.chain.head()).height
        posted, _ = await self.posted(await self.house.account(kind="omnibus", asset="ETH"))
        assert -posted == await self.chain.balance(self.ours.hot, token=None, height=height)
        for one in withdrawals:
            there = await self.chain.balance(one.address, token=None, height=height)
            assert there == (one.amount if one.status == "settled" else 0)


@pytest.fixture
async def branch(
    postgres_server: servers.PostgresServer, ethereum_server: DevnetServer, chain: Chain
) -> AsyncIterator[Branch]:
    dsn = postgres_server.create_database(SETS).app_dsn
    database = await Database.connect(dsn, name="test")
    ledger = await Ledger.start(database=database)
    made = Branch(dsn, database, ledger, world.House(ethereum_server, chain))
    try:
        await made.furnish()
        yield made
    finally:
        await ledger.close()
        await database.close()


async def test_payments_leave_one_after_the_other_and_the_chain_holds_what_the_ledger_says(branch: Branch) -> None:
    account = await branch.customer(5 * ETH)
    asked = [(await branch.request(account, ETH + number, somebody())).withdrawal for number in range(3)]
    ended = await branch.finish(*(one.id for one in asked))
    assert {one.status for one in ended} == {"settled"}
    assert all(0 < (one.fee_paid or 0) < one.network_fee for one in ended)
    await branch.check_conserved(*ended)


async def test_a_fee_is_raised_and_only_one_of_the_two_is_mined(branch: Branch) -> None:
    account = await branch.customer(5 * ETH)
    asked = (await branch.request(account, ETH, somebody(), speed="slow")).withdrawal
    await branch.work()
    first = await branch.look(asked.id)
    await branch.bump(asked.id)
    (ended,) = await branch.finish(asked.id)
    assert ended.status == "settled"
    assert ended.chain_tx != first.chain_tx
    await branch.check_conserved(ended)


async def test_one_that_was_sent_is_cancelled_by_being_sooner(branch: Branch) -> None:
    account = await branch.customer(5 * ETH)
    asked = (await branch.request(account, ETH, somebody())).withdrawal
    await branch.work()
    assert (await branch.withdrawals.cancel(withdrawal_id=asked.id)).cancelling
    (ended,) = await branch.finish(asked.id)
    assert ended.status == "cancelled"
    await branch.check_conserved(ended)
