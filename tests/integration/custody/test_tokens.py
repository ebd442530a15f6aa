"""Deposits of tokens, which are seen at another place of their transaction before a block has them."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from billfold.chains.port import Movement
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import TOKEN, Bank


async def seen_early(bank: Bank, chain: SimulatedChain) -> tuple[UUID, Movement]:
    """A wallet, and ten of the token for it as a node guesses them before a block has them."""
    wallet, address = await bank.wallet()
    await bank.read()
    guessed = chain.pay(address, 1_000, token=TOKEN, index="log:0")
    await bank.read()
    return wallet, guessed


@pytest.mark.parametrize(
    ("place", "arrives"),
    [
        pytest.param("log:0", 1_000, id="as it was guessed"),
        pytest.param("log:1", 1_000, id="another event comes first"),
        pytest.param("log:2", 990, id="the token keeps a part"),
    ],
)
async def test_a_token_that_was_seen_before_its_block_is_the_deposit_that_the_block_has(
    token_bank: Bank, ethereum: SimulatedChain, place: str, arrives: int
) -> None:
    wallet, guessed = await seen_early(token_bank, ethereum)
    (seen,) = (await token_bank.custody.explaining.explain(chain_tx=guessed.chain_tx, own=None)).found
    assert seen.deposit is not None
    assert (seen.verdict, seen.deposit.index, seen.deposit.money.amount) == ("pending", "log:0", "10.00")
    ethereum.state.waiting = [replace(guessed, index=place, amount=arrives)]
    ethereum.mine(2)
    # A node that is behind still shows it, as it was called.
    ethereum.state.waiting = [guessed]
    await token_bank.read()
    assert (await token_bank.balance(wallet, "TOK"), await token_bank.states()) == (arrives, ["credited"])
    (found,) = (await token_bank.custody.explaining.explain(chain_tx=guessed.chain_tx, own=None)).found
    assert found.deposit is not None
    assert (found.deposit.id, found.deposit.index) == (seen.deposit.id, place)
    assert await token_bank.told() == ["detected", "credited"]
    # The next branch has it elsewhere again, as another deposit: this one was credited.
    ethereum.reorganise(2, drop=True)
    ethereum.state.waiting = [replace(guessed, index="log:7")]
    ethereum.mine(2)
    await token_bank.read()
    assert (await token_bank.balance(wallet, "TOK"), await token_bank.states()) == (0, ["reverted", "detected"])


async def test_of_two_payments_of_a_token_to_one_address_one_was_guessed(
    token_bank: Bank, ethereum: SimulatedChain
) -> None:
    wallet, guessed = await seen_early(token_bank, ethereum)
    ethereum.state.waiting = [replace(guessed, index=f"log:{place}") for place in (1, 2)]
    ethereum.mine()
    await token_bank.read()
    # The same again on another branch, in other places, before anything is credited.
    ethereum.reorganise(1, drop=True)
    ethereum.state.waiting = [guessed]
    await token_bank.read()
    ethereum.state.waiting = [replace(guessed, index=f"log:{place}", amount=900) for place in (0, 1)]
    ethereum.mine(3)
    await token_bank.read()
    assert await token_bank.balance(wallet, "TOK") == 1_800
    assert sorted(await token_bank.states()) in (["credited", "credited"], ["credited", "credited", "detected"])


async def test_a_token_that_is_no_asset_here_is_passed_over_and_said_so(bank: Bank, chain: SimulatedChain) -> None:
    wallet, address = await bank.wallet()
    await bank.read()
    paid = chain.pay(address, 700, token="0xfake")
    chain.mine(2)
    await bank.read()
    (found,) = (await bank.custody.explaining.explain(chain_tx=paid.chain_tx, own=None)).found
    assert (found.verdict, await bank.balance(wallet), await bank.states()) == ("ignored", 0, [])
