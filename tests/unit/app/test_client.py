"""The HTTP client: what it sends, what it repeats and what it makes of answers."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx2
import pytest

from billfold.app.client import AnswerUnreadable, Api, ApiRefusal, ApiUnreachable, GatewayFailed, UrlInvalid

_PROBLEM = {
    "code": "insufficient_funds",
    "detail": "Not enough.",
    "retryable": False,
    "request_id": "r-1",
    "status": 422,
}
_BUSY = {"code": "overloaded", "detail": "Busy.", "retryable": True}

Answers = list[httpx2.Response | Exception]


def _problem(status: int, body: dict[str, object], **headers: str) -> httpx2.Response:
    return httpx2.Response(status, json=body, headers={"content-type": "application/problem+json", **headers})


def _api(answers: Answers, *, patience_s: float = 1.0) -> tuple[Api, list[httpx2.Request]]:
    """An API that gives these answers in turn, and what it was asked."""
    asked: list[httpx2.Request] = []
    left = iter(answers)

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        found = next(left)
        if isinstance(found, Exception):
            raise found
        return found

    api = Api(
        url="http://api.test/api/v1/", key="bf_test_key", patience_s=patience_s, transport=httpx2.MockTransport(answer)
    )
    return api, asked


async def test_a_command_is_sent_with_key_body_and_credentials() -> None:
    api, asked = _api([httpx2.Response(201, json={"id": "x"}, headers={"Idempotency-Replayed": "true"})])
    answer = await api.post("/transfers", {"money": {"amount": "1", "asset": "USD"}}, key="k-1")
    assert (answer.status, answer.body, answer.replayed) == (201, {"id": "x"}, True)
    (request,) = asked
    assert str(request.url) == "http://api.test/api/v1/transfers"
    assert request.headers["authorization"] == "Bearer bf_test_key"
    assert request.headers["idempotency-key"] == "k-1"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content) == {"money": {"amount": "1", "asset": "USD"}}


async def test_parameters_that_are_none_are_left_out() -> None:
    api, asked = _api([httpx2.Response(200, json=[])])
    await api.get("/wallets", {"status": "open", "external_id": None, "limit": 3})
    assert asked[0].url.query == b"status=open&limit=3"


async def test_problem_details_are_an_error_with_their_code() -> None:
    api, _ = _api([_problem(422, _PROBLEM)])
    with pytest.raises(ApiRefusal) as raised:
        await api.post("/transfers", {}, key="k")
    refusal = raised.value
    assert (refusal.code, refusal.detail, refusal.status, refusal.retryable) == (
        "insufficient_funds",
        "Not enough.",
        422,
        False,
    )
    assert (refusal.request_id, refusal.idempotency_key) == ("r-1", "k")
    assert ApiRefusal.code == "api_refusal"


@pytest.mark.parametrize(
    "fault",
    [
        lambda: _problem(503, _BUSY, **{"retry-after": "0"}),
        lambda: httpx2.Response(502, text="<html>"),
        lambda: httpx2.ReadError("lost"),
        lambda: httpx2.ReadTimeout("late"),
    ],
    ids=["busy", "proxy", "lost", "late"],
)
async def test_a_command_with_a_key_is_sent_again_with_the_same_key(
    fault: Callable[[], httpx2.Response | Exception],
) -> None:
    api, asked = _api([fault(), fault(), httpx2.Response(201, json={"id": "x"})])
    assert (await api.post("/transfers", {"a": 1}, key="k")).body == {"id": "x"}
    assert [request.headers["idempotency-key"] for request in asked] == ["k", "k", "k"]
    assert {request.content for request in asked} == {b'{"a":1}'}


async def test_a_command_without_a_key_is_not_sent_again_when_it_may_have_arrived() -> None:
    api, asked = _api([httpx2.ReadError("lost")])
    with pytest.raises(ApiUnreachable, match="was lost before the answer came"):
        await api.post("/wallets", {})
    assert len(asked) == 1
    api, asked = _api([_problem(503, _BUSY)])
    with pytest.raises(ApiRefusal):
        await api.post("/wallets", {})
    assert len(asked) == 1


async def test_where_nobody_has_ever_answered_nothing_is_waited_for() -> None:
    api, asked = _api([httpx2.ConnectError("refused")], patience_s=60)
    with pytest.raises(ApiUnreachable, match=r"Nothing answers at http://api\.test\.") as raised:
        await api.get("/wallets")
    assert len(asked) == 1
    assert not raised.value.was_reached


async def test_an_api_that_restarts_is_waited_for() -> None:
    refused = httpx2.ConnectError("refused")
    api, _ = _api([httpx2.Response(200, json=[]), refused, refused, httpx2.Response(200, json=["back"])])
    await api.get("/wallets")
    assert await api.get("/wallets") == ["back"]


async def test_patience_ends() -> None:
    api, asked = _api([httpx2.Response(200, json=[]), *(httpx2.ReadError("lost") for _ in range(50))], patience_s=0.2)
    await api.get("/wallets")
    with pytest.raises(ApiUnreachable) as raised:
        await api.post("/transfers", {}, key="k")
    assert raised.value.idempotency_key == "k"
    assert raised.value.was_reached
    assert 2 < len(asked) < 10


async def test_a_long_retry_after_is_not_waited_for_beyond_patience() -> None:
    api, asked = _api([_problem(429, _BUSY, **{"retry-after": "3600"})])
    with pytest.raises(ApiRefusal):
        await api.get("/wallets")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx2.Response(200, text="<html>"), AnswerUnreadable),
        (httpx2.Response(404, text="<html>"), AnswerUnreadable),
        (httpx2.Response(404, json={"error": "no problem details"}), AnswerUnreadable),
    ],
)
async def test_another_server_is_told_from_billfold(answer: httpx2.Response, error: type[Exception]) -> None:
    api, _ = _api([answer])
    with pytest.raises(error, match="--url"):
        await api.get("/wallets")


async def test_a_proxy_that_gets_no_answer_is_not_the_api() -> None:
    api, _ = _api([httpx2.Response(504, text="") for _ in range(50)], patience_s=0.1)
    with pytest.raises(GatewayFailed, match="answered 504 without saying why"):
        await api.get("/wallets")


async def test_pages_are_followed_up_to_the_limit() -> None:
    pages = [
        httpx2.Response(200, json={"items": [{"id": 1}, {"id": 2}], "next": "/api/v1/wallets?limit=100&cursor=abc"}),
        httpx2.Response(200, json={"items": [{"id": 3}, {"id": 4}], "next": "/api/v1/wallets?limit=100&cursor=def"}),
    ]
    api, asked = _api([*pages])
    assert [item["id"] async for item in api.pages("/wallets", {"status": "open"}, limit=3)] == [1, 2, 3]
    assert asked[1].url.query == b"limit=100&cursor=abc"
    assert asked[0].url.query == b"status=open&limit=3"


async def test_a_stream_is_refused_like_any_request_and_broken_like_none() -> None:
    api, _ = _api([_problem(404, {"code": "wallet_unknown", "detail": "None."}), httpx2.ReadError("lost")])
    for error in (ApiRefusal, ApiUnreachable):
        with pytest.raises(error):
            async with api.stream("/wallets/x/statement"):
                pass


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://x", "http://", "http://x:y", "/api/v1"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UrlInvalid, match=r"such as http://127\.0\.0\.1:8080"):
        Api(url=url, key=None)
