"""What a client may do before it has sent a whole head."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn

from billfold.platform.web import decoding, server
from tests.unit.platform.web.example import Client


class Server(uvicorn.Server):
    """Leaves the signals to the test runner."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    for name in ("HEAD_TIMEOUT_S", "CLOSE_TIMEOUT_S"):
        monkeypatch.setattr(server, name, 0.2)
    for name in ("BODY_TIMEOUT_S", "ANSWER_TIMEOUT_S"):
        monkeypatch.setattr(server, name, 0.5)
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


class Slow:
    """A client that takes its time, by the bytes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answer = b""

    async def drips(self, head: bytes, *, every_s: float = 0.02) -> None:
        """Send the head, then a byte now and then, until the server has hung up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        reading = asyncio.create_task(self._read(reader))
        writer.write(head)
        try:
            async with asyncio.timeout(10):
                while not reading.done():
                    writer.write(b"a")
                    await asyncio.wait([reading], timeout=every_s)
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """What is answered, as it comes: it is lost with the connection when that is reset."""
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                self.answer += piece


async def test_a_head_of_a_byte_now_and_then_is_cut_off(port: int) -> None:
    slow = Slow(port)
    await slow.drips(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
    assert slow.answer.startswith(b"HTTP/1.1 408")


BODY = b"Host: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n"


async def test_a_body_of_a_byte_now_and_then_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BODY_TIMEOUT_S", 0.2)
    slow = Slow(port)
    await slow.drips(
        b"POST /api/v1/payments HTTP/1.1\r\nAuthorization: Bearer bf_test_good\r\nIdempotency-Key: k\r\n"
        + BODY.replace(b"100000", b"900")
        + b"\r\n"
    )
    assert slow.answer.startswith(b"HTTP/1.1 408")
    assert b"request_timeout" in slow.answer


@pytest.mark.parametrize(
    "line", [b"POST /api/v1/payments HTTP/1.1\r\n", b"GET /docs HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\n"]
)
async def test_so_is_one_that_nobody_reads(port: int, line: bytes) -> None:
    slow = Slow(port)
    await slow.drips(line + BODY + b"\r\n")
    assert slow.answer.split()[1] in {b"200", b"401", b"404"}


async def test_a_head_in_one_piece_that_is_too_long_is_refused(port: int) -> None:
    long = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 60_000 + b"\r\n\r\n"
    assert await answers(port, long) == [b"HTTP/1.1 431 Request Header Fields Too Large"]
    many = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * 15_000 + b"\r\n"
    assert await answers(port, many) == [b"HTTP/1.1 431 Request Header Fields Too Large"]


async def test_a_body_of_any_size_that_is_allowed_is_not_taken_for_a_head(port: int) -> None:
    body = b"{" + b" " * 100_000
    head = b"POST /api/v1/things HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bf_test_good\r\nIdempotency-Key: k\r\n"
    sent = (
        head + b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body
    )
    assert await answers(port, sent) == [b"HTTP/1.1 400 Bad Request"]


async def test_whoever_does_not_read_the_answer_is_cut_off(port: int) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.setblocking(False)  # noqa: FBT003 - the library has no name for it.
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            with pytest.raises(ConnectionError):
                while True:
                    await loop.sock_sendall(client, b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
                    await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"Content-Length: +5\r\n\r\n12345",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5 5\r\n12345\r\n0\r\n\r\n",
    ],
)
async def test_a_body_that_could_end_in_two_places_is_refused_and_nothing_behind_it_is_read(
    port: int, framing: bytes
) -> None:
    head = b"POST /api/v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    assert await answers(port, head + framing + GOOD) == [b"HTTP/1.1 400 Bad Request"]
