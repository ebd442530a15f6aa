"""Which node is read, and what of its answer is taken."""

import asyncio
import json
from typing import Any

import pytest

from billfold.chains import errors
from billfold.chains.nodes import Nodes, breaker, metrics, reading
from billfold.chains.nodes.failures import CallRefused
from billfold.chains.nodes.rpc import Rpc, as_it_is
from billfold.devnet.proxy import Kind, messages
from tests.integration.chains.nodes import small
from tests.integration.chains.nodes.conftest import Setting


def height(answer: Any) -> int:
    return reading.whole(reading.member(answer, "height"), "height")


async def test_one_node_is_read(three: Setting) -> None:
    assert await three.rpc().call("block", 3, read=as_it_is) == {"height": 3, "hash": f"{3:064x}"}
    assert three.asked() == [1, 0, 0]


async def test_a_resource_is_read_by_rest(three: Setting) -> None:
    assert (await three.rest().get("blocks/3", read=as_it_is))["height"] == 3


async def test_what_is_not_there_is_a_refusal_with_its_status(three: Setting) -> None:
    with pytest.raises(CallRefused) as refused:
        await three.rest().get("blocks/99", read=as_it_is)
    assert (refused.value.number, refused.value.message) == (404, "Resource Missing")
    assert three.asked() == [1, 0, 0], "an answer is not asked for elsewhere"


async def test_a_refused_call_says_why(three: Setting) -> None:
    with pytest.raises(CallRefused) as refused:
        await three.rpc().call("mint", read=as_it_is)
    assert (refused.value.number, refused.value.message) == (-32601, "there is no such method")


@pytest.mark.parametrize("kind", ["html", "truncated", "huge", "negative", "missing", "drop", "limited"])
async def test_what_cannot_be_is_not_taken_and_the_next_node_is_asked(three: Setting, kind: Kind) -> None:
    three.proxies[0].fail(kind)
    assert await three.rpc().call("block", 3, read=height) == 3
    assert three.proxies[1].asked == ["block"]


@pytest.mark.parametrize("kind", ["html", "huge", "negative", "missing"])
async def test_garbage_from_every_node_is_an_error_of_theirs(three: Setting, kind: Kind) -> None:
    for proxy in three.proxies:
        proxy.fail(kind)
    with pytest.raises(errors.NodeWrong):
        await three.rpc().call("block", 3, read=height)


async def test_a_node_that_hangs_is_given_up_on(three: Setting) -> None:
    three.proxies[0].fail("delay", seconds=60)
    assert await three.rpc(timeout_s=0.3).call("block", 3, read=height) == 3


async def test_nobody_waits_for_ever_when_all_hang(three: Setting) -> None:
    for proxy in three.proxies:
        proxy.fail("delay", seconds=60)
    with pytest.raises(errors.NodeUnavailable):
        await three.rpc(timeout_s=0.2).call("block", 3, read=as_it_is)


async def test_a_failing_node_is_left_alone_and_comes_back(three: Setting) -> None:
    rpc = three.rpc()
    three.proxies[0].fail("html", times=breaker.FAILURES_MAX)
    for _ in range(breaker.FAILURES_MAX + 3):
        await rpc.head("head", read=as_it_is, height=height)
    assert len(three.proxies[0].asked) == breaker.FAILURES_MAX, "not asked any more"
    assert not _is_up(1)
    async with asyncio.timeout(10):
        while not _is_up(1):
            await rpc.head("head", read=as_it_is, height=height)
            await asyncio.sleep(0.05)


async def test_a_node_that_says_429_is_asked_again_when_it_said(three: Setting) -> None:
    rpc = three.rpc()
    three.proxies[0].fail("limited", times=1, seconds=30)
    for _ in range(5):
        await rpc.call("block", 3, read=as_it_is)
    assert len(three.proxies[0].asked) == 1


async def test_a_node_that_says_that_it_is_behind_is_not_asked_further(three: Setting) -> None:
    assert await three.rpc(away=frozenset({-99})).call("block", 1, read=height) == 1
    with pytest.raises(errors.NodeUnavailable):
        await three.rpc(away=frozenset({-32601})).call("mint", read=as_it_is)


async def test_the_node_that_is_least_behind_is_read(three: Setting) -> None:
    rpc = three.rpc()
    three.nodes[1].height = 20
    assert (await rpc.head("head", read=as_it_is, height=height))["height"] == 20
    assert await rpc.call("block", 20, read=height) == 20
    assert [proxy.asked.count("block") for proxy in three.proxies] == [0, 1, 0]
    lag = metrics.LAG.labels("small", "1:127.0.0.1")._value.get()
    assert lag == 13


async def test_a_node_that_starts_again_is_found_again() -> None:
    async with small.running() as node:
        rpc = Rpc(Nodes(network="sandbox", urls=[node.url]), chain="small")
        port = node.port
        await rpc.call("block", 1, read=as_it_is)
        await node.stop()
        later = asyncio.create_task(rpc.call("block", 2, read=height))
        await node.start(port)
        assert await later == 2
        await rpc.close()


async def test_an_answer_to_another_question_is_not_taken(three: Setting) -> None:
    for node in three.nodes:
        node.raw = messages.answer(200, b'{"jsonrpc": "2.0", "id": 0, "result": 1}')
    with pytest.raises(errors.NodeWrong):
        await three.rpc().call("say", read=as_it_is)


async def test_an_answer_without_end_is_cut_off(three: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billfold.chains.nodes.wire.BODY_MAX", 10_000)
    for node in three.nodes:
        node.raw = messages.answer(200, b" " * 20_000 + b"{}")
    with pytest.raises(errors.NodeWrong, match="more than 10000 bytes"):
        await three.rpc().call("say", read=as_it_is)


async def test_money_is_read_without_rounding(three: Setting) -> None:
    document = json.dumps({"jsonrpc": "2.0", "id": 1}).removesuffix("}") + ', "result": 20999999.99999999}'
    three.nodes[0].raw = messages.answer(200, document.encode())
    assert await three.rpc().call("say", read=lambda said: reading.units(said, "amount", scale=8)) == 2099999999999999


@pytest.mark.parametrize(
    "url", ["http://user:hunter2@127.0.0.1:{port}/key-s3cr3t", "http://127.0.0.1:{port}/v3/s3cr3t?apikey=hunter2"]
)
async def test_credentials_in_an_address_are_in_no_error_and_no_log(
    url: str, three: Setting, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    for node in three.nodes:
        await node.stop()
    seen = []
    for proxy in three.proxies:
        nodes = Nodes(network="sandbox", urls=[url.format(port=proxy.url.rpartition(":")[2])], timeout_s=1)
        proxy.fail("html")
        rpc = Rpc(nodes, chain="small")
        with pytest.raises(errors.NodeUnavailable) as failed:
            await rpc.call("head", read=as_it_is)
        seen += [repr(failed.value), str(failed.value), repr(nodes), repr(rpc), str(failed.value.__cause__)]
        await rpc.close()
    captured = capsys.readouterr()
    seen += [captured.out, captured.err, *(one.getMessage() for one in caplog.records if one.levelname != "DEBUG")]
    assert not [text for text in seen if "hunter2" in text or "s3cr3t" in text]


def _is_up(number: int) -> bool:
    return bool(metrics.UP.labels("small", f"{number}:127.0.0.1")._value.get())
