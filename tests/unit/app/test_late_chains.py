import asyncio
import time

import pytest

from billfold.app import late_chains
from billfold.app.supervisor.chains import NAMES
from billfold.chains.errors import AddressInvalid
from billfold.chains.nodes import Nodes

NODES = Nodes(network="sandbox", urls=["http://127.0.0.1:1"])


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_before_a_chain_is_loaded_is_what_it_says_itself(name: str) -> None:
    chain = late_chains.open(name, NODES)
    said = (chain.name, chain.network, chain.model, chain.coin)
    loaded = chain._loaded()  # type: ignore[attr-defined]
    assert said == (loaded.name, loaded.network, loaded.model, loaded.coin)


@pytest.mark.parametrize("name", NAMES)
def test_it_does_what_the_chain_does(name: str) -> None:
    with pytest.raises(AddressInvalid):
        late_chains.open(name, NODES).canonical("nobody")


async def test_a_chain_that_was_never_asked_anything_is_closed_for_nothing() -> None:
    chain = late_chains.open("stellar", NODES)
    await chain.close()
    assert chain._chain is None  # type: ignore[attr-defined]


def test_there_is_nothing_that_no_chain_has() -> None:
    with pytest.raises(AttributeError):
        late_chains.open("bitcoin", NODES).nonsense  # type: ignore[attr-defined]  # noqa: B018


async def test_a_process_that_serves_loads_its_chains_before_anybody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_chains, "LOAD_AFTER_S", 0.0)
    chains = [late_chains.open(name, NODES) for name in ("bitcoin", "solana")]
    async with late_chains.warmed(chains), asyncio.timeout(60):
        while any(chain._chain is None for chain in chains):  # type: ignore[attr-defined]
            await asyncio.to_thread(time.sleep, 0.01)
    async with late_chains.warmed([late_chains.open("stellar", NODES)]):
        pass
