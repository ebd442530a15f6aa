"""Errors as they leave over HTTP: RFC 9457 problem details, and the one table of their statuses.

What is wrong and its code belong to the context that raises it; no other place knows a status.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from billfold.kernel import errors, idempotency, paging
from billfold.platform.limiting.exceeded import Exceeded
from billfold.platform.web import errors as web_errors

MEDIA_TYPE = "application/problem+json"
#: What is unavailable is mostly back within a second: a restart of PostgreSQL, a full queue.
RETRY_AFTER_S = 1

#: What is not written as a word in titles.
_ABBREVIATIONS = {"api": "API", "json": "JSON"}

#: The nearest class of an error's ancestry decides. 400 is for what can't be understood as a request at all, 422 for
#: what is understood and not valid.
STATUSES: dict[type[errors.BillfoldError], HTTPStatus] = {
    errors.BillfoldError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.Refusal: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Gone: HTTPStatus.GONE,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.Denied: HTTPStatus.FORBIDDEN,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.TooOften: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    idempotency.IdempotencyKeyMissing: HTTPStatus.BAD_REQUEST,
    idempotency.InvalidIdempotencyKey: HTTPStatus.BAD_REQUEST,
    paging.InvalidCursor: HTTPStatus.BAD_REQUEST,
    paging.InvalidLimit: HTTPStatus.BAD_REQUEST,
    web_errors.BadRequest: HTTPStatus.BAD_REQUEST,
    web_errors.MalformedJson: HTTPStatus.BAD_REQUEST,
    web_errors.NestingTooDeep: HTTPStatus.BAD_REQUEST,
    web_errors.UnknownQueryParameter: HTTPStatus.BAD_REQUEST,
    web_errors.InvalidQueryParameter: HTTPStatus.BAD_REQUEST,
    web_errors.RouteNotFound: HTTPStatus.NOT_FOUND,
    web_errors.MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    web_errors.RequestTimeout: HTTPStatus.REQUEST_TIMEOUT,
    web_errors.UpgradeRequired: HTTPStatus.UPGRADE_REQUIRED,
    web_errors.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    web_errors.UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    web_errors.UnsupportedContentEncoding: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is wrong, and where: `pointer` into the body (RFC 6901), or the name of the query `parameter`."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error: why the request was not served, and whether the same request may succeed later."""

    #: A page that says what this code means.
    type: str
    title: str
    status: int
    #: One sentence about this very request.
    detail: str
    #: The path of the request.
    instance: str
    #: Stable: decide by this.
    code: str
    #: Name it when you ask for help.
    request_id: str
    retryable: bool
    errors: list[Fault] = []


Headers = list[tuple[bytes, bytes]]

_encode = msgspec.json.Encoder().encode


def status_of(error: type[errors.BillfoldError]) -> HTTPStatus:
    """The status of this class of errors."""
    return next(STATUSES[ancestor] for ancestor in error.__mro__ if ancestor in STATUSES)


def title_of(error: type[errors.BillfoldError]) -> str:
    """The code in words, such as Insufficient funds."""
    words = error.code.replace("_", " ").capitalize().split()
    return " ".join(_ABBREVIATIONS.get(word.lower(), word) for word in words)


class Problems:
    """Writes errors. `docs_url` is the page that explains every code, which each `type` points into."""

    def __init__(self, docs_url: str) -> None:
        self._docs_url = docs_url

    def describe(self, error: errors.BillfoldError, *, instance: str, request_id: str) -> Problem:
        """The problem details of `error`."""
        kind = type(error)
        return Problem(
            type=f"{self._docs_url}#{error.code}",
            title=title_of(kind),
            status=status_of(kind),
            detail=error.detail,
            instance=instance,
            code=error.code,
            request_id=request_id,
            retryable=error.retryable,
            errors=[_fault(error)] if error.pointer is not None else [],
        )

    def answer(
        self, error: errors.BillfoldError, *, instance: str, request_id: str, allow: str | None = None
    ) -> tuple[int, Headers, bytes]:
        """Status, headers and body of the answer to a request that met `error`."""
        problem = self.describe(error, instance=instance, request_id=request_id)
        # Further members are allowed by RFC 9457 (3.2).
        body = _encode({**msgspec.to_builtins(problem), **error.extensions} if error.extensions else problem)
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
        headers += ((name.encode(), value.encode()) for name, value in _extra(error, allow).items())
        return problem.status, headers, body


def _fault(error: errors.BillfoldError) -> Fault:
    pointer = error.pointer or ""
    # A JSON Pointer begins with a slash or is empty (the whole body); whatever else is named is a query parameter.
    if pointer and not pointer.startswith("/"):
        return Fault(detail=error.detail, parameter=pointer)
    return Fault(detail=error.detail, pointer=pointer)


def _extra(error: errors.BillfoldError, allow: str | None) -> Mapping[str, str]:
    extra = {}
    if isinstance(error, errors.Unavailable):
        extra["retry-after"] = str(RETRY_AFTER_S)
    if isinstance(error, errors.TooOften):
        extra["retry-after"] = str(error.wait_s)
    if isinstance(error, web_errors.TooManyRequests) and error.exceeded is not None:
        extra |= _limit(error.exceeded)
    if isinstance(error, errors.Unauthenticated):
        extra["www-authenticate"] = 'Bearer realm="billfold"'
    if isinstance(error, web_errors.UnsupportedContentEncoding):
        extra["accept-encoding"] = "identity"
    if isinstance(error, web_errors.UpgradeRequired):
        extra |= {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13"}
    if error.replayed:
        extra["idempotency-replayed"] = "true"
    if allow is not None:
        extra["allow"] = allow
    return extra


def _limit(exceeded: Exceeded) -> Mapping[str, str]:
    """The limit as the IETF's draft of RateLimit header fields writes it."""
    window = exceeded.window
    return {
        "retry-after": str(exceeded.wait_s),
        "ratelimit-policy": f'"{exceeded.name}";q={window.amount};w={window.seconds}',
        "ratelimit": f'"{exceeded.name}";r=0;t={exceeded.wait_s}',
    }
