"""Keys that are elsewhere: addresses without a signer, and withdrawals that others sign, on chains of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from importlib import import_module
from typing import Any, TypeVar, cast
from uuid import UUID

import pytest
from stellar_sdk import Keypair as StellarKeypair

from billfold.app.migrate import SETS
from billfold.chains.nodes import Nodes
from billfold.chains.port import Chain
from billfold.custody import Custody, Served, Showing, errors
from billfold.custody.contracts import NewWithdrawal, Terms, Unsigned, Withdrawal, WithdrawalTerms
from billfold.devnet.bitcoin import COOKIE
from billfold.kernel import idempotency, ids
from billfold.kernel.assets import Asset
from billfold.ledger import Ledger
from billfold.ledger.contracts import NewAccount
from billfold.platform.postgres.database import Connection, Database
from tests import servers
from tests.integration.withdrawals.outsiders import OUTSIDERS
from tests.integration.withdrawals.support import Watch
from tests.servers.devnets import DevnetServer

DEADLINE_S = 60.0
COINS = {"bitcoin": ("BTC", 8), "ethereum": ("ETH", 18), "solana": ("SOL", 9), "stellar": ("XLM", 7)}
STRANGERS: Mapping[str, Callable[[], str]] = {
    "bitcoin": lambda: "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
    "ethereum": lambda: "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045",
    "solana": lambda: "7YttLkHDoNj9wyDur5pM1ejNaAvT9X4eqaYcHQqtj2G5",
    "stellar": lambda: str(StellarKeypair.random().public_key),
}
#: Blocks until a deposit may leave and a transaction is final.
DEEP = 2
#: So many until it is proven what has become of one that was not handed in.
PROVEN = {"bitcoin": 1, "ethereum": 65, "solana": 190, "stellar": 1}


class Bank:
    """Custody over one chain whose keys somebody else has; its wallets have one account each."""

    def __init__(
        self, database: Database, ledger: Ledger, chain: Chain, server: DevnetServer, *, nonces: int = 0
    ) -> None:
        self.database, self.ledger, self.chain, self.server = database, ledger, chain, server
        self.code, self.scale = COINS[chain.name]
        self.clock = Watch()
        self.outsider = OUTSIDERS[chain.name]()
        served = Served(
            chain=chain,
            terms=Terms(credit_after=1, release_after=DEEP, reorg_limit=10),
            showing=cast("Showing", import_module(f"billfold.chains.{chain.name}.showing")),
            withdrawing=WithdrawalTerms(confirmations=DEEP, house_fee_max="0.01", durable_nonces=nonces),
            outside=cast("Any", partial(import_module, f"billfold.chains.{chain.name}.outside")),
        )
        self.served = served
        self.custody = Custody(
            database=database,
            ledger=ledger,
            wallet_accounts=self._of_wallets,
            freeze_wallet=self._freeze,
            served=[served],
            clock=self.clock,
        )
        self.outside = self.custody.withdrawals.outside

    async def _of_wallets(
        self, connection: Connection, pairs: Collection[tuple[UUID, str]]
    ) -> Mapping[tuple[UUID, str], UUID]:
        del connection
        return {pair: pair[0] for pair in pairs}

    async def _freeze(self, connection: Connection, wallet_id: UUID) -> None:
        del connection
        raise AssertionError(f"nothing of {wallet_id} was taken back")

    async def introduce(self) -> None:
        await self.outsider.introduce(self.custody, self.chain.name)

    async def wallet(self) -> UUID:
        wallet_id = ids.new()
        await self.ledger.open_accounts(accounts=[NewAccount(id=wallet_id, asset=self.code)])
        return wallet_id

    async def address(self, wallet_id: UUID) -> tuple[str, str | None]:
        (given,) = await self.custody.addresses.issue(chain=self.chain.name, wallet_ids=[wallet_id])
        return given.address, None if given.memo is None else f"id:{given.memo}"

    async def rich(self) -> UUID:
        """A wallet whose deposit has arrived, may leave, and lies where withdrawals are paid from."""
        await self.introduce()
        wallet = await self.wallet()
        address, memo = await self.address(wallet)
        (hot,) = await self.custody.addresses.of_house(chain=self.chain.name, purpose="hot")
        if self.chain.name == "solana":
            # Transactions stand on a final block, and the first is that after so many.
            self.server.mine(33)
        await self.go_on()
        if memo is not None:
            self.server.faucet(hot, "10")
            self.server.mine()
        # The chain and its keys are those of other tests, too, and so is what they have left there.
        had = await self.lying(hot)
        self.server.faucet(address, "2", memo=memo)
        async with asyncio.timeout(DEADLINE_S):
            while await self.booked(wallet) != 2 * self.unit or (
                self.served.swept and await self.lying(hot) < had + self.unit
            ):
                await self.go_on()
                await self.outsider.sign_all(self.custody, self.chain.name)
            for _ in range(DEEP):
                await self.go_on()
        return wallet

    async def lying(self, address: str) -> int:
        """What of the coin lies at an address now."""
        return await self.chain.balance(address, token=None, height=(await self.chain.head()).height)

    @property
    def unit(self) -> int:
        return int(10**self.scale)

    async def go_on(self) -> None:
        """What a worker does ten seconds later, and a block."""
        self.clock.ahead += timedelta(seconds=10)
        while await self.custody.watchers[self.chain.name].step():
            pass
        if self.served.swept:
            await self.custody.withdrawals.sweep(chain=self.chain.name)
        await self.custody.withdrawals.work(chain=self.chain.name)
        await asyncio.to_thread(self.server.mine)

    async def withdraw(self, wallet_id: UUID, amount: int, address: str) -> UUID:
        new = NewWithdrawal(
            wallet_id=wallet_id,
            owner_id=wallet_id,
            account_id=wallet_id,
            asset=self.code,
            amount=amount,
            address=address,
            confirmed=True,
        )
        key = idempotency.key(owner=wallet_id, text=str(ids.new()), operation="test", content=b"")
        return (await self.custody.withdrawals.request(new=new, key=key)).withdrawal.id

    async def look(self, withdrawal_id: UUID) -> Withdrawal:
        return await self.custody.withdrawals.withdrawal(withdrawal_id=withdrawal_id)

    async def waiting(self) -> Unsigned:
        """The withdrawal that waits for signatures."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                found = await self.outside.waiting(chain=self.chain.name)
                if wanted := [one for one in found if one.kind == "pay"]:
                    return wanted[0]
                await self.go_on()

    async def until(self, withdrawal_id: UUID, *statuses: str) -> Withdrawal:
        async with asyncio.timeout(DEADLINE_S):
            while (found := await self.look(withdrawal_id)).status not in statuses:
                await self.go_on()
        return found

    async def booked(self, account: UUID) -> int:
        return (await self.ledger.accounts(ids=[account]))[0].posted


BankT = TypeVar("BankT", bound=Bank)


@asynccontextmanager
async def banking(
    name: str, server: DevnetServer, dsn: str, *, kind: type[BankT], nonces: int = 0
) -> AsyncIterator[BankT]:
    """Such a bank, until the block ends."""
    url = server.url
    if name == "bitcoin":
        url = url.replace("http://", f"http://{(server.folder / COOKIE).read_text()}@")
    async with AsyncExitStack() as stack:
        database = await Database.connect(dsn, name="test")
        stack.push_async_callback(database.close)
        ledger = await Ledger.start(database=database)
        stack.push_async_callback(ledger.close)
        chain = import_module(f"billfold.chains.{name}").open(Nodes(network="sandbox", urls=[url], timeout_s=30))
        stack.push_async_callback(chain.close)
        code, scale = COINS[name]
        if code not in await ledger.assets():
            await ledger.add_asset(asset=Asset(code=code, scale=scale, kind="native", name=code, chain=name))
        yield kind(database, ledger, chain, server, nonces=nonces)


@pytest.fixture(params=list(COINS))
async def bank(request: pytest.FixtureRequest, postgres_server: servers.PostgresServer) -> AsyncIterator[Bank]:
    server: DevnetServer = request.getfixturevalue(f"{request.param}_server")
    dsn = postgres_server.create_database(SETS).app_dsn
    async with banking(str(request.param), server, dsn, kind=Bank) as bank:
        yield bank


async def paid_once_past_us(bank: Bank, wallet: UUID, address: str) -> None:
    """Somebody signs what they were handed and sends it themselves, and never hands it in."""
    before = await bank.booked(wallet)
    asked = await bank.withdraw(wallet, bank.unit // 4, address)
    waiting = await bank.waiting()
    exported = await bank.outside.export(tx_id=waiting.id)
    async with bank.database.connection() as connection:
        payload = await connection.fetchval("SELECT payload FROM custody.tx_queue WHERE id = $1", waiting.id)
    outside = import_module(f"billfold.chains.{bank.chain.name}.outside")
    sent = outside.accepted(payload, bank.outsider.sign(exported), network="sandbox")
    await bank.chain.broadcast(sent)
    bank.server.mine(PROVEN[bank.chain.name])
    ended = await bank.until(asked, "settled", "failed")
    assert (ended.status, ended.chain_tx) == ("settled", sent.chain_tx)
    assert await bank.booked(wallet) == before - bank.unit // 4 - (ended.fee_paid or 0)
    assert (await bank.ledger.verify()).faults == []
    paid = await bank.lying(ended.address)
    for _ in range(3):
        await bank.go_on()
    assert await bank.outside.waiting(chain=bank.chain.name) == []
    assert await bank.lying(ended.address) == paid


async def test_money_comes_and_leaves_with_keys_that_are_elsewhere(bank: Bank) -> None:
    wallet = await bank.rich()
    asked = await bank.withdraw(wallet, bank.unit, STRANGERS[bank.chain.name]())
    waiting = await bank.waiting()
    assert [one.withdrawal_id for one in waiting.payments] == [asked]
    await bank.go_on()
    assert ((await bank.look(asked)).status, (await bank.look(asked)).reason) == ("allocated", "waits_for_signature")

    exported = await bank.outside.export(tx_id=waiting.id)
    signed = bank.outsider.sign(exported)
    done = await bank.outside.accept(tx_id=waiting.id, signed=signed)
    assert await bank.outside.accept(tx_id=waiting.id, signed=signed) == done
    ended = await bank.until(asked, "settled", "failed")

    assert (ended.status, ended.chain_tx, ended.reason) == ("settled", done.chain_tx, "")
    assert await bank.booked(wallet) == bank.unit - (ended.fee_paid or 0)
    assert (await bank.ledger.verify()).faults == []
    assert await bank.outside.accept(tx_id=waiting.id, signed=signed) == done
    with pytest.raises(errors.UnsignedGone):
        await bank.outside.export(tx_id=waiting.id)
    await paid_once_past_us(bank, wallet, ended.address)
    # No backup of seeds has these keys, so none is held against these addresses.
    assert await bank.custody.issued.count() == 0
    assert [page async for page in bank.custody.issued.pages()] == []
