"""A chain's blocks are all read, once, and none is believed that can not be."""

import asyncio

import pytest

from billfold.custody import errors
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import Bank


async def test_blocks_of_an_outage_are_all_read(bank: Bank, chain: SimulatedChain) -> None:
    wallet, address = await bank.wallet()
    await bank.read()
    for _ in range(150):
        chain.pay(address, 1)
        chain.mine()
    chain.mine()
    await bank.read()
    assert await bank.balance(wallet) == 150


async def test_a_block_that_can_not_be_is_not_believed(bank: Bank, chain: SimulatedChain) -> None:
    _, address = await bank.wallet()
    await bank.read()
    height = (await bank.custody.chains.state(chain="bitcoin")).height
    for wrong in (
        {"amount": -1},
        {"amount": 10**90},
        {"chain_tx": "x" * 500},
        {"sender": "\ud800"},
        {"memo": "text:\x00"},
        {"matures_after": 2**70},
    ):
        chain.pay(address, **({"amount": 5} | wrong))
        chain.mine()
        with pytest.raises(errors.BlockWrong):
            await bank.custody.watchers["bitcoin"].step()
        chain.state.blocks.pop()
    chain.pay(address, 5, chain_tx="twice")
    chain.pay(address, 5, chain_tx="twice")
    chain.mine()
    assert await bank.custody.watchers["bitcoin"].look() > 0
    assert (await bank.custody.chains.state(chain="bitcoin")).height == height


async def test_of_two_who_read_a_chain_one_moves_its_cursor(bank: Bank, chain: SimulatedChain) -> None:
    wallet, address = await bank.wallet()
    await bank.read()
    second = Bank(database=bank.database, ledger=bank.ledger, chain=chain)
    for _ in range(30):
        chain.pay(address, 1)
        chain.mine()
    chain.mine()
    await asyncio.gather(*(one.custody.watchers["bitcoin"].look() for one in (bank, second) for _ in range(2)))
    await bank.read()
    assert await bank.balance(wallet) == 30
    assert sorted(await bank.told()) == ["credited"] * 30 + ["detected"] * 30 + ["releasable"] * 28
