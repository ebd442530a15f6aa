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
