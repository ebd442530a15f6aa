"""Nodes of Bitcoin that lose answers, send garbage or are not of one mind: nothing is lost, and nothing is believed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from billfold.chains import errors
from billfold.chains.bitcoin import keys, signing
from billfold.chains.bitcoin.chain import Bitcoin
from billfold.chains.nodes import Nodes
from billfold.chains.nodes.failures import ProvidersDisagree
from billfold.chains.port import Allocation, Coin, Fate, Payment, Rate
from billfold.chains.signing_port import Place
from billfold.devnet.proxy import FaultProxy, Kind
from tests.integration.chains.bitcoin_engines import SEED, Local
from tests.servers import devnets
from tests.servers.devnets import DevnetServer

ELSEWHERE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
PLACE = Place(purpose="hot", index=77)
[MINE] = keys.addresses(SEED, purpose="hot", first=77, count=1, network="sandbox")


@pytest.fixture
async def proxy(bitcoin_server: DevnetServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(bitcoin_server.url) as running:
        yield running


@pytest.fixture
async def chain(bitcoin_server: DevnetServer, proxy: FaultProxy) -> AsyncIterator[Bitcoin]:
    cookie = (bitcoin_server.folder / ".cookie").read_text()
    url = f"http://{cookie}@{proxy.url.removeprefix('http://')}/"
    made = Bitcoin(Nodes(network="sandbox", urls=[url], timeout_s=5))
    yield made
    await made.close()


async def test_an_answer_that_is_lost_leaves_it_uncertain_and_the_same_bytes_are_sent_again(
    chain: Bitcoin, proxy: FaultProxy, bitcoin_server: DevnetServer
) -> None:
    txid = bitcoin_server.faucet(MINE, "0.1")
    [given] = [each for each in await chain.pending() if each.chain_tx == txid and each.address == MINE]
    coin = Coin(chain_tx=txid, index=given.index, address=MINE, amount=given.amount)
    allocation = Allocation(source=MINE, coins=[coin], change=MINE)
    payments = [Payment(address=ELSEWHERE, amount=1_000_000)]
    unsigned = await chain.build(payments, allocation, rate=Rate(numbers={"sat_per_kvb": 1_000}))
    signed = signing.sign(unsigned.payload, SEED, places={MINE: PLACE}, network="sandbox")

    proxy.fail("drop", "sendrawtransaction", times=1)
    with pytest.raises(errors.Uncertain):
        await chain.broadcast(signed)

    assert (await chain.find(signed, allocation)).fate is Fate.PENDING
    await chain.broadcast(signed)
    bitcoin_server.mine()
    assert (await chain.find(signed, allocation)).fate is Fate.MINED


@pytest.mark.parametrize(
    ("kind", "methods"),
    [
        ("html", ["getblockchaininfo", "getblockhash", "getblock", "getrawmempool", "estimatesmartfee"]),
        ("truncated", ["getblockchaininfo", "getblockhash", "getblock", "getrawmempool", "estimatesmartfee"]),
        ("missing", ["getblockchaininfo", "getblockhash", "getblock"]),
        ("huge", ["getblockchaininfo", "estimatesmartfee"]),
        ("negative", ["getblockchaininfo", "estimatesmartfee"]),
    ],
)
async def test_garbage_is_never_believed(chain: Bitcoin, proxy: FaultProxy, kind: Kind, methods: list[str]) -> None:
    height = (await chain.head()).height
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "getblockchaininfo": chain.head,
        "getblockhash": lambda: chain.block(height),
        "getblock": lambda: chain.block(height),
        "getrawmempool": chain.pending,
        "estimatesmartfee": chain.rates,
    }
    for method in methods:
        proxy.fail(kind, method)
        with pytest.raises((errors.NodeWrong, errors.NodeUnavailable)):
            await asked[method]()
        proxy.heal()


async def test_nodes_that_are_not_of_one_mind_decide_nothing(bitcoin_server: DevnetServer, tmp_path: Path) -> None:
    with devnets.running_devnet("bitcoin", tmp_path / "other") as other:
        urls = [Local(bitcoin_server).url, Local(other).url]
        chain = Bitcoin(Nodes(network="sandbox", urls=urls, quorum=2, timeout_s=5))
        try:
            assert (await chain.block(0)) is not None
            with pytest.raises(ProvidersDisagree):
                await chain.block(5)
        finally:
            await chain.close()
