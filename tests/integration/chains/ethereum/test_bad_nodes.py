"""Nodes of Ethereum that lie, are slow, or lose answers, before a real one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from billfold.chains import errors, ethereum
from billfold.chains.ethereum import fees
from billfold.chains.nodes import Nodes
from billfold.chains.port import Chain, Fate, Network, Payment
from billfold.devnet.proxy import FaultProxy, Kind
from tests.integration.chains.ethereum import world
from tests.integration.chains.ethereum.world import GWEI, House, Stranger, somebody
from tests.servers.devnets import DevnetServer

GARBAGE: tuple[Kind, ...] = ("html", "truncated", "huge", "negative", "missing")


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def proxy(ethereum_server: DevnetServer, stack: AsyncExitStack) -> FaultProxy:
    return await stack.enter_async_context(FaultProxy(ethereum_server.url))


@pytest.fixture
def chain(proxy: FaultProxy, stack: AsyncExitStack) -> Chain:
    """The chain by the proxy alone."""
    chain = world.opened(proxy.url)
    stack.push_async_callback(chain.close)
    return chain


async def test_nodes_of_another_chain_are_not_used(
    ethereum_server: DevnetServer, chain: Chain, proxy: FaultProxy, stack: AsyncExitStack
) -> None:
    await chain.check()
    proxy.fail("wrong_chain")
    with pytest.raises(errors.NodeWrong):
        await chain.check()
    networks: tuple[Network, ...] = ("main", "test")
    for network in networks:
        real = ethereum.open(Nodes(network=network, urls=[ethereum_server.url]))
        stack.push_async_callback(real.close)
        with pytest.raises(errors.NodeWrong):
            await real.check()


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_is_told_and_never_believed(
    ethereum_server: DevnetServer, chain: Chain, proxy: FaultProxy, stranger: Stranger, kind: Kind
) -> None:
    to = somebody()
    stranger.send(to, value=5)
    height = ethereum_server.mine()["height"]
    for method in ("eth_getBlockByNumber", "eth_getBlockReceipts", "eth_feeHistory"):
        proxy.heal()
        proxy.fail(kind, method)
        with pytest.raises((errors.NodeWrong, errors.NodeUnavailable)):
            await (chain.rates() if method == "eth_feeHistory" else chain.block(height))


async def test_receipts_of_other_transactions_are_not_taken(
    ethereum_server: DevnetServer, stack: AsyncExitStack, stranger: Stranger
) -> None:
    stranger.send(somebody(), value=5)
    height = ethereum_server.mine()["height"]
    block = world.rpc(ethereum_server, "eth_getBlockByNumber", hex(height), True)  # noqa: FBT003 - as JSON-RPC has it
    (receipt,) = world.rpc(ethereum_server, "eth_getBlockReceipts", hex(height))
    other = "0x" + 64 * "7"
    for lie in ({"transactionHash": other}, {"blockHash": other}, {"status": "0x2"}, {"gasUsed": "0x" + 70 * "f"}):
        node = await stack.enter_async_context(world.Lying({"eth_getBlockReceipts": [receipt | lie]}, block=block))
        chain = world.opened(node.url)
        stack.push_async_callback(chain.close)
        with pytest.raises(errors.NodeWrong):
            await chain.block(height)
    breaks: list[dict[str, Any]] = [
        {"number": hex(height + 1)},
        {"hash": "0x12"},
        {"timestamp": "0x-5"},
        {"transactions": [{}]},
    ]
    for broken in breaks:
        node = await stack.enter_async_context(world.Lying({}, block=block | broken))
        chain = world.opened(node.url)
        stack.push_async_callback(chain.close)
        with pytest.raises(errors.NodeWrong):
            await chain.block(height)


async def test_a_block_without_its_receipts_yet_is_asked_for_again(
    ethereum_server: DevnetServer, stack: AsyncExitStack, stranger: Stranger
) -> None:
    stranger.send(somebody(), value=5)
    height = ethereum_server.mine()["height"]
    block = world.rpc(ethereum_server, "eth_getBlockByNumber", hex(height), True)  # noqa: FBT003 - as JSON-RPC has it
    node = await stack.enter_async_context(world.Lying({}, block=block))
    chain = world.opened(node.url)
    stack.push_async_callback(chain.close)
    with pytest.raises(errors.NodeUnavailable):
        await chain.block(height)


async def test_a_spike_of_fees_is_offered_no_more_than_the_cap(stack: AsyncExitStack) -> None:
    spike: dict[str, Any] = {
        "baseFeePerGas": [hex(9_000 * GWEI)] * 2,
        "reward": [[hex(700 * GWEI), hex(800 * GWEI), hex(10**27)]],
    }
    node = await stack.enter_async_context(world.Lying({"eth_feeHistory": spike}))
    chain = world.opened(node.url)
    stack.push_async_callback(chain.close)
    for rate in (await chain.rates()).values():
        assert rate.numbers == {"max_fee_per_gas": fees.FEE_MAX, "max_priority_fee_per_gas": fees.TIP_MAX}


async def test_an_answer_that_is_lost_leaves_it_uncertain_and_the_same_bytes_settle_it(
    ethereum_server: DevnetServer, house: House, chain: Chain, proxy: FaultProxy
) -> None:
    to = somebody()
    signed, allocation = await house.sign(Payment(address=to, amount=5), nonce=0)
    proxy.fail("drop", "eth_sendRawTransaction", times=1)
    with pytest.raises(errors.Uncertain):
        await chain.broadcast(signed)
    assert (await chain.find(signed, allocation)).fate is Fate.PENDING
    await chain.broadcast(signed)
    proxy.fail("duplicate", "eth_sendRawTransaction", times=1)
    await chain.broadcast(signed)
    block = await world.mined(ethereum_server, chain)
    assert world.arrived(block, to) == [(None, 5)]


async def test_nodes_that_disagree_decide_nothing(
    ethereum_server: DevnetServer, proxy: FaultProxy, stack: AsyncExitStack
) -> None:
    both = world.opened(proxy.url, ethereum_server, quorum=2)
    stack.push_async_callback(both.close)
    height = ethereum_server.mine()["height"]
    assert await both.block(height) is not None
    proxy.fail("stale", "eth_getBlockByNumber")
    ethereum_server.reorg(1)
    with pytest.raises(errors.NodeUnavailable):
        await both.block(height)
    proxy.heal()
    assert await both.block(height) is not None
