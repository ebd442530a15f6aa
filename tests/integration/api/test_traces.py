"""What a request leaves behind as a trace, read back from the collector that the API sends it to."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests import otlp, servers
from tests.integration.api import support
from tests.integration.api.support import ApiServer

ENOUGH = {"amount": "5.00", "asset": "USD"}


@pytest.fixture(scope="module")
def collector_server() -> Iterator[otlp.Collector]:
    with otlp.collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(
    api_database: servers.TestDatabase, collector_server: otlp.Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    """An API that traces whatever its callers want to be traced, and nothing else."""
    folder = tmp_path_factory.mktemp("traced")
    with support.running_api(
        api_database,
        folder,
        traces__endpoint=collector_server.url,
        traces__sample="0",
        limits__anonymous_per_minute="0",
    ) as server:
        yield server


def traceparent() -> tuple[str, str]:
    """A trace of the caller's, and how it is sent."""
    trace_id = secrets.token_hex(16)
    return trace_id, f"00-{trace_id}-{'c' * 16}-01"


def test_a_deposit_is_one_trace_down_to_its_commit(
    traced: ApiServer, collector_server: otlp.Collector, operator_key: str
) -> None:
    caller = traced.caller(operator_key)
    wallet = caller.post("/wallets", {"name": "Ada"}).json()["id"]
    body = {"money": ENOUGH}
    # The first one opens the wallet's account, which is another story.
    caller.post(f"/wallets/{wallet}/deposits", body)
    trace_id, sent = traceparent()
    answer = caller.post(f"/wallets/{wallet}/deposits", body, traceparent=sent, x_request_id="of-ada")
    assert answer.status_code == 201, answer.text
    spans = collector_server.wait_for(trace_id, ["COMMIT", "POST /api/v1/wallets/{wallet_id}/deposits"])
    by_name = {span.name: span for span in spans.values()}
    below = {
        "POST /api/v1/wallets/{wallet_id}/deposits": "c" * 16,
        "ledger Post": by_name["POST /api/v1/wallets/{wallet_id}/deposits"].span_id,
        "ledger batch": by_name["ledger Post"].span_id,
        "lock and fold": by_name["ledger batch"].span_id,
        "write": by_name["ledger batch"].span_id,
        "COMMIT": by_name["ledger batch"].span_id,
    }
    assert {name: span.parent_id for name, span in by_name.items()} == below
    assert {span.service for span in spans.values()} == {"billfold-api"}
    request = by_name["POST /api/v1/wallets/{wallet_id}/deposits"]
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/v1/wallets/{wallet_id}/deposits",
        "http.response.status_code": 201,
        "billfold.request_id": "of-ada",
    }
    for span in spans.values():
        parent = spans.get(span.parent_id, span)
        assert parent.began_ns <= span.began_ns <= span.ended_ns <= parent.ended_ns


def test_a_refusal_is_an_answer_and_a_trace_says_which(
    traced: ApiServer, collector_server: otlp.Collector, operator_key: str
) -> None:
    caller = traced.caller(operator_key)
    wallet = caller.post("/wallets", {"name": "Ada"}).json()["id"]
    trace_id, sent = traceparent()
    answer = caller.post(f"/wallets/{wallet}/withdrawals", {"money": ENOUGH}, traceparent=sent)
    assert answer.json()["code"] == "insufficient_funds"
    spans = collector_server.wait_for(trace_id, ["COMMIT", "POST /api/v1/wallets/{wallet_id}/withdrawals"])
    assert not any(span.failed for span in spans.values())
    request = next(span for span in spans.values() if span.name.startswith("POST"))
    assert request.attributes["http.response.status_code"] == 422


def test_neither_what_a_request_holds_nor_whose_it_is_gets_into_a_trace(
    traced: ApiServer, collector_server: otlp.Collector, operator_key: str
) -> None:
    trace_id, sent = traceparent()
    caller = traced.caller(operator_key)
    made = caller.post("/wallets", {"name": "the savings of Ada", "external_id": "acct-4711"}, traceparent=sent).json()
    spans = collector_server.wait_for(trace_id, ["POST /api/v1/wallets"])
    text = json.dumps([span.attributes | {"name": span.name} for span in spans.values()])
    for secret in (operator_key, "savings", "4711", made["id"]):
        assert secret not in text


def test_the_answer_of_a_traced_request_names_its_trace(traced: ApiServer, operator_key: str) -> None:
    trace_id, sent = traceparent()
    answer = traced.caller(operator_key).request("GET", "/wallets/nothing", traceparent=sent)
    assert answer.headers["x-request-id"] == trace_id


def test_who_asks_for_no_trace_gets_none(
    traced: ApiServer, collector_server: otlp.Collector, operator_key: str
) -> None:
    caller = traced.caller(operator_key)
    silent = secrets.token_hex(16)
    caller.request("GET", "/assets", traceparent=f"00-{silent}-{'c' * 16}-00")
    caller.get("/assets")
    trace_id, sent = traceparent()
    caller.request("GET", "/assets", traceparent=sent)
    collector_server.wait_for(trace_id, ["GET /api/v1/assets"])
    assert collector_server.of_trace(silent) == {}
    assert all(span.parent_id for span in collector_server.spans), "every trace was begun by a caller"


def test_what_has_no_end_is_a_span_and_a_measured_request_once_it_has_begun(
    traced: ApiServer, collector_server: otlp.Collector, operator_key: str
) -> None:
    headers = {"authorization": f"Bearer {operator_key}"}
    root = f"{traced.url}/api/v1"
    trace_id, sent = traceparent()
    with httpx2.stream("GET", f"{root}/stream", headers=headers | {"traceparent": sent}) as stream:
        assert stream.status_code == 200
        _is_told(traced, collector_server, trace_id, "/api/v1/stream", 200)
    trace_id, sent = traceparent()
    with connect(f"{root.replace('http', 'ws')}/ws", additional_headers=headers | {"traceparent": sent}):
        _is_told(traced, collector_server, trace_id, "/api/v1/ws", 101)
    with pytest.raises(InvalidStatus):
        connect(f"{root.replace('http', 'ws')}/no-such", additional_headers={"traceparent": sent})
    collector_server.wait_for(trace_id, ["GET unmatched"])


def _is_told(api: ApiServer, collector: otlp.Collector, trace_id: str, route: str, status: int) -> None:
    spans = collector.wait_for(trace_id, [f"GET {route}"])
    (span,) = (span for span in spans.values() if span.name == f"GET {route}")
    assert (span.attributes["http.response.status_code"], span.failed) == (status, False)
    told = httpx2.get(f"{api.metrics_url}/metrics").text
    assert f'billfold_http_request_seconds_count{{method="GET",route="{route}",status="{status}"}} 1.0' in told


def test_a_collector_that_is_away_costs_no_request(
    api_database: servers.TestDatabase, operator_key: str, tmp_path: Path
) -> None:
    with support.running_api(
        api_database, tmp_path, traces__endpoint="http://127.0.0.1:9", traces__sample="1"
    ) as server:
        for _ in range(20):
            assert server.caller(operator_key).get("/assets").status_code == 200
        assert server.stop() == 0
