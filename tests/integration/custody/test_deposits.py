"""Deposits from the first sight of them to their end."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from msgspec.structs import replace

from billfold.chains.port import Spent
from billfold.custody.service import crediting, recording
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import TERMS, Bank


async def test_a_payment_is_detected_then_credited_then_releasable(bank: Bank, chain: SimulatedChain) -> None:
    wallet, address = await bank.wallet()
    await bank.read()
    chain.pay(address, 700)
    await bank.read()
    assert (await bank.states(), await bank.balance(wallet)) == (["detected"], 0)
    chain.mine()
    await bank.read()
    assert (await bank.states(), await bank.balance(wallet)) == (["detected"], 0)
    chain.mine()
    await bank.read()
    assert (await bank.states(), await bank.balance(wallet)) == (["credited"], 700)
    chain.mine(2)
    await bank.read()
    assert (await bank.states(), await bank.balance(wallet)) == (["releasable"], 700)
    assert await bank.held("omnibus") == -700
    assert await bank.told() == ["detected", "credited", "releasable"]


async def test_a_late_payment_and_a_second_one_are_credited(bank: Bank, chain: SimulatedChain) -> None:
    wallet, address = await bank.wallet()
    await bank.read()
    await bank.custody.addresses.rotate(chain="bitcoin", wallet_id=wallet)
    chain.pay(address, 700)
    chain.mine(3)
    chain.pay(address, 40)
    chain.mine(2)
    await bank.read()
    assert await bank.balance(wallet) == 740


async def test_less_than_the_minimum_waits_until_the_sum_reaches_it(
    database: Database, ledger: Ledger, chain: SimulatedChain
) -> None:
    bank = Bank(database=database, ledger=ledger, chain=chain, terms=replace(TERMS, minimum={"BTC": "0.00000100"}))
    wallet, address = await bank.wallet()
    await bank.read()
    chain.pay(address, 60)
    chain.mine(2)
    await bank.read()
    small = chain.pay(address, 39)
    chain.mine(2)
    await bank.read()
    assert await bank.balance(wallet) == 0
    (found,) = (await bank.custody.explaining.explain(chain_tx=small.chain_tx, own=None)).found
    assert found.verdict == "below_minimum"
    chain.pay(address, 1)
    chain.mine(2)
    await bank.read()
    assert await bank.balance(wallet) == 100


async def test_a_payment_that_never_gets_a_block_is_given_up(
    bank: Bank, chain: SimulatedChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, address = await bank.wallet()
    await bank.read()
    chain.pay(address, 700)
    await bank.read()
    chain.state.waiting = []
    await bank.read()
    assert await bank.states() == ["detected"]
    monkeypatch.setattr(recording, "GIVEN_UP_AFTER", timedelta(0))
    await bank.read()
    assert (await bank.states(), await bank.told()) == (["reverted"], ["detected", "reverted"])


async def test_what_was_given_up_and_comes_after_all_waits_for_a_frozen_wallet(
    bank: Bank, chain: SimulatedChain, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    wallet, address = await bank.wallet(ada)
    await bank.read()
    late = chain.pay(address, 700)
    await bank.read()
    chain.state.waiting = []
    monkeypatch.setattr(recording, "GIVEN_UP_AFTER", timedelta(0))
    await bank.read()
    assert await bank.states() == ["reverted"]
    await bank.wallets.registry.freeze(principal=ada, wallet_id=wallet)
    chain.state.waiting = [late]
    chain.mine(2)
    await bank.read()
    (found,) = (await bank.custody.explaining.explain(chain_tx=late.chain_tx, own=None)).found
    assert (found.verdict, await bank.balance(wallet), await bank.states()) == ("held_up", 0, ["detected"])


async def test_new_coins_are_credited_when_they_can_be_spent(bank: Bank, chain: SimulatedChain) -> None:
    wallet, address = await bank.wallet()
    await bank.read()
    chain.pay(address, 50, matures_after=5)
    chain.mine(4)
    await bank.read()
    assert await bank.balance(wallet) == 0
    chain.mine()
    await bank.read()
    assert await bank.balance(wallet) == 50


async def test_a_deposit_of_a_frozen_wallet_waits_for_it(
    bank: Bank, chain: SimulatedChain, ada: Principal, operator: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crediting, "RETRY_AFTER", timedelta(milliseconds=100))
    wallet, address = await bank.wallet(ada)
    await bank.read()
    await bank.wallets.registry.freeze(principal=ada, wallet_id=wallet)
    paid = chain.pay(address, 700)
    chain.mine(2)
    await bank.custody.watchers["bitcoin"].step()
    (found,) = (await bank.custody.explaining.explain(chain_tx=paid.chain_tx, own=None)).found
    assert (found.verdict, await bank.balance(wallet)) == ("held_up", 0)
    await bank.wallets.registry.unfreeze(principal=operator, wallet_id=wallet)
    async with asyncio.timeout(30):
        while await bank.balance(wallet) != 700:
            await bank.read()


async def test_no_deposit_that_a_block_has_is_rewritten(bank: Bank, chain: SimulatedChain) -> None:
    _, address = await bank.wallet()
    await bank.read()
    chain.pay(address, 700)
    chain.mine()
    await bank.read()
    for change in ("amount = 7000", "index = '1'"):
        async with bank.database.connection() as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="are facts"):
                await connection.execute(f"UPDATE custody.deposits SET {change}")


async def test_money_for_the_house_is_its_own_and_change_is_no_deposit(
    bank: Bank, chain: SimulatedChain, database: Database
) -> None:
    _, address = await bank.wallet()
    (hot,) = await bank.custody.addresses.of_house(chain="bitcoin", purpose="hot")
    (change,) = await bank.custody.addresses.of_house(chain="bitcoin", purpose="change")
    await bank.read()
    chain.pay(hot, 900)
    coin = chain.pay(address, 700)
    chain.mine(2)
    await bank.read()
    assert (await bank.held("liquidity"), await bank.held("omnibus")) == (900, -1600)
    chain.pay(change, 650, chain_tx="swept")
    chain.mine(spent=[Spent(chain_tx=coin.chain_tx, index=coin.index, by="swept")])
    chain.mine()
    await bank.read()
    assert (await bank.held("liquidity"), await bank.held("omnibus")) == (900, -1600)
    async with database.connection() as connection:
        free = await connection.fetchval("SELECT sum(amount) FROM custody.coins WHERE spent_height IS NULL")
    assert free == 900 + 650
