"""Money arrives on our own Solana and is credited, and taken back where the chain takes it back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import cast
from uuid import UUID

import pytest

from billfold.app.migrate import SETS
from billfold.chains.signing_port import Purpose
from billfold.chains.solana import keys, showing
from billfold.custody import Showing
from billfold.kernel.assets import Asset
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from tests import servers
from tests.integration.chains.solana import networks
from tests.integration.chains.solana.networks import SOL, USDC, Own
from tests.integration.custody.support import Bank, NamedPlaces
from tests.servers.solana import SolanaServer


class RealPlaces(NamedPlaces):
    """Addresses of Solana, of a tree of the test's own."""

    async def addresses(self, *, tree_id: UUID, purpose: Purpose, first: int, count: int) -> Sequence[str]:
        return keys.addresses(tree_id.bytes * 4, purpose=purpose, first=first, count=count, network="sandbox")


@pytest.fixture
async def bank(postgres_server: servers.PostgresServer, solana_server: SolanaServer) -> AsyncIterator[Bank]:
    chain = networks.opened(Own(solana_server))
    database = await Database.connect(postgres_server.create_database(SETS).app_dsn, name="test")
    ledger = await Ledger.start(database=database)
    await ledger.add_asset(asset=Asset(code="USDX", scale=6, kind="token", name="T", chain="solana", contract=USDC))
    signer = RealPlaces()
    made = Bank(database=database, ledger=ledger, chain=chain, showing=cast("Showing", showing), signer=signer)
    yield made
    await chain.close()
    await ledger.close()
    await database.close()


async def test_coins_and_tokens_are_credited_and_a_fork_takes_them_back(
    bank: Bank, solana_server: SolanaServer
) -> None:
    await bank.read()
    wallet, address = await bank.wallet()
    solana_server.faucet(address, "2.5")
    solana_server.mine()
    await bank.read()
    assert await bank.balance(wallet, "SOL") == 0
    solana_server.faucet(address, "7", token=USDC)
    solana_server.mine(2)
    await bank.read()
    assert await bank.balance(wallet, "SOL") == 2 * SOL + SOL // 2
    assert await bank.balance(wallet, "USDX") == 7_000_000

    solana_server.reorg(3, drop=True)
    await bank.read()

    assert await bank.balance(wallet, "SOL") == 0
    assert await bank.balance(wallet, "USDX") == 0
    assert await bank.states() == ["reverted", "reverted"]


async def test_what_comes_again_after_a_fork_is_credited_once(bank: Bank, solana_server: SolanaServer) -> None:
    await bank.read()
    wallet, address = await bank.wallet()
    solana_server.faucet(address, "1")
    solana_server.mine(2)
    await bank.read()

    solana_server.reorg(2, drop=False)
    await bank.read()

    assert await bank.balance(wallet, "SOL") == SOL
    assert len(await bank.states()) == 1


async def test_what_lies_beside_the_associated_account_is_not_credited_and_says_why(
    bank: Bank, solana_server: SolanaServer
) -> None:
    net = Own(solana_server)
    await networks.until_final(net, bank.chain)
    await bank.read()
    wallet, address = await bank.wallet()
    paid = [await networks.beside(net, bank.chain, address, 50_000_000) for _ in range(3)]
    solana_server.faucet(address, "7", token=USDC)
    solana_server.mine(2)
    await bank.read()

    # What is credited is what a sweep takes.
    assert await bank.balance(wallet, "USDX") == 7_000_000
    assert await bank.chain.balance(address, token=USDC, height=0) == 7_000_000
    assert len(await bank.states()) == 1
    (found,) = (await bank.custody.explaining.explain(chain_tx=paid[-1], own=None)).found
    assert (found.verdict, found.deposit) == ("ignored", None)
    assert "associated token account" in found.why
    async with bank.database.connection() as connection:
        rows = await connection.fetch("SELECT reason, wallet_id, amount FROM custody.ignored")
    assert [tuple(row) for row in rows] == [("not_the_associated_account", wallet, 50_000_000)] * 3

    solana_server.reorg(4, drop=True)
    await bank.read()
    (found,) = (await bank.custody.explaining.explain(chain_tx=paid[-1], own=None)).found
    assert found.verdict == "not_seen"
