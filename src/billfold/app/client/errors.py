"""What can go wrong between here and the API, and what the API says of a request that it refuses."""

from __future__ import annotations

from typing import Any

import httpx2
import msgspec

from billfold.kernel import errors

#: What a proxy answers when it gets none from the API.
_NO_ANSWER = frozenset({502, 503, 504})
Json = dict[str, Any]


class ApiUnreachable(errors.Unavailable):
    """The API can't be reached."""

    code = "api_unreachable"

    #: Whether anything was heard of the API before; and the key with which the request can be sent again.
    was_reached = False
    idempotency_key: str | None = None


class AnswerUnreadable(errors.BillfoldError):
    """What listens at this address does not answer like Billfold."""

    code = "answer_unreadable"


class GatewayFailed(errors.Unavailable):
    """Something in front of the API answers, and the API does not."""

    code = "gateway_failed"

    idempotency_key: str | None = None


class UrlInvalid(errors.Invalid):
    """The address of the API is not an http or https URL."""

    code = "url_invalid"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Problem details, as far as a client decides by them."""

    code: str
    detail: str
    retryable: bool = False
    request_id: str = ""


class ApiRefusal(errors.BillfoldError):
    """The API has refused the request. `code` is that of the problem details, so it differs from one to the next."""

    code = "api_refusal"

    idempotency_key: str | None = None
    status: int = 0
    #: The problem details as a whole.
    document: Json = {}  # noqa: RUF012 - replaced as a whole, never changed.
    request_id: str = ""
    retry_after_s: float = 0.0

    @classmethod
    def of(cls, problem: Problem, *, status: int, document: Json, retry_after_s: float = 0.0) -> ApiRefusal:
        """The refusal that these problem details tell of."""
        error = cls(problem.detail)
        error.status = status
        error.document = document
        error.request_id = problem.request_id
        error.retry_after_s = retry_after_s
        # The class can't know them: they are the server's.
        error.code = problem.code  # type: ignore[misc]
        error.retryable = problem.retryable  # type: ignore[misc]
        return error


def refusal(response: httpx2.Response) -> errors.BillfoldError:
    """The error that an answer tells of. A proxy's own page is no problem details."""
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except msgspec.DecodeError:
        said = f"{response.url.host} answered {response.status_code} without saying why"
        if response.status_code in _NO_ANSWER:
            return GatewayFailed(f"{said}; the API behind it may be down.")
        return AnswerUnreadable(f"{said}; check that --url is the address of the API.")
    seconds = response.headers.get("retry-after", "")
    return ApiRefusal.of(
        problem,
        status=response.status_code,
        document=msgspec.json.decode(response.content),
        retry_after_s=float(seconds) if seconds.isdecimal() else 0.0,
    )
