"""How often who may call, through the whole edge."""

from functools import partial
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY

from billfold.kernel.principal import MissingScope
from billfold.platform.limiting.exceeded import Window
from billfold.platform.limiting.limiter import Limiter
from billfold.platform.web.addresses import Addresses
from billfold.platform.web.gate import TOLD, Limits
from tests.unit.platform.web.example import GOOD, PRINCIPAL, Client, Reply

THING = {"name": "cup", "price": {"amount": "1.00", "asset": "USD"}}
#: One lean route and one plain.
PATHS = pytest.mark.parametrize("path", ["/api/v1/payments", "/api/v1/things"])
BAD = b"bf_test_bad"


def client(*, owner: int = 0, anonymous: int = 0, credentials: int = 0, proxies: str | None = None) -> Client:
    def limiter(name: str, amount: int) -> Limiter | None:
        return Limiter(name, [Window(amount, 60)]) if amount else None

    limits = Limits(
        owner=limiter("owner", owner),
        anonymous=limiter("anonymous", anonymous),
        credentials=limiter("wrong-credentials", credentials),
    )
    return Client(limits=limits, addresses=Addresses(proxies))


def refused(limit: str) -> float:
    return REGISTRY.get_sample_value("billfold_http_limited_total", {"limit": limit}) or 0.0


async def statuses(client: Client, number: int, path: str, *, token: bytes | None, **more: str) -> list[int]:
    return [(await client.call("GET", path, token=token, **more)).status for _ in range(number)]  # type: ignore[arg-type]


def is_limited(reply: Reply, code: str, limit: str) -> bool:
    assert reply.json["code"] == code
    assert reply.json["retryable"] is True
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    assert reply.headers["ratelimit-policy"].startswith(f'"{limit}";q=')
    assert reply.headers["ratelimit"] == f'"{limit}";r=0;t={reply.headers["retry-after"]}'
    return reply.status == 429


@PATHS
async def test_an_owner_who_calls_too_often_is_told_when_to_come_back(path: str) -> None:
    called, before = client(owner=2), refused("owner")
    assert [(await called.post(path, THING)).status for _ in range(2)] == [201, 201]
    reply = await called.post(path, THING)
    assert is_limited(reply, "too_many_requests", "owner")
    assert reply.headers["ratelimit-policy"] == '"owner";q=2;w=60'
    assert refused("owner") == before + 1


async def test_a_request_is_refused_before_anything_else_is_looked_at() -> None:
    called = client(owner=1)
    await called.post("/api/v1/payments", THING)
    assert (await called.post("/api/v1/payments", b"{", key=None)).status == 429


async def test_both_kinds_of_routes_count_once() -> None:
    called = client(owner=3)
    # With a slash too many the money path is served by the framework.
    found = [(await called.post(path, THING)).status for path in ("/api/v1/payments", "/api/v1/payments/")]
    assert found == [201, 201]
    assert await statuses(called, 2, "/api/v1/things", token=GOOD) == [200, 429]


@pytest.mark.parametrize("path", ["/docs", "/api/v1/openapi.json", "/api/v1/motd", "/nothing", "/api/v1/things"])
@pytest.mark.parametrize("token", [None, BAD])
async def test_without_valid_credentials_it_is_the_address_that_counts(path: str, token: bytes | None) -> None:
    called = client(anonymous=2)
    assert 429 not in await statuses(called, 2, path, token=token)
    assert is_limited(await called.call("GET", path, token=token), "too_many_requests", "anonymous")
    assert 429 not in await statuses(called, 1, path, token=token, address="192.0.2.2")


async def test_the_money_path_counts_who_brings_none() -> None:
    called = client(anonymous=2)
    assert await statuses(called, 3, "/api/v1/payments", token=None) == [401, 401, 429]


async def test_valid_credentials_are_never_counted_for_an_address() -> None:
    called = client(anonymous=1, credentials=1)
    for token in (None, BAD, BAD, BAD):
        await called.call("GET", "/api/v1/things", token=token)
    for path in ("/api/v1/things", "/docs", "/api/v1/motd"):
        assert await statuses(called, 3, path, token=GOOD) == [200] * 3
    assert (await called.post("/api/v1/payments", THING)).status == 201


@PATHS
async def test_whoever_keeps_trying_keys_is_told_to_wait(path: str) -> None:
    called, before = client(credentials=2), refused("wrong-credentials")
    assert await statuses(called, 2, path, token=BAD) == [401, 401]
    assert is_limited(await called.call("GET", path, token=BAD), "too_many_wrong_credentials", "wrong-credentials")
    assert is_limited(
        await called.call("GET", path, token=None, authorization="Basic YTpi"),
        "too_many_wrong_credentials",
        "wrong-credentials",
    )
    assert refused("wrong-credentials") == before + 2
    assert await statuses(called, 1, path, token=BAD, address="192.0.2.2") == [401]


@PATHS
async def test_wrong_cookies_are_wrong_credentials_and_those_of_others_are_none(path: str) -> None:
    called = client(credentials=2)
    for sent in ("billfold=wrong", "other=1; billfold=wrong"):
        assert await statuses(called, 1, path, token=None, cookie=sent) == [401]
    assert await statuses(called, 1, path, token=None, cookie="billfold=wrong") == [429]
    assert await statuses(called, 3, path, token=None, cookie="theme=dark") == [401] * 3


@PATHS
async def test_no_credentials_are_not_wrong_ones(path: str) -> None:
    assert await statuses(client(credentials=1), 3, path, token=None) == [401] * 3


async def test_whoever_asks_for_our_health_is_not_counted() -> None:
    assert await statuses(client(anonymous=1), 3, "/healthz", token=None) == [200] * 3
    assert await statuses(client(anonymous=1), 3, "/readyz", token=None) == [200] * 3


async def test_another_forwarded_address_on_each_request_helps_nobody() -> None:
    called = client(anonymous=3)
    found = [
        (await called.call("GET", "/docs", token=None, x_forwarded_for=f"198.51.100.{number}")).status
        for number in range(5)
    ]
    assert found == [200] * 3 + [429] * 2


async def test_clients_behind_our_proxy_are_told_apart() -> None:
    called = client(anonymous=1, proxies="192.0.2.1")
    found = [
        (await called.call("GET", "/docs", token=None, x_forwarded_for=f"203.0.113.7, 198.51.100.{number}")).status
        for number in (1, 2, 1)
    ]
    assert found == [200, 200, 429]


async def test_without_limits_nobody_is_refused() -> None:
    for token in (None, BAD):
        assert 429 not in await statuses(Client(), 50, "/api/v1/things", token=token)


@pytest.mark.parametrize(
    ("send", "route"),
    [
        (partial(Client.call, method="GET", path="/api/v1/things/1"), "/api/v1/things/{thing_id}"),
        (partial(Client.post, path="/api/v1/payments", body=THING), "/api/v1/payments"),
    ],
    ids=["plain", "lean"],
)
async def test_who_may_not_is_logged_and_not_without_end(send: Any, route: str) -> None:
    called = client()
    called.shelf.fails_with = MissingScope()
    with structlog.testing.capture_logs() as lines:
        found = {(await send(called, token=GOOD)).status for _ in range(TOLD.amount + 3)}
        await send(called, token=BAD)
    assert found == {403}
    assert lines == TOLD.amount * [
        {
            "event": "denied",
            "log_level": "info",
            "code": "missing_scope",
            "route": route,
            "owner": str(PRINCIPAL.owner_id),
            "by": str(PRINCIPAL.credential_id),
        }
    ]
