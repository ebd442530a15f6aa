"""Requests in the name of a login: with its token of the moment, and with another one when that is refused."""

from __future__ import annotations

import httpx2
import pytest

from billfold.app.client import Api, ApiRefusal

_REFUSED = {"code": "unauthorized", "detail": "No."}


class Login:
    """Has one token after the other."""

    def __init__(self) -> None:
        self.worn: list[str] = []

    async def token(self) -> str:
        return "first"

    async def renewed(self, worn: str) -> str:
        self.worn.append(worn)
        return "second"


def _api(answers: list[httpx2.Response]) -> tuple[Api, Login, list[httpx2.Request]]:
    asked: list[httpx2.Request] = []
    left = iter(answers)

    def answer(request: httpx2.Request) -> httpx2.Response:
        # The same object is sent again with another token.
        asked.append(httpx2.Request(request.method, request.url, headers=request.headers, content=request.content))
        return next(left)

    login = Login()
    return Api(url="http://api.test", key=None, login=login, transport=httpx2.MockTransport(answer)), login, asked


def _problem() -> httpx2.Response:
    return httpx2.Response(401, json=_REFUSED, headers={"content-type": "application/problem+json"})


async def test_a_request_has_the_token_of_the_moment() -> None:
    api, login, asked = _api([httpx2.Response(200, json=[])])
    await api.get("/wallets")
    assert [request.headers["authorization"] for request in asked] == ["Bearer first"]
    assert login.worn == []


async def test_a_refused_token_is_replaced_once_and_the_same_request_sent_again() -> None:
    api, login, asked = _api([_problem(), httpx2.Response(201, json={"id": "x"})])
    answer = await api.post("/transfers", {"a": 1}, key="k", step_up="c-1")
    assert answer.body == {"id": "x"}
    assert [request.headers["authorization"] for request in asked] == ["Bearer first", "Bearer second"]
    assert {request.content for request in asked} == {b'{"a":1}'}
    assert {(request.headers["idempotency-key"], request.headers["step-up"]) for request in asked} == {("k", "c-1")}
    assert login.worn == ["first"]


async def test_what_stays_refused_is_refused() -> None:
    api, login, _ = _api([_problem(), _problem()])
    with pytest.raises(ApiRefusal):
        await api.get("/wallets")
    assert login.worn == ["first"]


async def test_a_stream_is_sent_in_the_name_of_the_login_too() -> None:
    api, _, asked = _api([_problem(), httpx2.Response(200, content=b"a,b")])
    async with api.stream("/wallets/x/statement") as chunks:
        assert b"".join([chunk async for chunk in chunks]) == b"a,b"
    assert [request.headers["authorization"] for request in asked] == ["Bearer first", "Bearer second"]
