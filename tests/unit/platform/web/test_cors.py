"""Pages of other origins: none may, or those that are named, and those exactly."""

import pytest

from billfold.platform.limiting.exceeded import Window
from billfold.platform.limiting.limiter import Limiter
from billfold.platform.web.cors import Cors
from billfold.platform.web.gate import Limits
from tests.unit.platform.web.example import Client, Reply

APP = "https://app.example.com"
THING = {"name": "cup", "price": {"amount": "1.00", "asset": "USD"}}
PATHS = pytest.mark.parametrize("path", ["/api/v1/payments", "/api/v1/things"])


@pytest.fixture(scope="module")
def client() -> Client:
    return Client(cors=Cors(f"{APP}, http://localhost:3000"))


def allowed(reply: Reply) -> list[str]:
    return [name for name in reply.headers if name.startswith("access-control-")]


async def asked(client: Client, path: str, origin: str) -> Reply:
    return await client.call(
        "OPTIONS", path, token=None, origin=origin, access_control_request_method="POST",
        access_control_request_headers="authorization, idempotency-key",
    )  # fmt: skip


@PATHS
async def test_without_a_setting_no_other_origin_may(path: str) -> None:
    nobody = Client()
    for reply in (await asked(nobody, path, APP), await nobody.post(path, THING, origin=APP)):
        assert allowed(reply) == []
        assert "vary" not in reply.headers


@PATHS
async def test_a_named_origin_may_ask_and_call(client: Client, path: str) -> None:
    may = await asked(client, path, APP)
    assert (may.status, may.body, may.headers["access-control-allow-origin"]) == (204, b"", APP)
    assert "POST" in may.headers["access-control-allow-methods"]
    for header in ("Authorization", "Cache-Control", "Content-Type", "Idempotency-Key"):
        assert header in may.headers["access-control-allow-headers"]
    called = await client.post(path, THING, origin=APP)
    assert (called.status, called.headers["access-control-allow-origin"]) == (201, APP)
    assert "Retry-After" in called.headers["access-control-expose-headers"]
    assert called.headers["vary"] == "Origin"


@PATHS
async def test_errors_can_be_read_there_too(client: Client, path: str) -> None:
    for reply in (
        await client.post(path, b"{", origin=APP),
        await client.post(path, THING, token=None, origin=APP),
        await client.call("GET", "/api/v1/nothing", origin=APP),
    ):
        assert reply.status >= 400
        assert reply.headers["access-control-allow-origin"] == APP


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com.evil.example",
        "https://evil-app.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com/",
        "https://APP.example.com",
        "null",
        "*",
        "",
    ],
)
async def test_another_origin_may_not(client: Client, origin: str) -> None:
    for reply in (await asked(client, "/api/v1/payments", origin), await client.call("GET", "/docs", origin=origin)):
        assert allowed(reply) == []
        assert reply.headers["vary"] == "Origin"


async def test_nobody_may_send_cookies(client: Client) -> None:
    for reply in (await asked(client, "/api/v1/things", APP), await client.call("GET", "/api/v1/things", origin=APP)):
        assert "access-control-allow-credentials" not in reply.headers
        assert reply.headers["access-control-allow-origin"] != "*"


async def test_options_without_a_question_names_the_methods_as_before(client: Client) -> None:
    reply = await client.call("OPTIONS", "/api/v1/payments", token=None, origin=APP)
    assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}


async def test_a_question_has_the_headers_of_every_answer_and_counts_for_nobody() -> None:
    client = Client(cors=Cors(APP), limits=Limits(anonymous=Limiter("anonymous", [Window(1, 60)])))
    found = [await asked(client, "/api/v1/payments", APP) for _ in range(3)]
    assert [reply.status for reply in found] == [204] * 3
    assert all(reply.headers["x-content-type-options"] == "nosniff" for reply in found)
    assert all(reply.headers["x-request-id"] for reply in found)


@pytest.mark.parametrize(
    "wrong",
    ["*", "null", "app.example.com", "https://*.example.com", "https://app.example.com/", "https://a.b/c", "ftp://a.b",
     "https://a.b?c", "https://a@b", "https://a.b;https://c.d", "https://A.b", "https://app.example.com,*"],
)  # fmt: skip
def test_what_is_no_origin_is_named(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no origin such as"):
        Cors(wrong)
