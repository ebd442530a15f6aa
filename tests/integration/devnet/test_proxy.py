"""What the proxy lets go wrong, before a real node of a small chain."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from billfold.devnet.proxy import FaultProxy, Kind
from billfold.platform import host
from tests.integration.chains.nodes import small


@pytest.fixture
async def node() -> AsyncIterator[small.SmallNode]:
    async with small.running() as running:
        yield running


@pytest.fixture
async def proxy(node: small.SmallNode) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(node.url) as running:
        yield running


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=proxy.url) as made:
        yield made


async def called(client: httpx2.AsyncClient, method: str, *params: Any, number: int = 1) -> httpx2.Response:
    return await client.post("/", json={"jsonrpc": "2.0", "id": number, "method": method, "params": params})


async def test_without_faults_all_is_passed_on(client: httpx2.AsyncClient) -> None:
    assert (await called(client, "block", 3, number=9)).json()["id"] == 9
    assert (await client.get("/blocks/3")).json()["height"] == 3
    assert (await client.get("/blocks/99")).status_code == 404


async def test_what_is_dropped_has_reached_the_node(
    proxy: FaultProxy, node: small.SmallNode, client: httpx2.AsyncClient
) -> None:
    proxy.fail("drop", "send", times=1)
    with pytest.raises(httpx2.RemoteProtocolError):
        await called(client, "send", "abc")
    assert node.taken == ["abc"]
    assert "known already" in (await called(client, "send", "abc")).text


async def test_what_is_duplicated_reaches_the_node_twice(
    proxy: FaultProxy, node: small.SmallNode, client: httpx2.AsyncClient
) -> None:
    proxy.fail("duplicate", "send")
    await called(client, "send", "abc")
    assert len(node.requests) == 2


async def test_a_stale_head_stays_and_the_rest_goes_on(
    proxy: FaultProxy, node: small.SmallNode, client: httpx2.AsyncClient
) -> None:
    await called(client, "head")
    proxy.fail("stale", "head")
    node.height = 8
    answer = (await called(client, "head", number=2)).json()
    assert (answer["id"], answer["result"]["height"]) == (2, 7)
    assert (await called(client, "block", 8)).json()["result"]["height"] == 8
    proxy.heal()
    assert (await called(client, "head")).json()["result"]["height"] == 8


async def test_a_429_says_when_to_come_back(proxy: FaultProxy, client: httpx2.AsyncClient) -> None:
    proxy.fail("limited", "GET /blocks/*", times=1, seconds=7)
    refused = await client.get("/blocks/3")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert (await client.get("/blocks/3")).status_code == 200


async def test_garbage_is_of_the_kind_that_was_asked_for(proxy: FaultProxy, client: httpx2.AsyncClient) -> None:
    kinds: tuple[Kind, ...] = ("negative", "huge", "missing")
    for kind in kinds:
        proxy.fail(kind, times=1)
    assert (await called(client, "head")).json()["result"]["height"] == -8
    assert (await called(client, "head")).json()["result"]["height"] > 10**100
    assert (await called(client, "head")).json()["result"] == {}
    proxy.fail("truncated")
    with pytest.raises(json.JSONDecodeError):
        (await client.get("/head")).json()


async def test_faults_are_switched_over_http(proxy: FaultProxy, client: httpx2.AsyncClient) -> None:
    told = await client.post("/faults", json={"method": "head", "kind": "html", "times": 2})
    assert told.json() == [{"kind": "html", "method": "head", "times": 2, "seconds": 1.0}]
    assert (await called(client, "head")).text.startswith("<html>")
    assert (await client.get("/faults")).json()[0]["times"] == 1
    assert (await client.request("DELETE", "/faults")).json() == []
    assert (await called(client, "head")).json()["result"]["height"] == 7
    assert (await client.post("/faults", json={"kind": "magic"})).status_code == 400


async def test_a_node_that_is_away_is_a_bad_gateway() -> None:
    async with FaultProxy(f"http://127.0.0.1:{host.free_port()}") as proxy, httpx2.AsyncClient() as client:
        assert (await client.get(f"{proxy.url}/head")).status_code == 502


async def test_it_runs_as_a_program(node: small.SmallNode) -> None:
    port = host.free_port()
    arguments = ("-m", "billfold.devnet.proxy", "--port", str(port), "--to", node.url)
    program = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    assert program.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await program.stdout.readline() == f"proxy is ready at http://127.0.0.1:{port}\n".encode()
        async with httpx2.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/head")).json()["height"] == 7
    finally:
        program.terminate()
        await program.wait()
