"""The adapter of Stellar pays: what speaks against it, what becomes of it, and what it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from stellar_sdk import (
    AccountMerge,
    Asset,
    ChangeTrust,
    FeeBumpTransaction,
    FeeBumpTransactionEnvelope,
    Keypair,
    ManageData,
    MuxedAccount,
    Payment,
)

from billfold.chains import errors, port
from billfold.chains.port import Fate
from tests.integration.chains.stellar.net import RATE, REAL, XLM, House, Net, arrived, inner_of

sandbox_only = pytest.mark.skipif(bool(REAL), reason="only the sandbox's clock and faults can be set")


async def test_what_speaks_against_a_payment_is_said_before_it(net: Net, chain: port.Chain) -> None:
    issuer, holder, careful = await net.funded(), await net.funded(), await net.funded()
    token = await net.issued(issuer, holder, "10")
    asset = Asset("TEST", issuer.public_key)
    await net.send(holder, ChangeTrust(asset, "15"))
    await net.send(careful, ManageData("config.memo_required", "1"))
    nobody = Keypair.random().public_key

    async def obstacle(address: str, amount: int, *, of: str | None = None, memo: str | None = None) -> str | None:
        return (await chain.examine(address, memo=memo, token=of, amount=amount)).obstacle

    assert await obstacle(nobody, XLM // 2) == "below_reserve"
    assert await obstacle(nobody, 1, of=token) == "account_missing"
    assert await obstacle(careful.public_key, 1, of=token, memo="id:1") == "trustline_missing"
    assert await obstacle(holder.public_key, 5 * XLM + 1, of=token) == "trustline_full"
    assert await obstacle(careful.public_key, 1) == "memo_required"
    muxed = MuxedAccount(careful.public_key, 4).account_muxed
    assert muxed is not None
    for good in (
        await chain.examine(nobody, memo=None, token=None, amount=XLM),
        await chain.examine(holder.public_key, memo=None, token=token, amount=5 * XLM),
        await chain.examine(issuer.public_key, memo=None, token=token, amount=5 * XLM),
        await chain.examine(muxed, memo=None, token=None, amount=1),
    ):
        assert good.obstacle is None
    assert (good.address, good.memo) == (careful.public_key, "id:4")


async def test_a_withdrawal_is_paid_by_the_hot_account_and_numbered_by_the_channel(
    net: Net, chain: port.Chain, house: House
) -> None:
    there, new = await net.funded(), Keypair.random().public_key
    payments = [
        port.Payment(address=there.public_key, amount=XLM, memo="text:both"),
        port.Payment(address=new, amount=2 * XLM, memo="text:both"),
    ]
    before = await chain.balance(house.hot, token=None, height=0)
    allocation = await house.allocation(chain)
    signed = await house.signed(chain, payments, allocation)
    assert (await chain.find(signed, allocation)).fate is Fate.UNSEEN
    await chain.broadcast(signed)
    await chain.broadcast(signed)
    found_tx = await net.settled(signed.chain_tx)
    await chain.broadcast(signed)
    found = await chain.find(signed, allocation)
    assert (found.fate, found.succeeded, found.height) == (Fate.MINED, True, found_tx["ledger"])
    assert found.fee is not None
    assert 0 < found.fee <= await chain.estimate(payments, source=house.hot, rate=RATE)
    block = await chain.block(found_tx["ledger"])
    assert block is not None
    assert found.block == block.hash
    assert await chain.balance(house.hot, token=None, height=0) == before - 3 * XLM - found.fee
    assert await chain.balance(house.channels[0], token=None, height=0) == 2 * XLM
    [second] = arrived(block, new)
    assert (second.index, second.amount, second.memo) == ("1", 2 * XLM, "text:both")
    assert await chain.next_nonce(house.channels[0]) == (allocation.nonce or 0) + 1


async def test_a_trustline_is_opened_and_tokens_are_sent(net: Net, house: House) -> None:
    issuer, holder = await net.funded(), await net.funded()
    token = await net.issued(issuer, holder, "50")
    chain = net.chain(token)

    async def paid(payment: port.Payment) -> None:
        allocation = await house.allocation(chain)
        signed = await house.signed(chain, [payment], allocation)
        await chain.broadcast(signed)
        await net.settled(signed.chain_tx)
        assert (await chain.find(signed, allocation)).succeeded

    await paid(port.Payment(address=house.hot, amount=0, token=token))
    await net.send(holder, Payment(house.hot, Asset("TEST", issuer.public_key), "20"))
    await paid(port.Payment(address=holder.public_key, amount=5 * XLM, token=token))
    assert await chain.balance(house.hot, token=token, height=0) == 15 * XLM
    with pytest.raises(errors.FundsShort):
        too_much = port.Payment(address=holder.public_key, amount=16 * XLM, token=token)
        await chain.build([too_much], await house.allocation(chain), rate=RATE)


async def test_a_higher_offer_has_the_same_transaction_within_and_one_of_them_happens(
    net: Net, chain: port.Chain, house: House
) -> None:
    payments = [port.Payment(address=(await net.funded()).public_key, amount=XLM)]
    allocation = await house.allocation(chain, channel=1)
    first = await house.signed(chain, payments, allocation)
    again = await house.signed(chain, payments, allocation)
    assert first == again
    # Ten times is asked for; a little less is refused.
    little = await house.signed(chain, payments, allocation, port.Rate(numbers={"stroops": 1_999}))
    second = await house.signed(chain, payments, allocation, chain.raised(RATE))
    assert inner_of(first, net).to_xdr() == inner_of(second, net).to_xdr()
    await chain.broadcast(first)
    if net.devnet is not None:
        with pytest.raises(errors.Refused, match="txINSUFFICIENT_FEE"):
            await chain.broadcast(little)
        await chain.broadcast(second)
    await net.settled(inner_of(first, net).hash_hex())
    fates = [(await chain.find(signed, allocation)).fate for signed in (first, second)]
    # Which of the two it was a real network may decide; the other neither happens nor is given up.
    assert sorted(fate.value for fate in fates) == ["mined", "pending"]
    assert net.devnet is None or fates[1] is Fate.MINED
    assert await chain.balance(payments[0].address, token=None, height=0) == 10_001 * XLM


async def test_what_a_stranger_brings_into_a_ledger_is_ours_all_the_same(
    net: Net, chain: port.Chain, house: House
) -> None:
    stranger = await net.funded()
    payments = [port.Payment(address=stranger.public_key, amount=XLM)]
    allocation = await house.allocation(chain, channel=2)
    signed = await house.signed(chain, payments, allocation)
    theirs = FeeBumpTransactionEnvelope(
        FeeBumpTransaction(stranger.public_key, 5_000, inner_of(signed, net)), net.passphrase
    )
    theirs.sign(stranger)
    await net.hand_in(theirs)
    await net.settled(theirs.hash_hex())
    found = await chain.find(signed, allocation)
    assert (found.fate, found.succeeded, found.fee) == (Fate.MINED, True, 0)
    await chain.broadcast(signed)


async def test_a_transaction_that_pays_nothing_uses_the_number_up(net: Net, chain: port.Chain, house: House) -> None:
    payments = [port.Payment(address=(await net.funded()).public_key, amount=XLM)]
    allocation = await house.allocation(chain)
    paying = await house.signed(chain, payments, allocation)
    nothing = [port.Payment(address=allocation.source, amount=0)]
    cancelling = await house.signed(chain, nothing, allocation, chain.raised(RATE))
    await chain.broadcast(cancelling)
    await net.settled(cancelling.chain_tx)
    dead = await chain.find(paying, allocation)
    assert dead.fate is Fate.DEAD
    assert "used up its number" in dead.reason
    with pytest.raises(errors.Refused, match="txBAD_SEQ"):
        await chain.broadcast(paying)


async def test_one_that_fails_on_the_chain_says_why_and_what_it_cost(net: Net, chain: port.Chain, house: House) -> None:
    goes = await net.funded()
    allocation = await house.allocation(chain)
    signed = await house.signed(chain, [port.Payment(address=goes.public_key, amount=XLM)], allocation)
    await net.send(goes, AccountMerge(house.hot))
    await chain.broadcast(signed)
    await net.settled(signed.chain_tx)
    found = await chain.find(signed, allocation)
    assert (found.fate, found.succeeded) == (Fate.MINED, False)
    assert found.fee
    assert found.reason == "txFAILED PAYMENT_NO_DESTINATION"


async def test_what_the_house_can_not_pay_is_not_built(net: Net, chain: port.Chain, house: House) -> None:
    allocation = await house.allocation(chain)
    here = house.hot
    held = await chain.balance(here, token=None, height=0)
    with pytest.raises(errors.FundsShort):
        await chain.build([port.Payment(address=here, amount=held)], allocation, rate=RATE)
    two = [port.Payment(address=here, amount=1, memo="id:1"), port.Payment(address=here, amount=1, memo="id:2")]
    with pytest.raises(errors.PaymentInvalid, match="one memo"):
        await chain.build(two, allocation, rate=RATE)
    for wrong in (0, -1, 2**63):
        with pytest.raises((errors.PaymentInvalid, errors.FundsShort)):
            await chain.build([port.Payment(address=here, amount=wrong)], allocation, rate=RATE)
    with pytest.raises(errors.PaymentInvalid):
        await chain.build([port.Payment(address=here, amount=1, memo="text:" + "ü" * 15)], allocation, rate=RATE)
    with pytest.raises(errors.FundsShort):
        await chain.next_nonce(Keypair.random().public_key)


async def test_fees_are_whole_numbers_in_order(chain: port.Chain) -> None:
    rates = await chain.rates()
    offered = [rates[speed].numbers["stroops"] for speed in ("slow", "normal", "fast")]
    assert offered == sorted(offered)
    assert offered[0] >= 100


@sandbox_only
async def test_an_answer_that_never_came_leaves_the_same_bytes_to_be_sent_again(
    net: Net, chain: port.Chain, house: House
) -> None:
    assert net.devnet is not None
    allocation = await house.allocation(chain)
    signed = await house.signed(chain, [port.Payment(address=house.channels[1], amount=XLM)], allocation)
    net.devnet.control("fault", timeout_after_accept=1)
    with pytest.raises(errors.Uncertain):
        await chain.broadcast(signed)
    await chain.broadcast(signed)
    await net.settled(signed.chain_tx)
    assert (await chain.find(signed, allocation)).succeeded


@sandbox_only
async def test_a_transaction_whose_time_is_over_is_dead_when_a_ledger_says_so(net: Net, house: House) -> None:
    assert net.devnet is not None
    chain = net.chain()
    allocation = await house.allocation(chain, life_s=20)
    signed = await house.signed(chain, [port.Payment(address=house.channels[1], amount=XLM)], allocation)
    # Its time is over, but servers behind one address may be apart by a little.
    net.devnet.control("fault", clock_ahead_s=30)
    net.devnet.mine()
    assert (await chain.find(signed, allocation)).fate is Fate.UNSEEN
    net.devnet.control("fault", clock_ahead_s=90)
    assert (await chain.find(signed, allocation)).fate is Fate.UNSEEN
    net.devnet.mine()
    found = await chain.find(signed, allocation)
    assert found.fate is Fate.DEAD
    with pytest.raises(errors.Refused, match="txTOO_LATE"):
        await chain.broadcast(signed)
    late = allocation.expires_at
    assert late is not None
    assert late < datetime.now(UTC) + timedelta(seconds=90)
