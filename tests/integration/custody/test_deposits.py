"""Deposits from the first sight of them to their end."""

from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import Bank


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
