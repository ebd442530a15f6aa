"""Money arrives on our own Ethereum and is credited, and taken back where the chain takes it back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import cast
from uuid import UUID

import pytest

from billfold.app.migrate import SETS
from billfold.chains.ethereum import keys, showing
from billfold.chains.signing_port import Purpose
from billfold.custody import Showing
from billfold.devnet.ethereum.faucet import USDC
from billfold.kernel.assets import Asset
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from tests import servers
from tests.integration.chains.ethereum.world import ETH, Stranger, opened
from tests.integration.custody.support import Bank, NamedPlaces
from tests.servers.devnets import DevnetServer


class RealPlaces(NamedPlaces):
    """Addresses of Ethereum, of a tree of the test's own."""

    async def addresses(self, *, tree_id: UUID, purpose: Purpose, first: int, count: int) -> Sequence[str]:
        return keys.addresses(tree_id.bytes * 4, purpose=purpose, first=first, count=count, network="sandbox")


@pytest.fixture
async def bank(postgres_server: servers.PostgresServer, ethereum_server: DevnetServer) -> AsyncIterator[Bank]:
    chain = opened(ethereum_server, tokens=(USDC,))
    database = await Database.connect(postgres_server.create_database(SETS).app_dsn, name="test")
    ledger = await Ledger.start(database=database)
    await ledger.add_asset(asset=Asset(code="USDX", scale=6, kind="token", name="T", chain="ethereum", contract=USDC))
    signer = RealPlaces()
    made = Bank(database=database, ledger=ledger, chain=chain, showing=cast("Showing", showing), signer=signer)
    yield made
    await chain.close()
    await ledger.close()
    await database.close()


async def test_coins_and_tokens_are_credited_and_a_reorganisation_takes_them_back(
    bank: Bank, ethereum_server: DevnetServer, stranger: Stranger
) -> None:
    paying = stranger.deploy("Paying")
    await bank.read()
    wallet, address = await bank.wallet()
    ethereum_server.faucet(address, "2.5")
    ethereum_server.faucet(address, "7", token=USDC)
    stranger.call(paying, "pay(address)", address, value=5)
    stranger.call(paying, "pretend(address)", address, value=ETH)
    ethereum_server.mine(2)
    await bank.read()
    assert await bank.balance(wallet, "ETH") == 2 * ETH + ETH // 2 + 5
    assert await bank.balance(wallet, "USDX") == 7_000_000

    ethereum_server.reorg(2, drop=True)
    await bank.read()

    assert (await bank.balance(wallet, "ETH"), await bank.balance(wallet, "USDX")) == (0, 0)
    assert await bank.states() == ["reverted"] * 3


async def test_what_comes_again_after_a_reorganisation_is_credited_once(
    bank: Bank, ethereum_server: DevnetServer
) -> None:
    await bank.read()
    wallet, address = await bank.wallet()
    ethereum_server.faucet(address, "1")
    ethereum_server.mine(2)
    await bank.read()

    ethereum_server.reorg(2)
    await bank.read()

    assert await bank.balance(wallet, "ETH") == ETH
    assert len(await bank.states()) == 1
