"""Deposits of tokens, which are seen at another place of their transaction before a block has them."""

import pytest
from msgspec.structs import replace

from billfold.kernel.assets import Asset
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import Bank


@pytest.mark.parametrize(
    ("place", "arrives"),
    [
        pytest.param("log:0", 1_000, id="as it was guessed"),
        pytest.param("log:1", 1_000, id="another event comes first"),
        pytest.param("log:2", 990, id="the token keeps a part"),
    ],
)
async def test_a_token_that_was_seen_before_its_block_is_the_deposit_that_the_block_has(
    database: Database, ledger: Ledger, place: str, arrives: int
) -> None:
    chain = SimulatedChain(name="ethereum", coin="ETH", model="nonce")
    await ledger.add_asset(asset=Asset(code="TOK", scale=2, kind="token", name="T", chain="ethereum", contract="0xtok"))
    bank = Bank(database=database, ledger=ledger, chain=chain)
    wallet, address = await bank.wallet()
    await bank.read()
    guessed = chain.pay(address, 1_000, token="0xtok", index="log:0")
    await bank.read()
    (seen,) = (await bank.custody.explaining.explain(chain_tx=guessed.chain_tx, own=None)).found
    assert seen.deposit is not None
    assert (seen.verdict, seen.deposit.index, seen.deposit.money.amount) == ("pending", "log:0", "10.00")
    chain.state.waiting = [replace(guessed, index=place, amount=arrives)]
    chain.mine(2)
    # A node that is behind still shows it, as it was called.
    chain.state.waiting = [guessed]
    await bank.read()
    assert (await bank.balance(wallet, "TOK"), await bank.states()) == (arrives, ["credited"])
    (found,) = (await bank.custody.explaining.explain(chain_tx=guessed.chain_tx, own=None)).found
    assert found.deposit is not None
    assert (found.deposit.id, found.deposit.index) == (seen.deposit.id, place)
    assert await bank.told() == ["detected", "credited"]
    # The next branch has it elsewhere again, as another deposit: this one was credited.
    chain.reorganise(2, drop=True)
    chain.state.waiting = [replace(guessed, index="log:7")]
    chain.mine(2)
    await bank.read()
    assert (await bank.balance(wallet, "TOK"), await bank.states()) == (0, ["reverted", "detected"])


async def test_of_two_payments_of_a_token_to_one_address_one_was_guessed(database: Database, ledger: Ledger) -> None:
    chain = SimulatedChain(name="ethereum", coin="ETH", model="nonce")
    await ledger.add_asset(asset=Asset(code="TOK", scale=2, kind="token", name="T", chain="ethereum", contract="0xtok"))
    bank = Bank(database=database, ledger=ledger, chain=chain)
    wallet, address = await bank.wallet()
    await bank.read()
    guessed = chain.pay(address, 1_000, token="0xtok", index="log:0")
    await bank.read()
    chain.state.waiting = [replace(guessed, index=f"log:{place}") for place in (1, 2)]
    chain.mine()
    await bank.read()
    # The same again on another branch, in other places, before anything is credited.
    chain.reorganise(1, drop=True)
    chain.state.waiting = [guessed]
    await bank.read()
    chain.state.waiting = [replace(guessed, index=f"log:{place}", amount=900) for place in (0, 1)]
    chain.mine(3)
    await bank.read()
    assert await bank.balance(wallet, "TOK") == 1_800
    assert sorted(await bank.states()) in (["credited", "credited"], ["credited", "credited", "detected"])


async def test_a_token_that_is_no_asset_here_is_passed_over_and_said_so(bank: Bank, chain: SimulatedChain) -> None:
    wallet, address = await bank.wallet()
    await bank.read()
    paid = chain.pay(address, 700, token="0xfake")
    chain.mine(2)
    await bank.read()
    (found,) = (await bank.custody.explaining.explain(chain_tx=paid.chain_tx, own=None)).found
    assert (found.verdict, await bank.balance(wallet), await bank.states()) == ("ignored", 0, [])
