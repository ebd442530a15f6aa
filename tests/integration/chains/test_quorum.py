"""One node of three lies: what decides about money is what two of them say."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from billfold.chains import bitcoin, ethereum, stellar
from billfold.chains.errors import NotReplaceable
from billfold.chains.nodes import Nodes
from billfold.chains.nodes.failures import ProvidersDisagree
from billfold.chains.port import Chain, Rate
from billfold.devnet.proxy import messages
from tests.integration.chains.ethereum.world import ETH

ACCOUNT = "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ"
BECH = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
SENDER, CONTRACT, PAYEE = ("0x" + 20 * byte for byte in ("aa", "bb", "dd"))
NOT_THERE = {"error": {"code": -32601, "message": "the method does not exist"}}

Tell = Callable[[str], Any]
Asking = Callable[..., Any]


def hash_of(number: int) -> str:
    return f"0x{number:064x}"


@contextlib.asynccontextmanager
async def telling(tell: Tell) -> AsyncIterator[str]:
    """A node that answers each method, or each path, as it is told to."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await messages.read(reader)) is not None:
                said = tell(request.method)
                if request.verb == "POST":
                    is_error = isinstance(said, dict) and "error" in said
                    said = {"jsonrpc": "2.0", "id": request.number} | (said if is_error else {"result": said})
                writer.write(messages.answer(200, json.dumps(said).encode()))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


@pytest.fixture
async def asking() -> AsyncIterator[Asking]:
    """Opens a chain by nodes that say so much each, of which two must say the same."""
    async with AsyncExitStack() as stack:

        async def opened(open_: Callable[[Nodes], Chain], *tells: Tell) -> Chain:
            urls = [await stack.enter_async_context(telling(tell)) for tell in tells]
            chain = open_(Nodes(network="sandbox", urls=urls, quorum=2, timeout_s=10))
            stack.push_async_callback(chain.close)
            return chain

        yield opened


def tracing(inside: int | None) -> Tell:
    """A node of Ethereum by which a contract has paid so much; None: it does not trace."""
    tx = {"hash": hash_of(7), "from": SENDER, "to": CONTRACT, "value": "0x0", "nonce": "0x0", "input": "0x12"}
    block = {"number": "0x5", "hash": hash_of(5), "parentHash": hash_of(4), "timestamp": "0x1", "baseFeePerGas": "0x1"}
    receipt = {"transactionHash": hash_of(7), "blockHash": hash_of(5), "blockNumber": "0x5", "status": "0x1"}
    receipt |= {"gasUsed": "0xffff", "effectiveGasPrice": "0x1"}
    calls = [{"type": "CALL", "from": CONTRACT, "to": PAYEE, "value": hex(inside)}] if inside else []
    trace = {"type": "CALL", "from": SENDER, "to": CONTRACT, "value": "0x0", "calls": calls}
    answers: dict[str, Any] = {
        "eth_getBlockByNumber": block | {"transactions": [tx]},
        "eth_getBlockReceipts": [receipt | {"logs": []}],
        "debug_traceBlockByHash": [{"txHash": hash_of(7), "result": trace}],
    }
    return (answers | ({"debug_traceBlockByHash": NOT_THERE} if inside is None else {})).__getitem__


@pytest.mark.parametrize(
    ("said", "paid", "partial"),
    [
        ((1000 * ETH, 0, 0), [], False),
        ((1000 * ETH, 5, 5), [5], False),
        ((0, 5, 5), [5], False),
        # Nodes that do not trace have no say, and where too few do nothing is believed.
        ((None, 5, 5), [5], False),
        ((1000 * ETH, None, None), [], True),
        ((None, None, None), [], True),
    ],
)
async def test_what_contracts_pay_is_what_two_nodes_have_traced(
    *, asking: Asking, said: tuple[int | None, ...], paid: list[int], partial: bool
) -> None:
    chain = await asking(ethereum.open, *map(tracing, said))
    block = await chain.block(5)
    assert [one.amount for one in block.movements] == paid
    assert block.partial is partial


@pytest.mark.parametrize("others", [(0, None), (0, 5)])
async def test_traces_that_contradict_each_other_decide_nothing(asking: Asking, others: tuple[int | None, ...]) -> None:
    chain = await asking(ethereum.open, *map(tracing, (1000 * ETH, *others)))
    with pytest.raises(ProvidersDisagree):
        await chain.block(5)


def holding(units: str) -> Tell:
    """A node of Stellar by which an account has so many lumens."""
    balances = [{"asset_type": "native", "balance": units}]
    return {f"GET /accounts/{ACCOUNT}": {"sequence": "5", "subentry_count": 0, "balances": balances}}.__getitem__


async def test_what_an_account_of_stellar_holds_is_what_two_nodes_say(asking: Asking) -> None:
    chain = await asking(stellar.open, *map(holding, ("999999.0000000", "1.0000000", "1.0000000")))
    assert await chain.balance(ACCOUNT, token=None, height=1) == 10**7
    assert await chain.next_nonce(ACCOUNT) == 6
    chain = await asking(stellar.open, *map(holding, ("9.0000000", "1.0000000", "2.0000000")))
    with pytest.raises(ProvidersDisagree):
        await chain.balance(ACCOUNT, token=None, height=1)


def scanning(total: str) -> Tell:
    """A node of Bitcoin by which an address has so much."""
    return {"scantxoutset": {"success": True, "unspents": [], "total_amount": float(total)}}.__getitem__


async def test_what_an_address_of_bitcoin_holds_is_what_two_nodes_say(asking: Asking) -> None:
    chain = await asking(bitcoin.open, *map(scanning, ("21.5", "0.5", "0.5")))
    assert await chain.balance(BECH, token=None, height=1) == 5 * 10**7


def asking_for(sat_per_vbyte: int | None) -> Tell:
    """A node of Bitcoin by which a place in a block costs so much; None: it can't say, as btcd."""
    if sat_per_vbyte is None:
        return {"getmempoolinfo": {}, "estimatesmartfee": NOT_THERE}.__getitem__
    rate = sat_per_vbyte / 100_000
    return {"getmempoolinfo": {"mempoolminfee": rate / 4}, "estimatesmartfee": {"feerate": rate}}.__getitem__


@pytest.mark.parametrize(
    ("said", "offered"),
    [
        ((90_000, 20, 30), 30),
        ((2, 20, 30), 20),
        ((90_000, 20, None), 20),
        ((None, None, 40), 40),
        # Where they all ask for that much it waits.
        ((90_000, 90_000, 2_000), 1_000),
    ],
)
async def test_no_node_alone_says_what_bitcoin_costs_and_all_of_them_not_more_than_the_cap(
    asking: Asking, said: tuple[int | None, ...], offered: int
) -> None:
    chain = await asking(bitcoin.open, *map(asking_for, said))
    rates = await chain.rates()
    assert {speed: rate.numbers["sat_per_kvb"] for speed, rate in rates.items()} == dict.fromkeys(
        ("slow", "normal", "fast"), offered * 1_000
    )


async def test_the_cap_of_bitcoin_is_a_setting_and_no_replacement_offers_much_more() -> None:
    chain = bitcoin.open(Nodes(network="sandbox", urls=["http://127.0.0.1:9/"], rate_max=5_000))
    assert chain.raised(Rate(numbers={"sat_per_kvb": 19_000})).numbers == {"sat_per_kvb": 20_000}
    with pytest.raises(NotReplaceable):
        chain.raised(Rate(numbers={"sat_per_kvb": 20_000}))
    await chain.close()
