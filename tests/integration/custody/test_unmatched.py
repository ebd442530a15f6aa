"""Deposits that are nobody's, until an operator says whose they are."""

from types import SimpleNamespace
from typing import cast
from uuid import UUID

from msgspec.structs import replace

from billfold.chains.stellar import showing as stellar
from billfold.custody import Showing
from billfold.custody.store import refunds
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import TERMS, Bank


async def test_a_deposit_of_a_closed_wallet_is_kept_for_whoever_proves_it(
    bank: Bank, ada: Principal, operator: Principal
) -> None:
    other, _ = await bank.wallet(ada)
    await bank.keep_unmatched(ada)
    assert await bank.held("suspense") == 700
    (kept,) = (await bank.wallets.on_chains.unmatched(principal=operator)).items
    given = await bank.wallets.on_chains.assign(
        principal=operator, deposit_id=kept.id, wallet_id=other, reason="ticket 1"
    )
    assert (given.wallet_id, await bank.balance(other), await bank.held("suspense")) == (other, 700, 0)


async def test_what_was_given_to_a_wallet_that_closed_while_no_block_had_it_can_be_given_to_another(
    bank: Bank, chain: SimulatedChain, ada: Principal, operator: Principal
) -> None:
    (first, _), (second, _) = await bank.wallet(ada), await bank.wallet(ada)
    await bank.keep_unmatched(ada)
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


async def test_what_is_nobodys_and_less_than_the_minimum_waits_for_who_is_given_it(
    database: Database, ledger: Ledger, operator: Principal
) -> None:
    chain = SimulatedChain(name="stellar", coin="XLM", model="nonce")
    showing = SimpleNamespace(SHARED=True, memo=stellar.memo, uri=stellar.uri, muxed=lambda *_: None)
    terms = replace(TERMS, minimum={"XLM": "0.0000010"})
    bank = Bank(database=database, ledger=ledger, chain=chain, terms=terms, showing=cast("Showing", showing))
    wallet, shared = await bank.wallet()
    (shown,) = await bank.custody.addresses.of_wallet(wallet_id=wallet)
    await bank.read()
    dust = [chain.pay(shared, 1, memo="id:12") for _ in range(20)]
    lost = chain.pay(shared, 6)
    chain.mine(2)
    await bank.read()
    assert await bank.held("suspense", "XLM") == 0
    (found,) = (await bank.custody.explaining.explain(chain_tx=dust[0].chain_tx, own=None)).found
    assert found.verdict == "unmatched"

    page = await bank.wallets.on_chains.unmatched(principal=operator, limit=100)
    meant = next(one for one in page.items if one.chain_tx == lost.chain_tx)
    await bank.wallets.on_chains.assign(principal=operator, deposit_id=meant.id, wallet_id=wallet, reason="it is")
    await bank.read()
    assert await bank.balance(wallet, "XLM") == 0
    (found,) = (await bank.custody.explaining.explain(chain_tx=lost.chain_tx, own=None)).found
    assert found.verdict == "below_minimum"
    chain.pay(shared, 4, memo=f"id:{shown.memo}")
    chain.mine(2)
    await bank.read()
    assert (await bank.balance(wallet, "XLM"), await bank.held("suspense", "XLM")) == (10, 0)
    assert (await bank.ledger.verify()).faults == []


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
