"""What every answer has, whoever gives it."""

import asyncio
import re
from typing import Any

import pytest
from structlog.testing import capture_logs

from billfold.platform.telemetry import logs
from billfold.platform.web import edge
from tests.unit.platform.web.example import Client, Gone, TooHeavy

THING = {"name": "cup", "price": {"amount": "1.00", "asset": "USD"}}
PATHS = pytest.mark.parametrize("path", ["/api/v1/things", "/api/v1/payments"])


@pytest.fixture(scope="module")
def shared() -> Client:
    return Client()


@pytest.fixture
def client(shared: Client) -> Client:
    shared.shelf.fails_with = None
    return shared


@PATHS
async def test_both_kinds_of_routes_serve(client: Client, path: str) -> None:
    reply = await client.post(path, THING)
    assert (reply.status, reply.json) == (201, THING)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["content-length"] == str(len(reply.body))


async def test_a_parameter_of_the_path_reaches_its_route(client: Client) -> None:
    reply = await client.call("POST", "/api/v1/things/seven/pay", idempotency_key="k")
    assert reply.json == {"thing_id": "seven", "key": "k"}


@pytest.mark.parametrize("path", ["/api/v1/payments/", "//api/v1/payments", "/api/v1//payments"])
async def test_slashes_too_many_change_nothing(client: Client, path: str) -> None:
    assert (await client.post(path, THING)).status == 201


@PATHS
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Basic YTpi", "Bearer", "Bearer ", "Bearer bf_test_bad", "Bearer " + "x" * 600, "bf_test_good"],
)
async def test_without_valid_credentials_nothing_is_served(
    client: Client, path: str, authorization: str | None
) -> None:
    headers: Any = {} if authorization is None else {"authorization": authorization}
    for reply in (
        await client.call("GET", path, token=None, **headers),
        await client.post(path, b"{", token=None, **headers),
    ):
        assert (reply.status, reply.json["code"]) == (401, "unauthorized")
        assert reply.headers["www-authenticate"] == 'Bearer realm="billfold"'


async def test_the_scheme_is_spelt_in_any_case(client: Client) -> None:
    reply = await client.call("GET", "/api/v1/things", token=None, authorization="bEARER bf_test_good")
    assert reply.status == 200


async def test_a_missing_scope_is_named(client: Client) -> None:
    reply = await client.call("GET", "/api/v1/things/7")
    assert (reply.status, reply.json["code"]) == (403, "missing_scope")
    assert "things:burn" in reply.json["detail"]


async def test_an_operation_for_everybody_needs_no_credentials(client: Client) -> None:
    reply = await client.call("GET", "/api/v1/motd", token=None)
    assert (reply.status, reply.body) == (200, b"none")


@PATHS
async def test_a_refusal_is_a_problem_document(client: Client, path: str) -> None:
    client.shelf.fails_with = TooHeavy("Ten kilograms are too heavy.", pointer="/weight")
    reply = await client.post(path, THING, x_request_id="mine-1")
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json == {
        "type": "http://api.test/docs/errors#too_heavy",
        "title": "Too heavy",
        "status": 422,
        "detail": "Ten kilograms are too heavy.",
        "instance": path,
        "code": "too_heavy",
        "request_id": "mine-1",
        "retryable": False,
        "errors": [{"detail": "Ten kilograms are too heavy.", "pointer": "/weight"}],
    }


@PATHS
async def test_a_replayed_refusal_says_so(client: Client, path: str) -> None:
    client.shelf.fails_with = TooHeavy()
    assert "idempotency-replayed" not in (await client.post(path, THING)).headers
    client.shelf.fails_with.replayed = True
    assert (await client.post(path, THING)).headers["idempotency-replayed"] == "true"


async def test_a_replayed_answer_says_so(client: Client) -> None:
    assert "idempotency-replayed" not in (await client.post("/api/v1/payments", THING)).headers
    for path in ("/api/v1/payments", "/api/v1/payments/"):
        assert (await client.post(path, THING, key="again")).headers["idempotency-replayed"] == "true"


@PATHS
async def test_what_is_unavailable_can_be_tried_again(client: Client, path: str) -> None:
    client.shelf.fails_with = Gone()
    with capture_logs():
        reply = await client.post(path, THING)
    assert (reply.status, reply.json["retryable"]) == (503, True)
    assert reply.headers["retry-after"] == "1"


async def test_what_is_away_is_told_once_however_often_somebody_asks_whether_we_are_ready() -> None:
    away = True

    async def check() -> None:
        if away:
            raise Gone

    client = Client(checks={"shelf": check})
    with capture_logs() as told:
        statuses = [(await client.call("GET", "/readyz", token=None)).status for _ in range(3)]
        away = False
        statuses += [(await client.call("GET", "/readyz", token=None)).status for _ in range(2)]
    assert statuses == [503, 503, 503, 200, 200]
    assert told == [
        {"event": "not ready", "log_level": "warning", "shelf": Gone.sentence()},
        {"event": "ready again", "log_level": "info"},
    ]


@PATHS
async def test_a_broken_assumption_shows_nothing_of_itself(client: Client, path: str) -> None:
    client.shelf.fails_with = AssertionError("SELECT secret FROM vault")
    with capture_logs() as logs:
        reply = await client.post(path, THING)
    assert (reply.status, reply.json["code"]) == (500, "internal_error")
    assert reply.json["request_id"] == reply.headers["x-request-id"]
    assert b"SELECT" not in reply.body
    assert b"Traceback" not in reply.body
    assert logs[0]["event"] == "request failed"
    assert logs[0]["exc_info"] is client.shelf.fails_with


@PATHS
async def test_a_request_that_is_cut_off_by_our_end_can_be_tried_again(path: str) -> None:
    client = Client()
    client.shelf.fails_with = asyncio.CancelledError()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    original = client.app

    async def app(scope: Any, receive: Any, _send: Any) -> None:
        await original(scope, receive, send)

    client.app = app
    with capture_logs(), pytest.raises(asyncio.CancelledError):
        await client.post(path, THING)
    assert sent[0]["status"] == 503
    assert b"shutting_down" in sent[1]["body"]


async def test_whoever_opens_the_address_alone_is_led_to_the_documentation(client: Client) -> None:
    reply = await client.call("GET", "/")
    assert (reply.status, reply.headers["location"]) == (302, "/docs")


async def test_a_path_that_is_not_there(client: Client) -> None:
    for path in ("/api/v1", "/api/v1/nothing", "/api/v2/things", "/api/v1/things/7/pay/more", "/docs/../etc"):
        reply = await client.call("GET", path)
        assert (reply.status, reply.json["code"]) == (404, "route_not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/api/v1/things", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("PUT", "/api/v1/payments", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("GET", "/api/v1/things/7/pay", {"POST", "OPTIONS"}),
        ("BREW", "/api/v1/motd", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_another_method_is_told_which_there_are(client: Client, method: str, path: str, allow: set[str]) -> None:
    reply = await client.call(method, path)
    assert (reply.status, reply.json["code"]) == (405, "method_not_allowed")
    assert set(reply.headers["allow"].split(", ")) == allow


async def test_options_names_the_methods(client: Client) -> None:
    reply = await client.call("OPTIONS", "/api/v1/payments", token=None)
    assert reply.status == 204
    assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}


async def test_head_has_what_get_has(client: Client) -> None:
    got = await client.call("GET", "/api/v1/things", x_request_id="r")
    head = await client.call("HEAD", "/api/v1/things", x_request_id="r")
    # The server leaves out the body; here it is still there.
    assert (head.status, head.headers) == (got.status, got.headers)


@pytest.mark.parametrize("given", ["mine-1", "0af7651916cd43dd8448eb211c80319c", "a:b/c+d=", "x" * 128])
async def test_a_sane_request_id_is_kept(client: Client, given: str) -> None:
    assert (await client.call("GET", "/api/v1/things", x_request_id=given)).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "<script>", "line\nbreak", "é", '"'])
async def test_another_request_id_is_replaced(client: Client, given: str) -> None:
    made = [(await client.call("GET", "/api/v1/things", x_request_id=given)).headers["x-request-id"] for _ in range(2)]
    assert given not in made
    assert made[0] != made[1]
    assert all(re.fullmatch("[0-9a-f]{16}-[0-9a-f]+", text) for text in made)


@pytest.mark.parametrize(
    "path", ["/api/v1/things", "/api/v1/openapi.json", "/api/v1/nothing", "/docs", "/docs/docs.js"]
)
async def test_an_answer_says_once_whether_it_may_be_kept(client: Client, path: str) -> None:
    names = [name for name, _ in (await client.call("GET", path)).sent[0]["headers"]]
    assert names.count(b"cache-control") == 1


@pytest.mark.parametrize("path", ["/api/v1/things", "/api/v1/payments", "/api/v1/nothing", "/healthz"])
async def test_no_browser_runs_or_keeps_an_answer(client: Client, path: str) -> None:
    headers = (await client.call("GET", path)).headers
    policy = set(headers["content-security-policy"].split("; "))
    assert policy == {"default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"}
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers


@pytest.mark.parametrize("path", ["/docs", "/docs/errors", "/docs/docs.css", "/docs/docs.js", "/docs/icon.svg"])
async def test_what_is_text_says_in_which_letters(client: Client, path: str) -> None:
    assert (await client.call("GET", path)).headers["content-type"].endswith("; charset=utf-8")


async def test_https_is_insisted_upon_where_there_is_some() -> None:
    client = Client(public_url="https://api.test/", hsts=True)
    for path in ("/api/v1/payments", "/docs"):
        assert "max-age" in (await client.call("GET", path)).headers["strict-transport-security"]


async def test_requests_are_counted_by_their_route() -> None:
    client = Client()
    await client.post("/api/v1/payments", THING)
    await client.call("POST", "/api/v1/things/1/pay", idempotency_key="k")
    await client.call("GET", "/api/v1/things/2")
    await client.call("GET", "/never/seen/before")
    await client.call("BREW", "/healthz")
    (family,) = client.requests.collect()
    counted = {
        tuple(sample.labels.values()): sample.value for sample in family.samples if sample.name.endswith("_count")
    }
    assert counted == {
        ("POST", "/api/v1/payments", "201"): 1,
        ("POST", "/api/v1/things/{thing_id}/pay", "200"): 1,
        ("GET", "/api/v1/things/{thing_id}", "403"): 1,
        ("GET", "unmatched", "404"): 1,
        ("other", "unmatched", "405"): 1,
    }


async def test_a_slow_answer_is_logged_and_a_fast_one_is_not(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as logs:
        await client.post("/api/v1/payments", THING)
        assert logs == []
        monkeypatch.setattr(edge, "SLOW_S", -1.0)
        await client.post("/api/v1/payments", THING)
    assert logs[0]["route"] == "/api/v1/payments"


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("given", [f"00-{TRACE}-00f067aa0ba902b7-01", f"cc-{TRACE}-00f067aa0ba902b7-00-more"])
async def test_the_callers_trace_is_the_requests_id_unless_they_name_another(client: Client, given: str) -> None:
    traced = await client.call("GET", "/api/v1/things", traceparent=given)
    assert traced.headers["x-request-id"] == TRACE
    named = await client.call("GET", "/api/v1/things", traceparent=given, x_request_id="mine-1")
    assert named.headers["x-request-id"] == "mine-1"
    assert logs.trace_id.get() == TRACE.encode()


@pytest.mark.parametrize(
    "given",
    [
        "",
        TRACE,
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-00f067aa0ba902b7-01x",
    ],
)
async def test_a_trace_that_is_none_is_not_taken(client: Client, given: str) -> None:
    reply = await client.call("GET", "/api/v1/things", traceparent=given)
    assert TRACE not in reply.headers["x-request-id"].lower()
    assert logs.trace_id.get() == b""
