"""A node of a chain that is as small as can be: heights, hashes, and transactions that it takes or refuses."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

from billfold.devnet.proxy import messages


class SmallNode:
    """Speaks JSON-RPC at `/`, and REST below `/head`, `/blocks` and `/send`."""

    def __init__(self) -> None:
        self.height = 7
        self.salt = 0
        self.taken: list[str] = []
        self.requests: list[messages.Request] = []
        #: What it says to `say`, as it is.
        self.raw = b""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await messages.read(reader)) is not None:
                self.requests.append(request)
                writer.write(self._answer(request))
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    def _answer(self, request: messages.Request) -> bytes:
        if request.method == "say":
            return self.raw
        if request.target != "/" and request.verb == "GET":
            return self._read(request.target)
        if request.target == "/send":
            return self._taken(parse_qs(request.body.decode())["tx"][0])
        call = json.loads(request.body)
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": call["id"]}
        try:
            answer["result"] = self._result(call["method"], call["params"])
        except _No as no:
            answer["error"] = {"code": no.number, "message": no.words}
        return messages.answer(200, json.dumps(answer).encode())

    def _result(self, method: str, params: list[Any]) -> Any:
        if method == "head":
            return self._block(self.height)
        if method == "block":
            return self._block(params[0]) if params[0] <= self.height else None
        if method == "send":
            if params[0] == "bad":
                raise _No(-26, "it is not valid")
            if params[0] in self.taken:
                raise _No(-27, "it is known already")
            self.taken.append(params[0])
            return "done"
        raise _No(-32601, "there is no such method")

    def _read(self, target: str) -> bytes:
        if target == "/head":
            return messages.answer(200, json.dumps(self._block(self.height)).encode())
        height = int(target.rpartition("/")[2])
        if height > self.height:
            return messages.answer(404, b'{"title": "Resource Missing"}')
        return messages.answer(200, json.dumps(self._block(height)).encode())

    def _taken(self, tx: str) -> bytes:
        if tx == "bad":
            return messages.answer(400, b'{"title": "Transaction Failed", "extras": {"code": "tx_bad_seq"}}')
        self.taken.append(tx)
        return messages.answer(200, b'{"hash": "done"}')

    def _block(self, height: int) -> dict[str, Any]:
        return {"height": height, "hash": f"{height + self.salt:064x}"}


class _No(Exception):
    def __init__(self, number: int, words: str) -> None:
        super().__init__(words)
        self.number = number
        self.words = words


@asynccontextmanager
async def running() -> AsyncIterator[SmallNode]:
    node = SmallNode()
    await node.start()
    try:
        yield node
    finally:
        await node.stop()
