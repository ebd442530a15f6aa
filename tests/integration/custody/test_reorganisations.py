"""Deposits of blocks that a chain replaces by others."""

import pytest

from billfold.custody import errors
from billfold.kernel.principal import Principal
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import Bank


async def test_what_a_chain_takes_back_is_taken_back_and_freezes_the_wallet(bank: Bank, chain: SimulatedChain) -> None:
    wallet, address = await bank.wallet()
    await bank.read()
    chain.pay(address, 700)
    chain.mine(2)
    await bank.read()
    assert await bank.balance(wallet) == 700
    chain.reorganise(2, drop=True)
    await bank.read()
    assert (await bank.states(), await bank.balance(wallet), await bank.held("omnibus")) == (["reverted"], 0, 0)
    assert await bank.told() == ["detected", "credited", "reverted"]


async def test_a_block_that_is_replaced_by_one_with_the_same_payment_changes_nothing(
    bank: Bank, chain: SimulatedChain
) -> None:
    wallet, address = await bank.wallet()
    await bank.read()
    chain.pay(address, 700)
    chain.mine(3)
    await bank.read()
    chain.reorganise(3)
    await bank.read()
    assert (await bank.balance(wallet), await bank.told()) == (700, ["detected", "credited", "releasable"])


async def test_money_that_has_left_is_taken_back_all_the_same(
    bank: Bank, chain: SimulatedChain, ada: Principal
) -> None:
    wallet, address = await bank.wallet(ada)
    other, _ = await bank.wallet()
    await bank.read()
    chain.pay(address, 700)
    chain.mine(2)
    await bank.read()
    await bank.pay_on(ada, wallet, other, "0.00000500")
    chain.reorganise(2, drop=True)
    await bank.read()
    assert (await bank.balance(wallet), await bank.balance(other), await bank.held("omnibus")) == (-500, 500, 0)
    frozen = await bank.wallets.registry.wallet(principal=ada, wallet_id=wallet)
    assert frozen.status == "frozen"
    assert (await bank.ledger.verify()).faults == []


async def test_what_comes_back_is_credited_again_though_its_wallet_is_frozen(bank: Bank, chain: SimulatedChain) -> None:
    wallet, address = await bank.wallet()
    await bank.read()
    chain.pay(address, 700)
    chain.mine(2)
    await bank.read()
    lost = chain.reorganise(2, drop=True)
    await bank.read()
    chain.state.waiting = lost
    chain.mine(2)
    await bank.read()
    assert (await bank.balance(wallet), await bank.held("omnibus"), await bank.states()) == (700, -700, ["credited"])
    assert await bank.told() == ["detected", "credited", "reverted", "detected", "credited"]


async def test_what_a_transaction_does_on_another_branch_is_another_deposit(bank: Bank, chain: SimulatedChain) -> None:
    wallet, address = await bank.wallet()
    await bank.read()
    chain.pay(address, 700, chain_tx="swap")
    chain.mine(2)
    await bank.read()
    chain.reorganise(2, drop=True)
    chain.pay(address, 680, chain_tx="swap")
    chain.mine(2)
    await bank.read()
    assert (await bank.balance(wallet), await bank.held("omnibus")) == (0, 0)
    assert await bank.states() == ["reverted", "detected"]


async def test_a_chain_that_replaces_too_much_is_halted_until_an_operator_resumes_it(
    bank: Bank, chain: SimulatedChain
) -> None:
    wallet, address = await bank.wallet()
    chain.mine(10)
    await bank.read()
    chain.pay(address, 700)
    chain.mine(7)
    await bank.read()
    chain.reorganise(7, drop=True)
    await bank.read()
    halted = await bank.custody.chains.state(chain="bitcoin")
    assert (halted.status, halted.halted, await bank.balance(wallet)) == ("halted", "reorganisation_too_deep", 700)
    await bank.custody.chains.resume(chain="bitcoin")
    await bank.read()
    resumed = await bank.custody.chains.state(chain="bitcoin")
    assert (resumed.status, resumed.lag, await bank.balance(wallet)) == ("reading", 0, 0)
    with pytest.raises(errors.ChainNotHalted):
        await bank.custody.chains.resume(chain="bitcoin")
