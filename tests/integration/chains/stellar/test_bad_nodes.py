"""The adapter of Stellar when its nodes say what can't be, contradict each other, or lose what was handed in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from stellar_sdk import Asset, Payment

from billfold.chains import errors, port
from billfold.chains.nodes.failures import ProvidersDisagree
from billfold.chains.port import Fate
from billfold.devnet.proxy import FaultProxy, Kind
from tests.integration.chains.stellar.net import House, Net
from tests.servers.devnets import DevnetServer


@pytest.fixture(scope="module")
async def net(stellar_server: DevnetServer) -> AsyncIterator[Net]:
    found = Net(stellar_server.url, stellar_server, "sandbox")
    yield found
    await found.close()


@pytest.fixture(scope="module")
async def house(net: Net) -> House:
    return await House.open(net)


@pytest.fixture
async def proxy(net: Net) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(net.url) as running:
        yield running


@pytest.fixture
def chain(net: Net, proxy: FaultProxy) -> port.Chain:
    return net.chain(urls=[proxy.url])


@pytest.mark.parametrize("kind", ["html", "huge", "negative"])
async def test_nonsense_is_an_error_and_nothing_is_believed(
    net: Net, house: House, proxy: FaultProxy, chain: port.Chain, kind: Kind
) -> None:
    giver = await net.funded()
    _, ledger = await net.send(giver, Payment(house.hot, Asset.native(), "1"))
    proxy.fail(kind)
    with pytest.raises((errors.NodeWrong, errors.NodeUnavailable)):
        await chain.block(ledger)
    proxy.heal()


async def test_every_question_meets_nonsense_with_an_error(
    net: Net, house: House, proxy: FaultProxy, chain: port.Chain
) -> None:
    allocation = await house.allocation(chain)
    payment = port.Payment(address=house.channels[0], amount=1)
    signed = await house.signed(chain, [payment], allocation)
    proxy.fail("missing")
    for question in (
        chain.check(),
        chain.head(),
        chain.rates(),
        chain.next_nonce(house.channels[0]),
        chain.balance(house.hot, token=None, height=1),
        chain.examine(house.hot, memo=None, token=None, amount=1),
        chain.find(signed, allocation),
        chain.broadcast(signed),
    ):
        with pytest.raises((errors.NodeWrong, errors.NodeUnavailable)):
            await question
    proxy.heal()
    # It was taken, whatever was said of it.
    await net.settled(signed.chain_tx)
    proxy.fail("delay", seconds=2)
    with pytest.raises(errors.NodeUnavailable):
        await net.chain(urls=[proxy.url], timeout_s=0.2).head()


async def test_what_was_lost_on_the_way_back_is_found_by_its_hash(
    net: Net, house: House, proxy: FaultProxy, chain: port.Chain
) -> None:
    allocation = await house.allocation(chain)
    signed = await house.signed(chain, [port.Payment(address=house.channels[0], amount=10_000_000)], allocation)
    proxy.fail("drop", "POST /transactions_async", times=1)
    with pytest.raises(errors.Uncertain):
        await chain.broadcast(signed)
    await net.settled(signed.chain_tx)
    await chain.broadcast(signed)
    assert (await chain.find(signed, allocation)).fate is Fate.MINED


async def test_two_nodes_that_disagree_decide_nothing(net: Net, house: House, proxy: FaultProxy) -> None:
    chain = net.chain(urls=[net.url, proxy.url], quorum=2)
    allocation = await house.allocation(chain)
    signed = await house.signed(chain, [port.Payment(address=house.channels[0], amount=10_000_000)], allocation)
    assert (await chain.find(signed, allocation)).fate is Fate.UNSEEN
    await chain.broadcast(signed)
    await net.settled(signed.chain_tx)
    # One of them says what it said before, as a cache does that nobody empties.
    proxy.fail("stale", "GET /transactions/*")
    with pytest.raises(ProvidersDisagree):
        await chain.find(signed, allocation)
    proxy.heal()
    assert (await chain.find(signed, allocation)).fate is Fate.MINED
