"""The roles `api` and `ledger` as they are run, in processes of their own."""

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from billfold.app import settings
from billfold.app.supervisor import roles
from billfold.platform import host
from billfold.platform.web.problems import RETRY_AFTER_S
from tests import ledgers, otlp, servers
from tests.integration.api import support
from tests.integration.api.support import ApiServer, Caller
from tests.ledgers import LedgerServer


@pytest.fixture(scope="module")
def collector_server() -> Iterator[otlp.Collector]:
    with otlp.collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def pair(
    api_database: servers.TestDatabase, collector_server: otlp.Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sequence[LedgerServer]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                ledgers.serving(
                    api_database.app_dsn, tmp_path_factory.mktemp("ledger"), traces__endpoint=collector_server.url
                )
            )
            for _ in range(2)
        ]


@pytest.fixture(scope="module")
def api(
    api_database: servers.TestDatabase,
    pair: Sequence[LedgerServer],
    collector_server: otlp.Collector,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ApiServer]:
    with support.running_api(
        api_database,
        tmp_path_factory.mktemp("api"),
        ledger__address=",".join(server.address for server in pair),
        traces__endpoint=collector_server.url,
        traces__sample="0",
    ) as server:
        yield server


@pytest.fixture
def ada(api: ApiServer, operator_key: str) -> Caller:
    return api.caller(operator_key)


def dollars(amount: str) -> dict[str, Any]:
    return {"money": {"amount": amount, "asset": "USD"}}


def wallet(caller: Caller, amount: str) -> str:
    made: str = caller.post("/wallets", {"name": "A"}).json()["id"]
    assert caller.post(f"/wallets/{made}/deposits", dollars(amount)).status_code == 201
    return made


def deposit_at_last(caller: Caller, wallet: str) -> None:
    """Repeat the deposit that nobody could tell of, as its sender would."""
    deadline = time.monotonic() + support.START_TIMEOUT_S
    while caller.post(f"/wallets/{wallet}/deposits", dollars("1.00"), idempotency_key="later").status_code != 201:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_money_is_moved_and_read_through_the_role(ada: Caller, pair: Sequence[LedgerServer]) -> None:
    mine, yours = wallet(ada, "100.00"), wallet(ada, "1.00")
    assert ada.post("/transfers", {"from": mine, "to": yours, **dollars("30.00")}).status_code == 201
    refused = ada.post("/transfers", {"from": mine, "to": yours, **dollars("300.00")}, idempotency_key="much")
    again = ada.post("/transfers", {"from": mine, "to": yours, **dollars("300.00")}, idempotency_key="much")
    assert [refused.json()["code"], again.json()["code"]] == ["insufficient_funds"] * 2
    assert again.headers["idempotency-replayed"] == "true"
    (balance,) = ada.get(f"/wallets/{mine}/balance").json()["balances"]
    assert balance["posted"] == "70.00"
    asked = [line for server in pair for line in server.metrics().splitlines() if 'method="Post"' in line]
    assert asked, "nobody has asked the role"


def test_a_transfer_is_one_trace_through_both_processes(ada: Caller, collector_server: otlp.Collector) -> None:
    mine, yours = wallet(ada, "100.00"), wallet(ada, "1.00")
    trace_id = secrets.token_hex(16)
    sent = f"00-{trace_id}-{'c' * 16}-01"
    assert ada.post("/transfers", {"from": mine, "to": yours, **dollars("1.00")}, traceparent=sent).status_code == 201
    served = "billfold.ledger.v1.LedgerService/Post"
    spans = collector_server.wait_for(trace_id, ["POST /api/v1/transfers", "Post", served, "ledger Post", "COMMIT"])
    commit = next(span for span in spans.values() if span.name == "COMMIT")
    way = [(commit.name, commit.service)]
    while commit.parent_id in spans:
        commit = spans[commit.parent_id]
        way.append((commit.name, commit.service))
    assert way == [
        ("COMMIT", "billfold-ledger"),
        ("ledger batch", "billfold-ledger"),
        ("ledger Post", "billfold-ledger"),
        (served, "billfold-ledger"),
        ("Post", "billfold-api"),
        ("POST /api/v1/transfers", "billfold-api"),
    ]


def test_the_api_is_ready_while_one_of_the_ledgers_is(
    api: ApiServer, ada: Caller, pair: Sequence[LedgerServer]
) -> None:
    mine = wallet(ada, "10.00")
    up = {"postgresql": {"state": "up"}, "ledger": {"state": "up"}}
    assert httpx2.get(f"{api.url}/readyz").json() == {"status": "ready", "dependencies": up}
    pair[0].kill()
    assert ada.post(f"/wallets/{mine}/deposits", dollars("1.00")).status_code == 201
    assert httpx2.get(f"{api.url}/readyz").status_code == 200
    pair[1].kill()
    assert httpx2.get(f"{api.url}/readyz").json()["dependencies"]["ledger"]["state"] == "down"
    away = ada.post(f"/wallets/{mine}/deposits", dollars("1.00"), idempotency_key="later")
    assert (away.status_code, away.json()["retryable"]) == (503, True)
    assert away.json()["code"] in {"service_unavailable", "outcome_unknown"}
    assert away.headers["retry-after"] == str(RETRY_AFTER_S)
    for server in pair:
        server.start()
    deposit_at_last(ada, mine)
    (balance,) = ada.get(f"/wallets/{mine}/balance").json()["balances"]
    assert balance["posted"] == "12.00"


def test_a_role_that_is_told_something_wrong_says_what(tmp_path: Path, api_database: servers.TestDatabase) -> None:
    wrong = LedgerServer(api_database.app_dsn, tmp_path, {"ledger__listen": "somewhere"})
    assert wrong.spawn().wait(support.START_TIMEOUT_S) != 0
    assert "ledger.listen is wrong: 'somewhere' is neither unix:/path nor host:port" in wrong.output.read_text()


async def test_the_supervisor_starts_the_role_and_knows_when_it_is_ready(
    api_database: servers.TestDatabase, tmp_path: Path
) -> None:
    tree = settings.Settings(
        data_dir=tmp_path,
        postgres=settings.Postgres(dsn=api_database.app_dsn),
        ledger=settings.Ledger(listen=f"unix:{tmp_path}/ledger.sock", metrics_port=host.free_port()),
    )
    heard: list[str] = []
    child = await roles.RoleProcess(roles.LEDGER, tree, on_line=heard.append).start()
    assert (tmp_path / "ledger.sock").is_socket()
    await child.stop()
    assert await child.wait() == 0
    assert "stopped" in heard[-1]
