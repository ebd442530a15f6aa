"""The adapter on geth, which has most of the real chain's nodes: what anvil is a stand-in for."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from eth_abi import abi
from eth_utils import abi as abis

from billfold.chains import errors, ethereum
from billfold.chains.ethereum import addresses, keys, signing
from billfold.chains.nodes import Nodes
from billfold.chains.port import Allocation, Chain, Fate, Payment, Rate, Signed
from billfold.chains.signing_port import Place
from tests import conftest
from tests.integration.chains.ethereum.world import CONTRACTS, ETH, RATE, arrived, somebody
from tests.servers import geth

SEED = bytes(range(64))
HOT = keys.addresses(SEED, purpose="hot", first=0, count=1, network="sandbox")[0]


@pytest.fixture(scope="module")
def geth_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[geth.Geth]:
    with conftest.had("geth_server"), geth.running_geth(tmp_path_factory.mktemp("geth")) as server:
        yield server


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def deployed(server: geth.Geth, name: str, types: list[str], *arguments: object) -> str:
    made = server.send(None, data=bytes.fromhex(CONTRACTS[name][2:]) + abi.encode(types, arguments))
    return addresses.canonical(made["contractAddress"])


def opened(server: geth.Geth, stack: AsyncExitStack, *tokens: str) -> Chain:
    chain = ethereum.open(Nodes(network="sandbox", urls=[server.url], tokens=tokens))
    stack.push_async_callback(chain.close)
    return chain


def data(function: str, *arguments: object) -> bytes:
    types = function.partition("(")[2].rstrip(")").split(",")
    return abis.function_signature_to_4byte_selector(function) + abi.encode(types, arguments)


async def test_what_arrives_is_seen_as_on_anvil(geth_server: geth.Geth, stack: AsyncExitStack) -> None:
    token = deployed(geth_server, "Token", ["string", "string", "uint8"], "x", "X", 6)
    lying, paying, deaf = (deployed(geth_server, name, []) for name in ("Lying", "Paying", "Deaf"))
    chain = opened(geth_server, stack, token, lying)
    await chain.check()
    to = somebody()

    async def after(contract: str, call: bytes, value: int = 0) -> list[tuple[str | None, int]]:
        block = await chain.block(int(geth_server.send(contract, value=value, data=call)["blockNumber"], 16))
        assert block is not None
        return arrived(block, to)

    assert await after(to, b"", ETH) == [(None, ETH)]
    assert await after(token, data("mint(address,uint256)", to, 7)) == [(token, 7)]
    assert await after(lying, data("lie(address,uint256)", to, 7)) == []
    assert await after(paying, data("pay(address)", to), 5) == [(None, 5)]
    assert await after(paying, data("pretend(address)", to), 5) == []
    head = await chain.head()
    assert await chain.block(head.height + 1) is None
    assert await chain.balance(to, token=token, height=head.height) == 7
    assert (await chain.examine(deaf, memo=None, token=None, amount=1)).obstacle == "cannot_receive"
    assert (await chain.examine(to, memo=None, token=token, amount=1)).obstacle is None


async def test_a_replacement_has_to_offer_an_eighth_more(geth_server: geth.Geth, stack: AsyncExitStack) -> None:
    chain = opened(geth_server, stack)
    geth_server.send(HOT, value=ETH)
    payment = Payment(address=somebody(), amount=5)

    async def signed(payment: Payment, nonce: int, rate: Rate = RATE) -> tuple[Signed, Allocation]:
        allocation = Allocation(source=HOT, nonce=nonce)
        unsigned = await chain.build([payment], allocation, rate=rate)
        places = {HOT: Place(purpose="hot", index=0)}
        return signing.sign(unsigned.payload, SEED, places=places, network="sandbox"), allocation

    # What comes before it is missing, so that it waits.
    first, allocation = await signed(payment, 1)
    await chain.broadcast(first)
    await chain.broadcast(first)
    assert (await chain.find(first, allocation)).fate is Fate.PENDING
    little, _ = await signed(payment, 1, Rate(numbers={name: each * 105 // 100 for name, each in RATE.numbers.items()}))
    with pytest.raises(errors.Refused):
        await chain.broadcast(little)
    second, _ = await signed(payment, 1, chain.raised(RATE))
    await chain.broadcast(second)
    filling, _ = await signed(Payment(address=HOT, amount=0), 0)
    await chain.broadcast(filling)
    geth_server.receipt(second.chain_tx)
    found = await chain.find(second, allocation)
    assert (found.fate, found.succeeded) == (Fate.MINED, True)
    await chain.broadcast(second)
    assert (await chain.find(first, allocation)).fate is Fate.UNSEEN
    with pytest.raises(errors.Refused):
        await chain.broadcast(first)
