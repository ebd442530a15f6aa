"""From the faucet to a withdrawal that only swept deposits can pay: chains, adapters, watcher and signer are real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from importlib import import_module
from typing import cast
from uuid import UUID

import pytest

from billfold.app.migrate import SETS
from billfold.chains.nodes import Nodes
from billfold.chains.port import Chain
from billfold.custody import Custody, Served, Showing
from billfold.custody.contracts import NewWithdrawal, Terms, WithdrawalTerms
from billfold.devnet.ethereum.faucet import USDC as ETHEREUM_USDC
from billfold.devnet.solana.faucet import USDC as SOLANA_USDC
from billfold.kernel import idempotency, ids
from billfold.kernel.assets import Asset
from billfold.ledger import Ledger
from billfold.ledger.contracts import NewAccount
from billfold.platform.postgres.database import Connection, Database
from billfold.signer import Signer
from billfold.signer.service import chains as signed_chains
from tests import servers, signers
from tests.integration.chains.solana import networks
from tests.integration.withdrawals.support import Watch
from tests.servers.devnets import DevnetServer
from tests.servers.solana import SolanaServer

DEADLINE_S = 60.0
COINS = {"ethereum": ("ETH", 18), "solana": ("SOL", 9)}
TOKENS = {"ethereum": ETHEREUM_USDC, "solana": str(SOLANA_USDC)}
#: What stays in an account for tokens.
RENT = 2_039_280
#: Blocks until a deposit may leave and a transaction is final.
DEEP = 2


class Bank:
    """Custody over one chain, whose wallets have one account each."""

    def __init__(self, database: Database, ledger: Ledger, chain: Chain, server: DevnetServer, signer: Signer) -> None:
        self.ledger, self.chain, self.server, self.signer = ledger, chain, server, signer
        self.code, self.scale = COINS[chain.name]
        self.token = TOKENS[chain.name]
        self.clock = Watch()
        self._accounts: dict[UUID, UUID] = {}
        served = Served(
            chain=chain,
            terms=Terms(credit_after=1, release_after=DEEP, reorg_limit=10),
            showing=cast("Showing", import_module(f"billfold.chains.{chain.name}.showing")),
            withdrawing=WithdrawalTerms(confirmations=DEEP, house_fee_max="0.01", sweep_minimum={"USDC": "5"}),
        )
        self.custody = Custody(
            database=database,
            ledger=ledger,
            wallet_accounts=self._of_wallets,
            freeze_wallet=self._freeze,
            served=[served],
            signer=signer,
            clock=self.clock,
        )

    async def _of_wallets(
        self, connection: Connection, pairs: Collection[tuple[UUID, str]]
    ) -> Mapping[tuple[UUID, str], UUID]:
        del connection
        return {pair: self._accounts[pair[0]] for pair in pairs}

    async def _freeze(self, connection: Connection, wallet_id: UUID) -> None:
        del connection
        raise AssertionError(f"nothing of {wallet_id} was taken back")

    async def wallet(self, asset: str | None = None) -> tuple[UUID, str]:
        """A new one with an account of this asset, and its address."""
        wallet_id = ids.new()
        self._accounts[wallet_id] = wallet_id
        await self.ledger.open_accounts(accounts=[NewAccount(id=wallet_id, asset=asset or self.code)])
        (given,) = await self.custody.addresses.issue(chain=self.chain.name, wallet_ids=[wallet_id])
        return wallet_id, given.address

    async def read(self) -> None:
        """All blocks that there are."""
        while await self.custody.watchers[self.chain.name].step():
            pass

    async def go_on(self) -> None:
        """What a worker does ten seconds later, and a block."""
        self.clock.ahead += timedelta(seconds=10)
        await self.read()
        await self.custody.withdrawals.sweep(chain=self.chain.name)
        await self.custody.withdrawals.work(chain=self.chain.name)
        await asyncio.to_thread(self.server.mine)

    async def withdraw(self, wallet_id: UUID, amount: int, address: str) -> UUID:
        new = NewWithdrawal(
            wallet_id=wallet_id,
            owner_id=wallet_id,
            account_id=self._accounts[wallet_id],
            asset=self.code,
            amount=amount,
            address=address,
            confirmed=True,
        )
        key = idempotency.key(owner=wallet_id, text="k", operation="test", content=b"")
        return (await self.custody.withdrawals.request(new=new, key=key)).withdrawal.id

    async def stranger(self) -> str:
        """An address of another tree, which is not the house's."""
        tree_id = ids.new()
        await self.signer.create(tree_id=tree_id, chain=self.chain.name, network="sandbox")
        return (await self.signer.addresses(tree_id=tree_id, purpose="hot", first=0, count=1))[0]

    async def balance(self, address: str, token: str | None = None) -> int:
        return await self.chain.balance(address, token=token, height=(await self.chain.head()).height)

    async def booked(self, account: UUID) -> int:
        return (await self.ledger.accounts(ids=[account]))[0].posted


@pytest.fixture(params=list(COINS))
async def bank(request: pytest.FixtureRequest, postgres_server: servers.PostgresServer) -> AsyncIterator[Bank]:
    name = str(request.param)
    server: DevnetServer = request.getfixturevalue(f"{name}_server")
    dsn = postgres_server.create_database(SETS).app_dsn
    async with AsyncExitStack() as stack:
        keys = signers.create_database(postgres_server)
        signer = await stack.enter_async_context(signers.started(keys.dsn, chains=signed_chains.of))
        database = await Database.connect(dsn, name="test")
        stack.push_async_callback(database.close)
        ledger = await Ledger.start(database=database)
        stack.push_async_callback(ledger.close)
        chain = import_module(f"billfold.chains.{name}").open(
            Nodes(network="sandbox", urls=[server.url], tokens=(TOKENS[name],), timeout_s=30)
        )
        stack.push_async_callback(chain.close)
        code, scale = COINS[name]
        if code not in await ledger.assets():
            await ledger.add_asset(asset=Asset(code=code, scale=scale, kind="native", name=code, chain=name))
        if "USDC" not in await ledger.assets():
            usdc = Asset(code="USDC", scale=6, kind="token", name="USDC", chain=name, contract=TOKENS[name])
            await ledger.add_asset(asset=usdc)
        yield Bank(database, ledger, chain, server, signer)


async def test_swept_deposits_pay_a_withdrawal(bank: Bank) -> None:
    server, unit = bank.server, 10**bank.scale
    if bank.chain.name == "solana":
        # Transactions stand on a final block, and the first is that after so many.
        server.mine(33)
    (wallet, address), (_, other) = [await bank.wallet() for _ in range(2)]
    (hot,) = await bank.custody.addresses.of_house(chain=bank.chain.name, purpose="hot")
    await bank.go_on()
    server.faucet(address, "2")
    server.faucet(other, "1")

    async with asyncio.timeout(DEADLINE_S):
        while await bank.booked(wallet) != 2 * unit:
            await bank.go_on()
        nobody = await bank.stranger()
        asked = await bank.withdraw(wallet, unit * 3 // 2, nobody)
        while (await bank.custody.withdrawals.withdrawal(withdrawal_id=asked)).status != "settled":
            await bank.go_on()
        omnibus, fees = [await bank.custody.house.account(kind=kind, asset=bank.code) for kind in ("omnibus", "fees")]
        while True:
            await bank.go_on()
            on_chain = sum([await bank.balance(one) for one in (hot, address, other)])
            left = [await bank.balance(one) for one in (address, other)]
            if on_chain == -await bank.booked(omnibus) and max(left) < unit // 1000:
                break

    assert await bank.balance(nobody) == unit * 3 // 2
    assert await bank.booked(fees) < 0
    # What the sweeps brought to the house's address is its own, and nobody's deposit.
    assert await bank.booked(await bank.custody.house.account(kind="liquidity", asset=bank.code)) == 0
    assert (await bank.ledger.verify()).faults == []


@pytest.mark.parametrize("bank", ["ethereum"], indirect=True)
async def test_a_token_is_brought_the_fee_of_its_sweep_which_is_nobodys_deposit(bank: Bank) -> None:
    wallet, address = await bank.wallet("USDC")
    (hot,) = await bank.custody.addresses.of_house(chain="ethereum", purpose="hot")
    await bank.go_on()
    bank.server.faucet(hot, "1")
    bank.server.faucet(address, "20", token=bank.token)

    async with asyncio.timeout(DEADLINE_S):
        while await bank.balance(hot, bank.token) != 20 * 10**6:
            await bank.go_on()
        omnibus, fees = [await bank.custody.house.account(kind=kind, asset="ETH") for kind in ("omnibus", "fees")]
        while sum([await bank.balance(one) for one in (hot, address)]) != -await bank.booked(omnibus):
            await bank.go_on()

    assert await bank.booked(wallet) == 20 * 10**6
    assert (await bank.balance(address, bank.token), await bank.balance(address) > 0) == (0, True)
    # What the house had put there, less two fees, and no deposit of coin.
    assert -await bank.booked(omnibus) == 10**18 + await bank.booked(fees)
    assert [one.money.asset for one in (await bank.custody.deposits.page(wallet_id=wallet)).items] == ["USDC"]
    assert (await bank.ledger.verify()).faults == []


@pytest.mark.parametrize("bank", ["solana"], indirect=True)
async def test_the_house_pays_for_tokens_whose_owners_have_no_coin_and_the_books_agree(bank: Bank) -> None:
    bank.server.mine(33)
    (wallet, address), (_, other) = [await bank.wallet("USDC") for _ in range(2)]
    (hot,) = await bank.custody.addresses.of_house(chain="solana", purpose="hot")
    await bank.go_on()
    bank.server.faucet(hot, "1")
    bank.server.faucet(address, "20", token=bank.token)
    bank.server.faucet(other, "7", token=bank.token)

    async with asyncio.timeout(DEADLINE_S):
        while await bank.balance(hot, bank.token) != 27 * 10**6:
            await bank.go_on()
        omnibus, fees = [await bank.custody.house.account(kind=kind, asset="SOL") for kind in ("omnibus", "fees")]
        while await bank.balance(hot) != -await bank.booked(omnibus):
            await bank.go_on()
        await bank.read()
        reports = (await bank.custody.reconciling.run(chain="solana")).items

    assert await bank.booked(wallet) == 20 * 10**6
    assert [await bank.balance(one) for one in (address, other)] == [0, 0]
    # Two fees, and once the rent of the house's own account for the token.
    assert 20_000 + RENT < -await bank.booked(fees) < 25_000 + RENT
    # Nothing is left to be explained, and nothing has to be.
    assert {one.asset: (one.outcome, one.difference.strip("0.")) for one in reports} == {
        "SOL": ("clean", ""),
        "USDC": ("clean", ""),
    }
    assert not any(one.explained for one in reports), reports
    assert (await bank.ledger.verify()).faults == []


@pytest.mark.parametrize("bank", ["solana"], indirect=True)
async def test_tokens_that_no_sweep_can_bring_are_nobodys_to_withdraw_and_the_books_agree(bank: Bank) -> None:
    bank.server.mine(33)
    wallet, address = await bank.wallet("USDC")
    (hot,) = await bank.custody.addresses.of_house(chain="solana", purpose="hot")
    net = networks.Own(cast("SolanaServer", bank.server))
    await bank.go_on()
    bank.server.faucet(hot, "1")
    bank.server.faucet(address, "20", token=bank.token)
    for owner in (address, address, hot):
        await networks.beside(net, bank.chain, owner, 100_000_000)

    async with asyncio.timeout(DEADLINE_S):
        while await bank.balance(hot, bank.token) != 20 * 10**6:
            await bank.go_on()
        omnibus = await bank.custody.house.account(kind="omnibus", asset="SOL")
        while await bank.balance(hot) != -await bank.booked(omnibus):
            await bank.go_on()
        await bank.read()
        reports = (await bank.custody.reconciling.run(chain="solana")).items

    assert await bank.booked(wallet) == 20 * 10**6
    assert await bank.booked(await bank.custody.house.account(kind="omnibus", asset="USDC")) == -20 * 10**6
    assert [one.outcome for one in reports] == ["clean", "clean"], reports
    assert not any(one.explained for one in reports), reports
