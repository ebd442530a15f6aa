"""What can be asked of Horizon beside the path: cursor, order, limit, assets. And how it says no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response
from stellar_sdk import Asset, Operation
from stellar_sdk.exceptions import SdkError

from billfold.devnet.stellar import balances
from billfold.devnet.stellar.records import Record
from billfold.devnet.stellar.state import NATIVE

#: Horizon's own.
LIMIT_DEFAULT = 10
LIMIT_MAX = 200
_HAL = "application/hal+json; charset=utf-8"
_PROBLEM = "application/problem+json; charset=utf-8"
_TITLES = {
    "not_found": (HTTPStatus.NOT_FOUND, "Resource Missing"),
    "bad_request": (HTTPStatus.BAD_REQUEST, "Bad Request"),
    "transaction_malformed": (HTTPStatus.BAD_REQUEST, "Transaction Malformed"),
    "transaction_failed": (HTTPStatus.BAD_REQUEST, "Transaction Failed"),
    "timeout": (HTTPStatus.GATEWAY_TIMEOUT, "Timeout"),
}


class Problem(Exception):
    """An answer that is none."""

    def __init__(self, kind: str, detail: str, extras: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.extras = extras


def problem(error: Problem) -> Response[Any]:
    """In Horizon's form."""
    status, title = _TITLES[error.kind]
    told: Record = {
        "type": f"https://stellar.org/horizon-errors/{error.kind}",
        "title": title,
        "status": int(status),
        "detail": error.detail,
    }
    if error.extras is not None:
        told["extras"] = error.extras
    return Response(told, status_code=status, media_type=_PROBLEM)


def answer(record: Record, *, status: HTTPStatus = HTTPStatus.OK) -> Response[Any]:
    """A record."""
    return Response(record, status_code=status, media_type=_HAL)


@dataclass(frozen=True)
class Paging:
    """Which page."""

    cursor: int | None
    limit: int
    descending: bool


def base(request: Request[Any, Any, Any]) -> str:
    """What links begin with."""
    return str(request.base_url).rstrip("/")


def paging(request: Request[Any, Any, Any]) -> Paging:
    """Which page is asked for.

    Raises:
        Problem
    """
    query = request.query_params
    cursor, order = query.get("cursor", ""), query.get("order", "asc")
    limit = _number(query.get("limit", "") or str(LIMIT_DEFAULT), "limit")
    if not 1 <= limit <= LIMIT_MAX:
        raise wrong("limit")
    if order not in {"asc", "desc"}:
        raise wrong("order")
    now = cursor in {"", "now"}
    return Paging(None if now else _number(cursor, "cursor"), limit, order == "desc")


def page(request: Request[Any, Any, Any], asked: Paging, found: Sequence[Record]) -> Response[Any]:
    """A page of records, with links to its neighbours."""

    def link(cursor: str, order: str) -> Record:
        kept = {key: value for key, value in request.query_params.items() if key not in {"cursor", "order", "limit"}}
        query = urlencode({**kept, "cursor": cursor, "limit": asked.limit, "order": order})
        return {"href": f"{base(request)}{request.url.path}?{query}"}

    own, other = ("desc", "asc") if asked.descending else ("asc", "desc")
    here = "" if asked.cursor is None else str(asked.cursor)
    first, last = (found[0]["paging_token"], found[-1]["paging_token"]) if found else (here, here)
    return answer(
        {
            "_links": {"self": link(here, own), "next": link(last, own), "prev": link(first, other)},
            "_embedded": {"records": list(found)},
        }
    )


def asset(request: Request[Any, Any, Any], prefix: str) -> str:
    """An asset in three parameters.

    Raises:
        Problem
    """
    query = request.query_params
    if query.get(f"{prefix}asset_type") == NATIVE:
        return NATIVE
    return _asset(query.get(f"{prefix}asset_code", ""), query.get(f"{prefix}asset_issuer", ""), f"{prefix}asset_code")


def assets(request: Request[Any, Any, Any], name: str) -> list[str]:
    """A list of assets in one parameter.

    Raises:
        Problem
    """
    texts = [text for text in request.query_params.get(name, "").split(",") if text]
    found = list[str]()
    for text in texts[:LIMIT_MAX]:
        code, _, issuer = text.partition(":")
        found.append(text if text == NATIVE else _asset(code, issuer, name))
    return found


def amount(request: Request[Any, Any, Any], name: str) -> int:
    """An amount.

    Raises:
        Problem
    """
    try:
        found = Operation.to_xdr_amount(request.query_params.get(name, ""))
    except (ValueError, TypeError, ArithmeticError):
        raise wrong(name) from None
    if found <= 0:
        raise wrong(name)
    return found


def wrong(name: str) -> Problem:
    """A parameter is not as it must be."""
    return Problem(
        "bad_request",
        f"The parameter {name} is not as it must be.",
        {"invalid_field": name, "reason": "invalid"},
    )


def _asset(code: str, issuer: str, name: str) -> str:
    try:
        return balances.key(Asset(code, issuer))
    except (ValueError, SdkError):
        raise wrong(name) from None


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 19:  # noqa: PLR2004 - digits of 64 bits
        raise wrong(name)
    return int(text)
