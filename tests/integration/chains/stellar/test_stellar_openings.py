"""The house opens its channels and trustlines on a Stellar, and withdrawals leave in parallel: all of it is real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast
from uuid import UUID

import pytest
from stellar_sdk import Keypair

from billfold.app.migrate import SETS
from billfold.chains.signing_port import Purpose
from billfold.chains.stellar import keys
from billfold.chains.stellar import showing as stellar
from billfold.custody import Served, Showing
from billfold.custody.contracts import Terms
from billfold.custody.contracts.withdrawals import WithdrawalTerms
from billfold.custody.service.addresses import Addresses
from billfold.custody.service.chains import Chains
from billfold.custody.service.elsewhere import Elsewhere
from billfold.custody.service.served import Serving
from billfold.custody.service.withdrawals import Withdrawals
from billfold.kernel.assets import Asset
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from tests import servers
from tests.integration.chains.stellar.net import XLM
from tests.integration.chains.stellar.test_stellar_withdrawals import Branch, Pen, nobody
from tests.servers.devnets import DevnetServer

TERMS = WithdrawalTerms(confirmations=1, living_max=1, channel_reserve="2", house_fee_max="0.01")


class Derived(Pen):
    """And gives addresses of its tree."""

    async def create(self, **_: Any) -> None: ...

    async def addresses(self, *, tree_id: UUID, purpose: Purpose, first: int, count: int) -> Sequence[str]:  # noqa: ARG002 - it has one tree
        return keys.addresses(self._seed, purpose=purpose, first=first, count=count, network="sandbox")


class Founded(Branch):
    """A branch that has a hot account with ten lumens of the house, and nothing else."""

    def __init__(self, dsn: str, database: Database, ledger: Ledger, server: DevnetServer) -> None:
        super().__init__(dsn, database, ledger, server)
        pen: Any = Derived(self.seed)
        served = Served(
            chain=self.chain,
            terms=Terms(credit_after=1, release_after=1, reorg_limit=6),
            showing=cast("Showing", stellar),
            withdrawing=TERMS,
        )
        serving = Serving([served])
        elsewhere = Elsewhere(serving=serving, database=database, clock=self.clock)
        addresses = Addresses(serving=serving, database=database, signer=pen, elsewhere=elsewhere, clock=self.clock)
        self.chains = Chains(serving=serving, database=database, addresses=addresses, clock=self.clock)
        self.channels = []
        self.withdrawals = Withdrawals(
            database=database,
            ledger=ledger,
            house=self.house,
            chains={"stellar": self.chain},
            terms={"stellar": TERMS},
            signer=pen,
            clock=self.clock,
        )
        self._addresses = addresses

    async def furnish(self) -> None:
        await self._addresses.set_up(chain="stellar")
        self.held_before = 0
        await self.endow(10 * XLM)

    async def holdings(self) -> int:
        """With what channels were given, which is the house's still."""
        found = await super().holdings()
        for one in (await self.chains.state(chain="stellar")).openings:
            if one.kind == "channel":
                found += int(await self.chain.balance(one.subject, token=None, height=0))
        return found

    async def endow(self, amount: int) -> None:
        """Lumens of the house, in its hot account."""
        self.server.faucet(self.hot, str(amount // XLM))
        self.server.mine()
        await self._credit(await self.house.account(kind="fees", asset="XLM"), amount, "XLM")

    async def work(self, **told: Any) -> int:
        done = await super().work(**told)
        return done + await self.withdrawals.open(chain="stellar")

    async def states(self) -> list[tuple[str, str]]:
        """What is open, and why what is not waits."""
        return [(one.state, one.reason) for one in (await self.chains.state(chain="stellar")).openings]

    async def until_open(self, count: int) -> None:
        for _ in range(20):
            await self.work()
            self.server.mine()
            if [state for state, _ in await self.states()].count("open") == count and not await self.open():
                return
        raise AssertionError(f"not open: {await self.states()}")


@pytest.fixture
async def branch(postgres_server: servers.PostgresServer, stellar_server: DevnetServer) -> AsyncIterator[Founded]:
    dsn = postgres_server.create_database(SETS).app_dsn
    database = await Database.connect(dsn, name="test")
    ledger = await Ledger.start(database=database)
    made = Founded(dsn, database, ledger, stellar_server)
    try:
        await made.furnish()
        yield made
    finally:
        await made.chain.close()
        await ledger.close()
        await database.close()


async def test_channels_are_opened_once_and_withdrawals_leave_through_them_in_one_ledger(branch: Founded) -> None:
    account = await branch.customer(100 * XLM)
    for _ in range(2):
        await branch.chains.open_channels(chain="stellar", count=3)
    await asyncio.gather(*(branch.withdrawals.open(chain="stellar") for _ in range(3)))
    assert await branch.open() == 1, "of three who look at once one opens them"
    await branch.until_open(3)
    held, _ = await branch.posted(await branch.house.account(kind="fees", asset="XLM"))
    assert 10 * XLM - held == pytest.approx(3 * 2 * XLM, abs=XLM // 100)
    liquidity, _ = await branch.posted(await branch.house.account(kind="liquidity", asset="XLM"))
    assert liquidity == 3 * 2 * XLM
    branch.channels = [one.subject for one in (await branch.chains.state(chain="stellar")).openings]
    await branch.check_conserved()

    asked = [(await branch.request(account, 5 * XLM + number, nobody())).withdrawal for number in range(3)]
    ended = await branch.finish(*(one.id for one in asked))

    assert {one.status for one in ended} == {"settled"}
    assert len({one.height for one in ended}) == 1, "each channel gave its number to one of them"
    await branch.check_conserved(*ended)


async def test_what_the_house_can_t_pay_for_waits_and_withdrawals_leave_without_channels(branch: Founded) -> None:
    account = await branch.customer(12 * XLM)
    await branch.chains.open_channels(chain="stellar", count=12)
    await branch.work()
    assert set(await branch.states()) == {("waiting", "house_short")}
    asked = (await branch.request(account, 5 * XLM, nobody())).withdrawal
    (ended,) = await branch.finish(asked.id)
    assert ended.status == "settled"
    await branch.endow(10 * XLM)
    await branch.until_open(12)


async def test_a_channel_that_somebody_else_has_opened_costs_nothing(branch: Founded) -> None:
    (one,) = (await branch.chains.open_channels(chain="stellar", count=1)).openings
    branch.server.faucet(one.subject, "1")
    branch.server.mine()
    await branch.until_open(1)
    assert await branch.chain.balance(one.subject, token=None, height=0) == XLM
    assert (await branch.posted(await branch.house.account(kind="fees", asset="XLM")))[0] == 10 * XLM


async def test_a_trustline_is_made_for_an_asset_and_one_without_issuer_does_not_hinder_it(branch: Founded) -> None:
    issuer, absent = Keypair.random().public_key, Keypair.random().public_key
    branch.server.faucet(issuer, "5")
    branch.server.mine()
    for code, who in (("BAD", absent), ("GOOD", issuer)):
        token = f"{code}:{who}"
        await branch.ledger.add_asset(
            asset=Asset(code=code, scale=7, kind="token", name=code, chain="stellar", contract=token)
        )
    await branch.until_open(1)
    found = {one.subject: (one.state, one.reason) for one in (await branch.chains.state(chain="stellar")).openings}
    assert found == {f"GOOD:{issuer}": ("open", ""), f"BAD:{absent}": ("waiting", "issuer_missing")}
    assert (await branch.chain.examine(branch.hot, memo=None, token=f"GOOD:{issuer}", amount=1)).obstacle is None
    await branch.check_conserved()
