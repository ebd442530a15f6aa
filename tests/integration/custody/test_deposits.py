"""Deposits from the first sight of them to their end."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from billfold.chains.port import Spent
from billfold.chains.stellar import showing as stellar
from billfold.custody import Showing, errors
from billfold.custody.service import crediting, recording
from billfold.custody.store import refunds
from billfold.kernel.assets import Asset
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


async def test_blocks_of_an_outage_are_all_read(bank: Bank, chain: SimulatedChain) -> None:
    wallet, address = await bank.wallet()
    await bank.read()
    for _ in range(150):
        chain.pay(address, 1)
        chain.mine()
    chain.mine()
    await bank.read()
    assert await bank.balance(wallet) == 150


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


async def test_a_deposit_of_a_closed_wallet_is_kept_for_whoever_proves_it(
    bank: Bank, chain: SimulatedChain, ada: Principal, operator: Principal
) -> None:
    wallet, address = await bank.wallet(ada)
    other, _ = await bank.wallet(ada)
    await bank.read()
    await bank.wallets.registry.close(principal=ada, wallet_id=wallet)
    chain.pay(address, 700)
    chain.mine(2)
    await bank.read()
    await bank.read()
    assert await bank.held("suspense") == 700
    (kept,) = (await bank.wallets.on_chains.unmatched(principal=operator)).items
    given = await bank.wallets.on_chains.assign(
        principal=operator, deposit_id=kept.id, wallet_id=other, reason="ticket 1"
    )
    assert (given.wallet_id, await bank.balance(other), await bank.held("suspense")) == (other, 700, 0)


async def test_what_was_given_to_a_wallet_that_closed_while_no_block_had_it_can_be_given_to_another(
    bank: Bank, chain: SimulatedChain, ada: Principal, operator: Principal
) -> None:
    closed, address = await bank.wallet(ada)
    (first, _), (second, _) = await bank.wallet(ada), await bank.wallet(ada)
    await bank.read()
    await bank.wallets.registry.close(principal=ada, wallet_id=closed)
    chain.pay(address, 700)
    chain.mine(2)
    for _ in range(2):
        await bank.read()
    (kept,) = (await bank.wallets.on_chains.unmatched(principal=operator)).items

    async def give(wallet: UUID) -> UUID | None:
        given = await bank.wallets.on_chains.assign(
            principal=operator, deposit_id=kept.id, wallet_id=wallet, reason="ticket 1"
        )
        return given.wallet_id

    assert (await give(first), await bank.balance(first)) == (first, 700)
    lost = chain.reorganise(2, drop=True)
    await bank.read()
    assert (await bank.states(), await bank.balance(first)) == (["reverted"], 0)
    await bank.wallets.registry.unfreeze(principal=operator, wallet_id=first)
    await bank.wallets.registry.close(principal=ada, wallet_id=first)
    chain.state.waiting = lost
    chain.mine(2)
    for _ in range(2):
        await bank.read()
    assert (await bank.states(), await bank.held("suspense")) == (["credited"], 700)
    async with bank.database.connection() as connection:
        assert not await refunds.is_claimed(connection, kept.id)
        kept_of = await connection.fetch("SELECT deposit_id, wallet_id, reason FROM custody.ended_claims")
    assert [tuple(row) for row in kept_of] == [(kept.id, first, "ticket 1")]
    assert (await give(second), await bank.balance(second), await bank.held("suspense")) == (second, 700, 0)


async def test_money_without_a_known_memo_is_nobodys_until_an_operator_says_whose(
    database: Database, ledger: Ledger, operator: Principal
) -> None:
    chain = SimulatedChain(name="stellar", coin="XLM", model="nonce")
    # The addresses of the tests are no keys, so they have no M-addresses.
    showing = SimpleNamespace(SHARED=True, memo=stellar.memo, uri=stellar.uri, muxed=lambda *_: None)
    bank = Bank(database=database, ledger=ledger, chain=chain, showing=cast("Showing", showing))
    wallet, shared = await bank.wallet()
    (shown,) = await bank.custody.addresses.of_wallet(wallet_id=wallet)
    await bank.read()
    chain.pay(shared, 7, memo=f"id:{shown.memo}")
    chain.pay(shared, 8, memo=f"text:{shown.memo}")
    chain.pay(shared, 9, memo="id:12")
    lost = chain.pay(shared, 10)
    chain.mine(2)
    await bank.read()
    assert (await bank.balance(wallet, "XLM"), await bank.held("suspense", "XLM")) == (15, 19)
    page = await bank.wallets.on_chains.unmatched(principal=operator)
    meant = next(one for one in page.items if one.chain_tx == lost.chain_tx)
    for _ in range(2):
        await bank.wallets.on_chains.assign(principal=operator, deposit_id=meant.id, wallet_id=wallet, reason="it is")
    assert (await bank.balance(wallet, "XLM"), await bank.held("suspense", "XLM")) == (25, 9)
    chain.reorganise(2, drop=True)
    await bank.read()
    assert (await bank.balance(wallet, "XLM"), await bank.held("suspense", "XLM")) == (0, 0)


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


async def test_a_token_that_is_no_asset_here_is_passed_over_and_said_so(bank: Bank, chain: SimulatedChain) -> None:
    wallet, address = await bank.wallet()
    await bank.read()
    paid = chain.pay(address, 700, token="0xfake")
    chain.mine(2)
    await bank.read()
    (found,) = (await bank.custody.explaining.explain(chain_tx=paid.chain_tx, own=None)).found
    assert (found.verdict, await bank.balance(wallet), await bank.states()) == ("ignored", 0, [])


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
