from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from billfold.chains.port import Chain
from tests.integration.chains.ethereum import world
from tests.servers.devnets import DevnetServer

Opening = Callable[..., Chain]


@pytest.fixture(scope="session")
def stranger(ethereum_server: DevnetServer) -> world.Stranger:
    return world.Stranger(ethereum_server, coins="1000")


@pytest.fixture
async def opening(ethereum_server: DevnetServer) -> AsyncIterator[Opening]:
    """Opens the chain with these tokens, and closes it after the test."""
    async with AsyncExitStack() as stack:

        def opened(*tokens: str) -> Chain:
            chain = world.opened(ethereum_server, tokens=tokens)
            stack.push_async_callback(chain.close)
            return chain

        yield opened


@pytest.fixture
def chain(opening: Opening) -> Chain:
    return opening()


@pytest.fixture
def house(ethereum_server: DevnetServer, chain: Chain) -> world.House:
    """With ten coins."""
    house = world.House(ethereum_server, chain)
    ethereum_server.faucet(house.hot, "10")
    ethereum_server.mine()
    return house
