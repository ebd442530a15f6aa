"""A Stellar whose ledgers are closed by hand, or a real one (STELLAR_HORIZON_URL), and a house on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from stellar_sdk import Keypair

from billfold.chains import port
from tests.integration.chains.stellar.net import REAL, House, Net
from tests.servers.devnets import DevnetServer


@pytest.fixture(scope="module")
async def net(request: pytest.FixtureRequest) -> AsyncIterator[Net]:
    if REAL:
        found = Net(REAL.rstrip("/"), None, "test")
    else:
        server: DevnetServer = request.getfixturevalue("stellar_server")
        found = Net(server.url, server, "sandbox")
    yield found
    await found.close()


@pytest.fixture(scope="module")
def chain(net: Net) -> port.Chain:
    return net.chain()


@pytest.fixture(scope="module")
async def house(net: Net) -> House:
    return await House.open(net, channels=3)


@pytest.fixture(scope="module")
async def sender(net: Net) -> Keypair:
    return await net.funded()
