"""What the adapter keeps on every Solana: our own, and one that others have made."""

from __future__ import annotations

import pytest

from billfold.chains.errors import FundsShort, NodeWrong, NotReplaceable, PaymentInvalid
from billfold.chains.port import Chain, Fate, Payment
from tests.integration.chains.solana import networks
from tests.integration.chains.solana.networks import RATE, SOL, Net, somebody


async def test_a_node_of_another_network_is_seen(net: Net, chain: Chain) -> None:
    await chain.check()
    other = networks.opened(net, network="main")
    with pytest.raises(NodeWrong, match="sandbox"):
        await other.check()
    await other.close()


async def test_blocks_follow_each_other_and_show_what_arrived(net: Net, chain: Chain) -> None:
    before, to = await chain.head(), somebody()
    signature = net.fund(to, 3 * SOL)
    await net.pass_blocks(3)
    after = await chain.head()

    parent = before.hash
    for height in range(before.height + 1, after.height + 1):
        block = await chain.block(height)
        if block is not None:
            assert block.parent == parent
            parent = block.hash
    assert parent == after.hash
    (found,) = [one for one in await networks.movements(chain, before.height, after.height) if one.address == to]
    assert (found.chain_tx, found.token, found.amount) == (signature, None, 3 * SOL)
    assert found.index.startswith("native:")
    assert await chain.block(after.height + 100_000) is None
    assert await chain.pending() == ()


async def test_a_payment_is_built_signed_sent_and_found(net: Net, chain: Chain) -> None:
    payer, to = await networks.funded(net, chain), somebody()
    payments = [Payment(address=to, amount=SOL // 4, memo="order 17"), Payment(address=somebody(), amount=SOL // 8)]
    fee = await chain.estimate(payments, source=payer.address, rate=RATE)
    before = await chain.head()

    signed, allocation = await payer.prepared(chain, *payments)
    assert (await chain.find(signed, allocation)).fate is Fate.UNSEEN
    await chain.broadcast(signed)
    await chain.broadcast(signed)
    await net.pass_blocks(3)
    await chain.broadcast(signed)

    found = await chain.find(signed, allocation)
    assert (found.fate, found.succeeded, found.fee) == (Fate.MINED, True, fee)
    assert found.height is not None
    block = await chain.block(found.height)
    assert block is not None
    assert block.hash == found.block
    assert await chain.balance(to, token=None, height=found.height) == SOL // 4
    assert await chain.balance(payer.address, token=None, height=found.height) == SOL - SOL // 4 - SOL // 8 - fee
    arrived = await networks.movements(chain, before.height, found.height)
    assert [(one.amount, one.sender) for one in arrived if one.address == to] == [(SOL // 4, payer.address)]


async def test_everything_can_be_swept_to_the_last_lamport(net: Net, chain: Chain) -> None:
    payer, to = await networks.funded(net, chain), somebody()
    fee = await chain.estimate([Payment(address=to, amount=1)], source=payer.address, rate=RATE)

    signed, allocation = await payer.prepared(chain, Payment(address=to, amount=SOL - fee))
    await chain.broadcast(signed)
    await net.pass_blocks(3)

    assert (await chain.find(signed, allocation)).succeeded
    assert await chain.balance(payer.address, token=None, height=0) == 0


async def test_a_transaction_that_nobody_has_is_dead_when_its_block_is_too_old_and_not_before(
    net: Net, chain: Chain
) -> None:
    payer = await networks.funded(net, chain)
    signed, allocation = await payer.prepared(chain, Payment(address=somebody(), amount=SOL // 2))
    assert allocation.last_height is not None

    await net.pass_blocks(100)
    assert (await chain.find(signed, allocation)).fate is Fate.UNSEEN
    await net.pass_blocks(100)

    found = await chain.find(signed, allocation)
    assert found.fate is Fate.DEAD
    assert "too old" in found.reason


async def test_what_is_not_there_can_not_be_paid(net: Net, chain: Chain) -> None:
    payer = await networks.funded(net, chain)
    allocation = await payer.allocated(chain)
    for amount in (SOL, SOL - 100_000):
        with pytest.raises(FundsShort):
            await chain.build([Payment(address=somebody(), amount=amount)], allocation, rate=RATE)
    with pytest.raises(PaymentInvalid):
        await chain.build([Payment(address=somebody(), amount=1, token=somebody())], allocation, rate=RATE)
    with pytest.raises(PaymentInvalid):
        await chain.build([], allocation, rate=RATE)


async def test_there_are_three_speeds_and_no_replacement(chain: Chain) -> None:
    rates = await chain.rates()
    prices = [rates[speed].numbers["micro_lamports"] for speed in ("slow", "normal", "fast")]
    assert prices == sorted(prices)
    assert prices[0] > 0
    with pytest.raises(NotReplaceable):
        chain.raised(rates["fast"])


async def test_an_address_that_would_keep_the_money_is_known(net: Net, chain: Chain) -> None:
    async def obstacle(address: str, amount: int = SOL, memo: str | None = None) -> str | None:
        return (await chain.examine(address, memo=memo, token=None, amount=amount)).obstacle

    payer, unused = await networks.funded(net, chain), somebody()
    assert await obstacle(payer.address, amount=1) is None
    assert await obstacle(unused) is None
    assert await obstacle(unused, amount=net.least - 1) == "below_rent"
    assert await obstacle(unused, amount=net.least) is None
    assert await obstacle("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA") == "program"
    assert await obstacle("SysvarC1ock11111111111111111111111111111111") == "of_a_program"
    assert await obstacle("1nc1nerator11111111111111111111111111111111") == "burns"
    assert await obstacle(unused, memo="x" * 501) == "memo_long"
