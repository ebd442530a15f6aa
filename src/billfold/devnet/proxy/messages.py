"""As much of HTTP/1.1 as clients of nodes need (RFC 9112): requests with a length, one after the other."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus

#: What no client of ours sends.
HEADERS_MAX = 100
BODY_MAX = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks."""

    verb: str
    #: Path and query.
    target: str
    #: Names in lower case.
    headers: dict[str, str]
    body: bytes

    @property
    def method(self) -> str:
        """What it is called when something is to go wrong with it: JSON-RPC's method, or `GET /path`."""
        if self.verb == "POST" and self.body[:1] in {b"{", b"["}:
            call = json.loads(self.body)
            first = call[0] if isinstance(call, list) and call else call
            if isinstance(first, dict) and isinstance(first.get("method"), str):
                return str(first["method"])
        return f"{self.verb} {self.target.partition('?')[0]}"

    @property
    def question(self) -> bytes:
        """The same for the same question, whatever number the call has."""
        body = self.body
        if body[:1] == b"{":
            call = json.loads(body)
            body = json.dumps([call.get("method"), call.get("params")]).encode()
        return b" ".join((self.verb.encode(), self.target.encode(), body))

    @property
    def number(self) -> object:
        """The id of a JSON-RPC call; None of others."""
        call = json.loads(self.body) if self.body[:1] == b"{" else {}
        return call.get("id")


async def read(reader: asyncio.StreamReader) -> Request | None:
    """The next request; None when the client has gone.

    Raises:
        ValueError: it is none.
    """
    line = await reader.readline()
    if not line:
        return None
    verb, target, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := await reader.readline()) not in {b"\r\n", b""}:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
        if len(headers) > HEADERS_MAX:
            raise ValueError("too many headers")
    if "transfer-encoding" in headers:
        raise ValueError("only bodies with a length are understood")
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= BODY_MAX:
        raise ValueError("the body is too long")
    return Request(verb, target, headers, await reader.readexactly(length))


def answer(status: int, body: bytes, *, kind: str = "application/json", more: dict[str, str] | None = None) -> bytes:
    """The bytes of an answer."""
    headers = {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}
    phrase = HTTPStatus(status).phrase
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {phrase}\r\n{head}\r\n".encode("latin-1") + body
