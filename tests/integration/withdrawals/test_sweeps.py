"""Deposits come to where withdrawals are paid from, on chains whose wallets have addresses of their own."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from billfold.chains.errors import NodeWrong
from tests.integration.withdrawals.simulated import TOKEN
from tests.integration.withdrawals.support import HOT, SWEPT, TOKEN_ASSET, Office

swept = pytest.mark.parametrize("chain_name", SWEPT, indirect=True)
one_chain = pytest.mark.parametrize("chain_name", ["ethereum"], indirect=True)
sponsored = pytest.mark.parametrize("chain_name", ["solana"], indirect=True)
#: A payment costs at most 40 on the tests' chains, and 30 in the end.
FEE_MAX, FEE = 40, 30
#: What an address without coin is brought: the fee, and a quarter more for when it rises.
GAS = 50


def waiting(office: Office) -> float | None:
    labels = {"chain": office.chain.name, "asset": office.chain.coin}
    return REGISTRY.get_sample_value("billfold_custody_uncollected_units", labels)


@swept
async def test_a_withdrawal_that_only_deposits_can_pay_leaves_when_they_are_swept(office: Office) -> None:
    account, _ = await office.deposit(6_000, place=0)
    await office.deposit(5_000, place=1)
    asked = (await office.request(account, 5_900, "sim-a")).withdrawal
    (ended,) = await office.finish(asked.id)
    assert ended.status == "settled"
    assert sorted(office.chain.received(HOT)) == [5_000 - FEE_MAX, 6_000 - FEE_MAX]
    fees = await office.house.account(kind="fees", asset=office.chain.coin)
    assert (await office.posted(fees))[0] == -2 * FEE
    await office.check_conserved(ended)


@one_chain
async def test_what_is_not_worth_its_fee_lies_until_it_is(office: Office) -> None:
    account, address = await office.deposit(10 * FEE_MAX, place=0)
    await office.work()
    await office.withdrawals.measure_sweeps(chain=office.chain.name)
    assert (await office.open(), waiting(office)) == (0, 10 * FEE_MAX)
    await office.deposit(1, place=0, account=account)
    await office.work()
    await office.finish()
    await office.withdrawals.measure_sweeps(chain=office.chain.name)
    assert (office.chain.received(HOT), waiting(office)) == ([9 * FEE_MAX + 1], 0)
    assert office.chain.balances()[address, ""] == FEE_MAX - FEE
    await office.check_conserved()


@one_chain
async def test_a_silent_node_and_a_dear_hour_are_waited_out(office: Office) -> None:
    await office.deposit(5_000, place=0)
    office.chain.is_down = True
    assert await office.withdrawals.sweep(chain=office.chain.name) == 0
    office.chain.is_down = False
    office.chain.spike = 100
    await office.work()
    assert (await office.open(), await office.uncollected()) == (0, 1)
    office.chain.spike = 1
    for _ in range(12):
        await office.work()
    await office.finish()
    assert office.chain.received(HOT) == [5_000 - FEE_MAX]


@one_chain
async def test_of_two_who_look_at_once_one_sweeps(office: Office) -> None:
    await office.deposit(5_000, place=0)
    await asyncio.gather(*(office.withdrawals.sweep(chain=office.chain.name) for _ in range(4)))
    assert await office.open() == 1
    await office.finish()
    await office.deposit(3_000, place=0)
    await office.work()
    await office.finish()
    assert office.chain.received(HOT) == [5_000 - FEE_MAX, 3_000 + FEE_MAX - FEE - FEE_MAX]
    await office.check_conserved()


@one_chain
async def test_what_the_signer_refuses_is_given_back_and_swept_later(office: Office) -> None:
    office.signer.refuses = True
    await office.deposit(5_000, place=0)
    await office.work()
    assert (await office.open(), await office.uncollected()) == (0, 1)
    office.signer.refuses = False
    await office.work()
    await office.work()
    await office.finish()
    assert office.chain.received(HOT) == [5_000 - FEE_MAX]
    await office.check_conserved()


@pytest.mark.parametrize("chain_name", ["solana"], indirect=True)
async def test_a_sweep_that_no_block_took_in_time_is_made_anew(office: Office) -> None:
    office.chain.faults = ["lost"] * 30
    await office.deposit(5_000, place=0)
    for _ in range(14):
        await office.work()
        office.chain.mine()
    office.chain.faults = []
    await office.work()
    await office.finish()
    assert office.chain.received(HOT) == [5_000 - FEE_MAX]
    await office.check_conserved()


@one_chain
async def test_a_token_is_brought_the_fee_of_its_sweep(office: Office) -> None:
    await office.endow(10_000)
    account, address = await office.deposit(700, place=0, asset=TOKEN_ASSET)
    asked = (await office.request(account, 600, "sim-a", asset=TOKEN_ASSET)).withdrawal
    (ended,) = await office.finish(asked.id)
    assert ended.status == "settled"
    assert (office.chain.received(HOT), office.chain.received(address)) == ([700], [GAS])
    assert office.chain.balances()[address, TOKEN] == 0
    fees = await office.house.account(kind="fees", asset="ETH")
    assert (await office.posted(fees))[0] == 10_000 - 3 * FEE
    await office.check_conserved(ended)


@one_chain
async def test_coin_that_lies_with_a_token_pays_for_it_and_is_swept_after(office: Office) -> None:
    await office.deposit(2_000, place=0)
    await office.deposit(700, place=0, asset=TOKEN_ASSET)
    for _ in range(2):
        await office.work()
        await office.finish()
    assert office.chain.received(HOT) == [700, 2_000 - FEE - FEE_MAX]
    await office.check_conserved()


@one_chain
async def test_tokens_below_the_minimum_and_without_gas_lie_where_they_are(office: Office) -> None:
    def short() -> float:
        return REGISTRY.get_sample_value("billfold_custody_gas_short_total", {"chain": "ethereum"}) or 0

    before = short()
    await office.deposit(499, place=0, asset=TOKEN_ASSET)
    await office.work()
    assert (await office.open(), await office.uncollected(), short()) == (0, 1, before)
    await office.deposit(1, place=0, asset=TOKEN_ASSET)
    await office.work()
    assert (await office.open(), await office.uncollected(), short()) == (0, 2, before + 1)
    await office.endow(1_000)
    for _ in range(2):
        await office.work()
        await office.finish()
    assert office.chain.received(HOT) == [500]
    await office.check_conserved()


@sponsored
async def test_the_house_pays_for_tokens_where_a_chain_lets_it_and_brings_nothing(office: Office) -> None:
    await office.endow(10_000)
    account, address = await office.deposit(700, place=0, asset=TOKEN_ASSET)
    asked = (await office.request(account, 600, "sim-a", asset=TOKEN_ASSET)).withdrawal
    (ended,) = await office.finish(asked.id)
    assert ended.status == "settled"
    assert (office.chain.received(HOT), office.chain.received(address)) == ([700], [])
    assert office.chain.balances()[address, TOKEN] == 0
    fees = await office.house.account(kind="fees", asset="SOL")
    assert (await office.posted(fees))[0] == 10_000 - 2 * FEE
    (told,) = [one for one in await office.told("treasury.moved.v1") if one["kind"] == "sweep"]
    assert (told["source"], told["address"]) == (address, HOT)
    await office.check_conserved(ended)


@sponsored
async def test_what_the_house_pays_for_tokens_is_not_given_out_twice(office: Office) -> None:
    await office.endow(2 * FEE_MAX)
    for place in range(3):
        await office.deposit(700, place=place, asset=TOKEN_ASSET)
    # Each may cost so much, though it costs less in the end: the third waits for what the first two leave.
    assert await office.withdrawals.sweep(chain=office.chain.name) == 2
    assert await office.withdrawals.sweep(chain=office.chain.name) == 0
    assert (await office.open(), await office.uncollected()) == (2, 1)
    await office.finish()
    await office.endow(FEE_MAX)
    await office.work()
    await office.finish()
    assert office.chain.received(HOT) == [700, 700, 700]
    await office.check_conserved()


@swept
async def test_an_address_of_which_nodes_say_what_can_t_be_holds_up_no_other(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bad = await office.deposit(5_000, place=0)
    await office.deposit(6_000, place=1)
    balance = office.chain.balance

    async def answered(address: str, *, token: str | None, height: int) -> int:
        if address == bad:
            raise NodeWrong("A node gives too many token accounts.")
        return await balance(address, token=token, height=height)

    monkeypatch.setattr(office.chain, "balance", answered)
    await office.work()
    await office.finish()
    assert (office.chain.received(HOT), await office.uncollected()) == ([6_000 - FEE_MAX], 1)
    await office.check_conserved()
