"""JSON-RPC 2.0 over HTTP: one call or several at once, each answered by the method that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from billfold.devnet import serving
from billfold.devnet.solana.calls import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    NODE_UNHEALTHY,
    CallFailed,
    Params,
)

PARSE_ERROR = -32700
#: So many calls may come as one.
BATCH_MAX = 1_000

Methods = Mapping[str, Callable[[Params], Any]]


class Dispatcher:
    """Answers calls by a table of methods."""

    def __init__(self, methods: Methods) -> None:
        self._methods = methods

    def answer(self, body: bytes) -> bytes:
        """What is answered to a body."""
        try:
            asked = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return msgspec.json.encode(_error(None, PARSE_ERROR, "Parse error"))
        if not isinstance(asked, list):
            return msgspec.json.encode(self.one(asked))
        if not 0 < len(asked) <= BATCH_MAX:
            return msgspec.json.encode(_error(None, INVALID_REQUEST, "Invalid request"))
        return msgspec.json.encode([self.one(each) for each in asked])

    def one(self, asked: Any) -> dict[str, Any]:
        """The answer to one call."""
        if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
            return _error(None, INVALID_REQUEST, "Invalid request")
        number = asked.get("id")
        method = self._methods.get(asked["method"])
        if method is None:
            return _error(number, METHOD_NOT_FOUND, "Method not found")
        try:
            return {"jsonrpc": "2.0", "result": method(Params(asked.get("params") or [])), "id": number}
        except CallFailed as failed:
            return _error(number, failed.number, failed.message, failed.data)
        except serving.DevnetConflict as conflict:
            return _error(number, NODE_UNHEALTHY, conflict.detail)
        except serving.DevnetError as error:
            return _error(number, INVALID_PARAMS, error.detail)


def _error(number: Any, code: int, message: str, data: Any = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "error": error, "id": number}
