"""What a client may do before it has sent a whole head."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn

from billfold.platform.web import server
from tests.unit.platform.web.example import Client


class Server(uvicorn.Server):
    """Leaves the signals to the test runner."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(server, "HEAD_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = Server(server.config(Client().app, host="127.0.0.1", port=0))
        serving = asyncio.create_task(running.serve([listening]))
        yield listening.getsockname()[1]
        running.should_exit = True
        await serving


async def answers(port: int, *pieces: bytes) -> list[bytes]:
    """The first lines of what is answered to each piece, the last one until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    async with asyncio.timeout(10):
        for piece in pieces[:-1]:
            writer.write(piece)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
            found.append(head.partition(b"\r\n")[0])
        writer.write(pieces[-1])
        found.append((await reader.read()).partition(b"\r\n")[0])
    writer.close()
    await writer.wait_closed()
    return found


GOOD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_a_head_that_does_not_end_in_time_is_cut_off(port: int) -> None:
    assert await answers(port, b"GET /healthz HTTP/1.1\r\nHo") == [b"HTTP/1.1 408 Request Timeout"]


async def test_a_connection_that_says_nothing_is_cut_off(port: int) -> None:
    assert await answers(port, b"") == [b"HTTP/1.1 408 Request Timeout"]


async def test_so_is_the_head_of_a_further_request(port: int) -> None:
    assert await answers(port, GOOD, GOOD, b"GET ") == [b"HTTP/1.1 200 OK"] * 2 + [b"HTTP/1.1 408 Request Timeout"]


async def test_a_connection_between_two_requests_is_left_open(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GOOD)
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(server.HEAD_TIMEOUT_S * 2)
    writer.write(GOOD)
    async with asyncio.timeout(10):
        assert b"HTTP/1.1 200" in await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()


async def test_a_head_of_many_pieces_is_read_while_it_is_small(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for at in range(len(GOOD)):
        writer.write(GOOD[at : at + 1])
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert b"HTTP/1.1 200" in await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
