"""Tokens that are swept on our own Solana: their owner has no lamport, and who gets them pays."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from billfold.chains import solana
from billfold.chains.errors import FundsShort, PaymentInvalid
from billfold.chains.nodes import Nodes
from billfold.chains.port import Allocation, Chain, Fate, Payment, Signed
from billfold.chains.signing_port import Place
from billfold.chains.solana import keys, signing
from billfold.devnet.proxy import FaultProxy
from tests.integration.chains.solana import networks
from tests.integration.chains.solana.networks import RATE, SOL, USDC, Own, Payer, somebody
from tests.servers.solana import SolanaServer

RENT = 2_039_280
DEPOSIT = Place(purpose="deposit", index=1)


@pytest.fixture
def net(solana_server: SolanaServer) -> Own:
    return Own(solana_server)


@pytest.fixture
async def chain(net: Own) -> AsyncIterator[Chain]:
    opened = networks.opened(net)
    await networks.until_final(net, opened)
    yield opened
    await opened.close()


async def deposited(net: Own, payer: Payer, amount: str) -> str:
    """An address of the payer's tree that has tokens and nothing else."""
    (owner,) = keys.addresses(payer.seed, purpose="deposit", first=1, count=1, network="sandbox")
    net.server.faucet(owner, amount, token=USDC)
    net.server.mine()
    return owner


async def swept(chain: Chain, payer: Payer, owner: str, amount: int) -> tuple[Signed, Allocation]:
    anchor, last_height = await chain.anchor()
    allocation = Allocation(source=owner, change=payer.address, anchor=anchor, last_height=last_height)
    payment = Payment(address=payer.address, amount=amount, token=USDC)
    unsigned = await chain.build([payment], allocation, rate=RATE)
    places = {payer.address: payer.place, owner: DEPOSIT}
    return signing.sign(unsigned.payload, payer.seed, places=places, network="sandbox"), allocation


async def test_an_owner_without_a_lamport_is_swept_and_who_gets_the_tokens_pays(net: Own, chain: Chain) -> None:
    payer = await networks.funded(net, chain)
    owner = await deposited(net, payer, "20")
    asked = await chain.sponsored(owner, token=USDC, payer=payer.address, rate=RATE)
    assert asked is not None
    first, allocation = await swept(chain, payer, owner, 20_000_000)
    await chain.broadcast(first)
    net.server.mine()

    found = await chain.find(first, allocation)
    # The first time the payer's own account is opened as well, which costs its rent.
    assert (found.fate, found.succeeded, found.fee) == (Fate.MINED, True, asked[1])
    assert asked[0] == 20_000_000
    assert await chain.balance(payer.address, token=USDC, height=0) == 20_000_000
    assert await chain.balance(payer.address, token=None, height=0) == SOL - asked[1]
    assert await chain.balance(owner, token=None, height=0) == 0

    # The owner's account is there still, so a second deposit finds it, and the second sweep costs a fee alone.
    await deposited(net, payer, "3")
    again = await chain.sponsored(owner, token=USDC, payer=payer.address, rate=RATE)
    assert again is not None
    assert again[0] == 3_000_000
    assert RENT < asked[1] - again[1] < RENT + 1_000
    second, allocation = await swept(chain, payer, owner, 3_000_000)
    await chain.broadcast(second)
    net.server.mine()
    found = await chain.find(second, allocation)
    assert (found.succeeded, found.fee) == (True, again[1])
    assert found.height is not None
    assert await chain.balance(payer.address, token=None, height=0) == SOL - asked[1] - again[1]
    # Who watches sees the tokens arrive at the payer, and no coin anywhere.
    seen = await networks.movements(chain, found.height, found.height)
    assert [(one.address, one.token, one.amount) for one in seen] == [(payer.address, USDC, 3_000_000)]


async def test_a_sweep_that_fails_costs_its_payer_the_fee_alone(net: Own, chain: Chain) -> None:
    payer = await networks.funded(net, chain)
    owner = await deposited(net, payer, "20")
    first, _ = await swept(chain, payer, owner, 20_000_000)
    second, allocation = await swept(chain, payer, owner, 19_999_999)
    for one in (first, second):
        await chain.broadcast(one)
    net.server.mine()

    found = await chain.find(second, allocation)
    assert (found.fate, found.succeeded) == (Fate.MINED, False)
    assert found.fee is not None
    assert 10_000 < found.fee < RENT
    assert await chain.balance(payer.address, token=USDC, height=0) == 20_000_000


async def test_tokens_in_another_account_of_the_owner_count_for_nothing(net: Own, chain: Chain) -> None:
    payer = await networks.funded(net, chain)
    owner = await deposited(net, payer, "20")
    await networks.beside(net, chain, owner)
    assert await chain.balance(owner, token=USDC, height=0) == 20_000_000

    asked = await chain.sponsored(owner, token=USDC, payer=payer.address, rate=RATE)

    assert asked is not None
    assert asked[0] == 20_000_000
    with pytest.raises(FundsShort):
        await swept(chain, payer, owner, 20_000_001)
    assert await swept(chain, payer, owner, 20_000_000)


async def test_a_balance_of_tokens_is_one_question_however_many_accounts_there_are(net: Own, chain: Chain) -> None:
    payer = await networks.funded(net, chain)
    owner = await deposited(net, payer, "20")
    await networks.beside(net, chain, owner)
    async with FaultProxy(net.url) as proxy:
        counted = solana.open(Nodes(network="sandbox", urls=[proxy.url], tokens=(USDC,)))
        assert await counted.balance(owner, token=USDC, height=0) == 20_000_000
        await counted.close()
        assert proxy.asked == ["getAccountInfo"]


async def test_nothing_else_is_paid_for_by_somebody_else(net: Own, chain: Chain) -> None:
    payer = await networks.funded(net, chain)
    owner = await deposited(net, payer, "20")
    anchor, last_height = await chain.anchor()
    allocation = Allocation(source=owner, change=payer.address, anchor=anchor, last_height=last_height)
    tokens = Payment(address=payer.address, amount=5, token=USDC)
    for payments in (
        [Payment(address=payer.address, amount=5)],
        [Payment(address=somebody(), amount=5, token=USDC)],
        [Payment(address=payer.address, amount=5, token=USDC, memo="order 19")],
        [tokens, tokens],
    ):
        with pytest.raises(PaymentInvalid):
            await chain.build(payments, allocation, rate=RATE)
    poor = Payer()
    with pytest.raises(FundsShort):
        await swept(chain, poor, owner, 5)


async def test_nothing_is_paid_from_tokens_that_lie_beside_the_payer_s_own_account(net: Own, chain: Chain) -> None:
    payer = await networks.funded(net, chain)
    net.server.faucet(payer.address, "20", token=USDC)
    net.server.mine()
    await networks.beside(net, chain, payer.address)
    assert await chain.balance(payer.address, token=USDC, height=0) == 20_000_000
    to = Payer().address

    with pytest.raises(FundsShort):
        await payer.prepared(chain, Payment(address=to, amount=20_000_001, token=USDC))

    signed, allocation = await payer.prepared(chain, Payment(address=to, amount=20_000_000, token=USDC))
    await chain.broadcast(signed)
    net.server.mine()
    assert (await chain.find(signed, allocation)).succeeded
