"""The networks that the adapter is held against: the devnet and surfnetd. A file may have one of its own instead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from billfold.chains.port import Chain
from tests.integration.chains.solana import networks
from tests.integration.chains.solana.networks import Net


@pytest.fixture(params=["own", "surfnetd"])
def net(request: pytest.FixtureRequest) -> Net:
    if request.param == "own":
        return networks.Own(request.getfixturevalue("solana_server"))
    return networks.Surfnetd(request.getfixturevalue("surfnetd_server"))


@pytest.fixture
async def chain(net: Net) -> AsyncIterator[Chain]:
    opened = networks.opened(net)
    await networks.until_final(net, opened)
    yield opened
    await opened.close()
