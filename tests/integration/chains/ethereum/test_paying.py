"""Payments on a real node: built, signed from their bytes, handed over, replaced, and followed to their end."""

import pytest
from eth_account import Account

from billfold.chains import errors
from billfold.chains.ethereum import fees
from billfold.chains.port import Allocation, Chain, Fate, Payment, Rate
from billfold.devnet.ethereum import faucet
from tests.integration.chains.ethereum.conftest import Opening
from tests.integration.chains.ethereum.world import ETH, GWEI, RATE, House, Stranger, arrived, mined, rpc, somebody
from tests.servers.devnets import DevnetServer

USDC = faucet.USDC


async def test_a_payment_is_followed_from_unseen_to_mined(ethereum_server: DevnetServer, house: House) -> None:
    chain, to = house.chain, somebody()
    assert await chain.next_nonce(house.hot) == 0
    signed, allocation = await house.sign(Payment(address=to, amount=ETH), nonce=0)
    assert str(Account.recover_transaction(signed.raw)) == house.hot
    assert (await chain.find(signed, allocation)).fate is Fate.UNSEEN
    await chain.broadcast(signed)
    await chain.broadcast(signed)
    assert (await chain.find(signed, allocation)).fate is Fate.PENDING
    block = await mined(ethereum_server, chain)
    await chain.broadcast(signed)
    found = await chain.find(signed, allocation)
    assert (found.fate, found.height, found.block, found.succeeded) == (Fate.MINED, block.height, block.hash, True)
    assert arrived(block, to) == [(None, ETH)]
    left = await chain.balance(house.hot, token=None, height=block.height)
    assert left == 9 * ETH - (found.fee or 0)
    assert await chain.next_nonce(house.hot) == 1


async def test_the_same_payment_is_the_same_bytes(house: House) -> None:
    payment = Payment(address=somebody(), amount=7)
    once, _ = await house.sign(payment, nonce=3)
    again, _ = await house.sign(payment, nonce=3)
    assert once == again
    fee = await house.chain.estimate([payment], source=house.hot, rate=RATE)
    assert fee == 21_000 * RATE.numbers["max_fee_per_gas"]


async def test_a_token_is_paid_and_its_fee_is_in_the_coin(
    ethereum_server: DevnetServer, house: House, opening: Opening
) -> None:
    chain, to = opening(USDC), somebody()
    ethereum_server.faucet(house.hot, "5", token=USDC)
    ethereum_server.mine()
    payment = Payment(address=to, amount=1_250_000, token=USDC)
    signed, allocation = await house.sign(payment, nonce=0)
    await chain.broadcast(signed)
    block = await mined(ethereum_server, chain)
    assert arrived(block, to) == [(USDC, 1_250_000)]
    found = await chain.find(signed, allocation)
    assert found.succeeded
    assert 0 < (found.fee or 0) <= await chain.estimate([payment], source=house.hot, rate=RATE)
    with pytest.raises(errors.FundsShort):
        await house.sign(Payment(address=to, amount=5_000_000, token=USDC), nonce=1)
    with pytest.raises(errors.FundsShort):
        await house.sign(Payment(address=to, amount=10 * ETH), nonce=1)


async def test_a_replacement_takes_the_place_of_the_first_which_is_dead_once_that_is_final(
    ethereum_server: DevnetServer, house: House
) -> None:
    chain, payment = house.chain, Payment(address=somebody(), amount=1)
    first, allocation = await house.sign(payment, nonce=0)
    await chain.broadcast(first)
    # Anvil takes any replacement that offers more; geth wants a tenth more (test_geth).
    stingy = Rate(numbers={name: value * 95 // 100 for name, value in RATE.numbers.items()})
    refused, _ = await house.sign(payment, nonce=0, rate=stingy)
    with pytest.raises(errors.Refused):
        await chain.broadcast(refused)
    raised = chain.raised(RATE)
    assert all(8 * raised.numbers[name] >= 9 * value for name, value in RATE.numbers.items())
    second, _ = await house.sign(payment, nonce=0, rate=raised)
    await chain.broadcast(second)
    await mined(ethereum_server, chain)
    assert (await chain.find(second, allocation)).fate is Fate.MINED
    found = await chain.find(first, allocation)
    assert (found.fate, "not final" in found.reason) == (Fate.UNSEEN, True)
    ethereum_server.mine(9)
    found = await chain.find(first, allocation)
    assert found.fate is Fate.DEAD
    assert second.chain_tx in found.reason
    with pytest.raises(errors.Refused):
        await chain.broadcast(first)


async def test_a_gap_is_filled_by_paying_oneself_nothing(ethereum_server: DevnetServer, house: House) -> None:
    chain = house.chain
    later, after = await house.sign(Payment(address=somebody(), amount=1), nonce=1)
    await chain.broadcast(later)
    ethereum_server.mine()
    assert (await chain.find(later, after)).fate is Fate.PENDING
    filling, allocation = await house.sign(Payment(address=house.hot, amount=0), nonce=0)
    await chain.broadcast(filling)
    block = await mined(ethereum_server, chain)
    assert [(await chain.find(*each)).fate for each in ((filling, allocation), (later, after))] == [Fate.MINED] * 2
    assert arrived(block, house.hot) == []


async def test_a_payment_whose_block_is_replaced_waits_or_is_sent_again(
    ethereum_server: DevnetServer, house: House
) -> None:
    chain = house.chain
    signed, allocation = await house.sign(Payment(address=somebody(), amount=1), nonce=0)
    await chain.broadcast(signed)
    ethereum_server.mine()
    ethereum_server.reorg(1, drop=True)
    assert (await chain.find(signed, allocation)).fate is Fate.UNSEEN
    await chain.broadcast(signed)
    ethereum_server.mine()
    assert (await chain.find(signed, allocation)).fate is Fate.MINED


async def test_what_can_not_be_received_is_said_before(
    ethereum_server: DevnetServer, opening: Opening, stranger: Stranger, house: House
) -> None:
    chain = opening(USDC)

    async def obstacle(address: str, token: str | None = None, memo: str | None = None) -> str | None:
        return (await chain.examine(address, memo=memo, token=token, amount=ETH)).obstacle

    deaf, paying = stranger.deploy("Deaf"), stranger.deploy("Paying")
    proxy = stranger.deploy("Proxy", ["address"], [USDC])
    assert await obstacle(somebody()) is None
    assert await obstacle(somebody().lower(), USDC) is None
    assert await obstacle(deaf) == await obstacle(paying) == await obstacle(proxy) == "cannot_receive"
    assert await obstacle(deaf, USDC) is None
    assert await obstacle("0x" + 40 * "0", USDC) == await obstacle("0x" + 39 * "0" + "9") == "nobody"
    assert await obstacle(USDC, USDC) == await obstacle(USDC) == "token_contract"
    assert await obstacle(somebody(), memo="id:7") == "no_memos"
    with pytest.raises(errors.PaymentInvalid):
        await house.sign(Payment(address=deaf, amount=1), nonce=0)


async def test_a_token_that_is_not_reverted_and_moves_nothing_has_not_paid(
    ethereum_server: DevnetServer, house: House, stranger: Stranger
) -> None:
    unwilling = stranger.deploy("Unwilling")
    signed, allocation = await house.sign(Payment(address=somebody(), amount=10, token=unwilling), nonce=0)
    await house.chain.broadcast(signed)
    ethereum_server.mine()
    found = await house.chain.find(signed, allocation)
    assert (found.fate, found.succeeded) == (Fate.MINED, False)
    assert found.reason == "the token tells of no such transfer"


async def test_a_token_that_keeps_a_part_of_a_transfer_has_paid_and_what_is_strange_is_said(
    ethereum_server: DevnetServer, house: House, stranger: Stranger
) -> None:
    taking, to = stranger.deploy("Taking"), somebody()
    stranger.call(taking, "mint(address,uint256)", house.hot, 1_000_000)
    ethereum_server.mine()
    signed, allocation = await house.sign(Payment(address=to, amount=1_000_000, token=taking), nonce=0)
    await house.chain.broadcast(signed)
    height = ethereum_server.mine()["height"]
    found = await house.chain.find(signed, allocation)
    assert (found.fate, found.succeeded) == (Fate.MINED, True)
    assert found.reason == "the token tells that 1000000 units have left and 999000 have arrived, of 1000000"
    assert await house.chain.balance(to, token=taking, height=height) == 999_000
    assert await house.chain.balance(house.hot, token=taking, height=height) == 0


async def test_three_speeds_are_offered_and_none_above_the_cap(
    ethereum_server: DevnetServer, chain: Chain, stranger: Stranger
) -> None:
    stranger.send(somebody(), value=1)
    ethereum_server.mine()
    rates = await chain.rates()
    slow, normal, fast = (rates[speed].numbers["max_fee_per_gas"] for speed in ("slow", "normal", "fast"))
    assert 0 < slow <= normal <= fast <= fees.FEE_MAX
    dear = Rate(numbers={"max_fee_per_gas": 1990 * GWEI, "max_priority_fee_per_gas": GWEI})
    with pytest.raises(errors.NotReplaceable):
        chain.raised(dear)


async def test_one_transaction_is_one_payment_without_a_memo(house: House) -> None:
    payment = Payment(address=somebody(), amount=1)
    allocation = Allocation(source=house.hot, nonce=0)
    for payments in (
        [payment, payment],
        [],
        [Payment(address=payment.address, amount=1, memo="text:x")],
        [Payment(address=payment.address, amount=-1)],
        [Payment(address=payment.address, amount=2**256)],
        [Payment(address="0x" + 40 * "0", amount=1)],
    ):
        with pytest.raises(errors.PaymentInvalid):
            await house.chain.build(payments, allocation, rate=RATE)
    with pytest.raises(errors.PaymentInvalid):
        await house.chain.build([payment], allocation, rate=Rate(numbers={"sat_per_kvb": 1000}))
    assert rpc(house.server, "eth_getTransactionCount", house.hot, "pending") == "0x0"
