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
