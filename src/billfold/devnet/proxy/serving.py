"""Listens on 127.0.0.1 and passes requests on to a node, or does what was told to go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from functools import cache
from types import TracebackType
from typing import Self

import httpx2
import msgspec

from billfold.devnet.proxy import messages
from billfold.devnet.proxy.faults import HTML, Fault, Faults, Kind, spoilt

HOST = "127.0.0.1"
TIMEOUT_S = 60.0
_CONTROL = "/faults"
_BAD_GATEWAY = 502
#: What is not passed on: it belongs to one of the two connections.
_OF_THE_CONNECTION = frozenset({"host", "content-length", "connection", "accept-encoding", "keep-alive"})


class _HangUpError(Exception):
    """The connection is closed without an answer."""


class FaultProxy:
    """A proxy before the node at `to`. Use it as an asynchronous context, or by `start` and `stop`."""

    def __init__(self, to: str, *, port: int = 0) -> None:
        self._to = to.rstrip("/")
        self._port = port
        self._faults = Faults()
        self._server: asyncio.Server | None = None
        self._client = httpx2.AsyncClient(verify=_tls(), trust_env=False, timeout=TIMEOUT_S)
        #: The methods of what has come, in order: what a test counts.
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        assert self._server is not None, "it has not been started"
        return f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    def fail(self, kind: Kind, method: str = "*", *, times: int | None = None, seconds: float = 1.0) -> None:
        """From now on this goes wrong."""
        self._faults.add(Fault(kind=kind, method=method, times=times, seconds=seconds))

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self._faults.clear()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self._port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ValueError, _HangUpError):
                while (request := await messages.read(reader)) is not None:
                    writer.write(await self._answered(request))
                    await writer.drain()
        finally:
            writer.close()

    async def _answered(self, request: messages.Request) -> bytes:
        if request.target == _CONTROL:
            return self._controlled(request)
        method = request.method
        self.asked.append(method)
        fault = self._faults.take(method)
        return await (self._passed_on(request) if fault is None else self._failed(request, fault))

    def _controlled(self, request: messages.Request) -> bytes:
        if request.verb == "POST":
            try:
                self._faults.add(msgspec.json.decode(request.body, type=Fault))
            except msgspec.DecodeError as error:
                return messages.answer(400, json.dumps({"error": str(error)}).encode())
        elif request.verb == "DELETE":
            self.heal()
        return messages.answer(200, msgspec.json.encode(self._faults.all))

    async def _passed_on(self, request: messages.Request) -> bytes:
        status, kind, body = await self._fetched(request)
        self._faults.remember(request.question, messages.answer(status, body, kind=kind))
        return messages.answer(status, body, kind=kind)

    async def _failed(self, request: messages.Request, fault: Fault) -> bytes:
        if fault.kind == "limited":
            return messages.answer(429, b"{}", more={"Retry-After": str(round(fault.seconds))})
        if fault.kind == "stale" and (before := self._faults.remembered(request.question)) is not None:
            return _with_number(before, request)
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        if fault.kind == "duplicate":
            await self._fetched(request)
        if fault.kind in {"delay", "duplicate", "stale"}:
            return await self._passed_on(request)
        status, _, body = await self._fetched(request)
        if fault.kind == "drop":
            raise _HangUpError
        changed = spoilt(fault.kind, body, request.method)
        return messages.answer(status, changed, kind="text/html" if changed == HTML else "application/json")

    async def _fetched(self, request: messages.Request) -> tuple[int, str, bytes]:
        headers = {name: value for name, value in request.headers.items() if name not in _OF_THE_CONNECTION}
        try:
            answer = await self._client.request(
                request.verb, f"{self._to}{request.target}", headers=headers, content=request.body
            )
        except httpx2.HTTPError:
            return _BAD_GATEWAY, "text/html", HTML
        return answer.status_code, answer.headers.get("content-type", "application/json"), answer.content


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes longer than all else that a start does."""
    return ssl.create_default_context()


def _with_number(answer: bytes, request: messages.Request) -> bytes:
    """An old answer with the number of the new call."""
    head, _, body = answer.partition(b"\r\n\r\n")
    number = request.number
    if number is None:
        return answer
    document = json.loads(body)
    document["id"] = number
    return messages.answer(int(head.split(b" ", 2)[1]), json.dumps(document).encode())
