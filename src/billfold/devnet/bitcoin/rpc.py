"""Bitcoin Core's JSON-RPC: one request or many, by position or by name, with its error codes.

A request without `"jsonrpc": "2.0"` is answered as Bitcoin Core always did: `result` and `error` side by side, and a
refusal with HTTP 500 (404 for a method that is not there). One with it is answered with HTTP 200.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

#: Bitcoin Core's numbers for what goes wrong.
MISC, TYPE, NOT_FOUND, PARAMETER, DECODING = -1, -3, -5, -8, -22
VERIFY, REJECTED, ALREADY = -25, -26, -27
NO_METHOD, WRONG_REQUEST, WRONG_JSON = -32601, -32600, -32700
#: Requests in one body. Bitcoin Core has no limit, and nobody needs more here.
BATCH_MAX = 1_000

_encoder = msgspec.json.Encoder(decimal_format="number")


class RpcError(Exception):
    """What is answered instead of a result."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class Reply(msgspec.Struct, frozen=True):
    """What goes back over HTTP."""

    status: int
    body: bytes


def reply(methods: Mapping[str, Callable[..., Any]], body: bytes) -> Reply:
    """The answer to what was posted."""
    try:
        asked = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _one({"result": None, "error": {"code": WRONG_JSON, "message": "Parse error"}, "id": None}, 500)
    if isinstance(asked, list):
        if len(asked) > BATCH_MAX:
            return _one(_failed({}, RpcError(WRONG_REQUEST, f"at most {BATCH_MAX} requests at once")), 500)
        return _one([_answer(methods, each)[0] for each in asked], 200)
    return _one(*_answer(methods, asked))


def _answer(methods: Mapping[str, Callable[..., Any]], asked: Any) -> tuple[dict[str, Any], int]:
    if not isinstance(asked, dict):
        return _failed({}, RpcError(WRONG_REQUEST, "Invalid Request object")), 400
    modern = asked.get("jsonrpc") == "2.0"
    try:
        result = _call(methods, asked)
    except RpcError as error:
        return _failed(asked, error), 200 if modern else _STATUS.get(error.code, 500)
    if modern:
        return {"jsonrpc": "2.0", "result": result, "id": asked.get("id")}, 200
    return {"result": result, "error": None, "id": asked.get("id")}, 200


def _call(methods: Mapping[str, Callable[..., Any]], asked: dict[str, Any]) -> Any:
    name, given = asked.get("method"), asked.get("params") or []
    if not isinstance(name, str):
        raise RpcError(WRONG_REQUEST, "Method must be a string" if name is not None else "Missing method")
    method = methods.get(name)
    if method is None:
        raise RpcError(NO_METHOD, "Method not found")
    signature = inspect.signature(method, eval_str=True)
    try:
        bound = signature.bind(**given) if isinstance(given, dict) else signature.bind(*given)
    except TypeError as error:
        unknown = sorted(set(given) - set(signature.parameters)) if isinstance(given, dict) else []
        if unknown:
            raise RpcError(PARAMETER, f"Unknown named parameter {unknown[0]}") from error
        raise RpcError(MISC, f"{name} {' '.join(signature.parameters)}") from error
    for parameter, value in bound.arguments.items():
        bound.arguments[parameter] = _converted(value, signature.parameters[parameter], parameter)
    return method(*bound.args, **bound.kwargs)


def _converted(value: Any, parameter: inspect.Parameter, name: str) -> Any:
    if value is None and parameter.default is not inspect.Parameter.empty:
        return parameter.default
    try:
        return msgspec.convert(value, parameter.annotation)
    except msgspec.ValidationError as error:
        raise RpcError(TYPE, f"JSON value of {name} is not of expected type: {error}") from error


def _failed(asked: Mapping[str, Any], error: RpcError) -> dict[str, Any]:
    detail = {"code": error.code, "message": error.message}
    if asked.get("jsonrpc") == "2.0":
        return {"jsonrpc": "2.0", "error": detail, "id": asked.get("id")}
    return {"result": None, "error": detail, "id": asked.get("id")}


_STATUS = {NO_METHOD: 404, WRONG_REQUEST: 400}


def _one(answer: Any, status: int) -> Reply:
    return Reply(status, _encoder.encode(answer) + b"\n")
