"""What `deploy/` gives to Prometheus and Grafana works on a real Prometheus beside a running stack."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import ledgers
from tests.conftest import had
from tests.docs import stack
from tests.servers import prometheus

ROOT = Path(__file__).parents[3]
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "billfold.json"
METRICS = ROOT / "docs" / "reference" / "metrics.md"
WATCH_IT = ROOT / "docs" / "how-to" / "watch-it.md"
#: What the client library and Prometheus put behind a metric's name.
_SUFFIX = re.compile(r"_(total|bucket|sum|count)$")
#: Alerts that nothing is wrong enough for on a machine where a stack has just begun.
QUIET = {
    "BillfoldLedgerFault",
    "BillfoldProcessGone",
    "BillfoldDeadLetters",
    "BillfoldEventParked",
    "BillfoldEventRefused",
    "BillfoldLimitsApart",
}
#: What has a series in every stack, so that its panel shows something.
FROM_THE_START = (
    'billfold_postgres_connections{state="working"}',
    "max(billfold_outbox_rows)",
    "max(billfold_balances_behind_ratio)",
    "billfold_balances_redis_up",
    "max(billfold_refused_events_open)",
    "max by (consumer) (billfold_consumer_lag)",
    'max(billfold_consumer_lag{consumer="audit"})',
    "max(billfold_audit_sealed_records)",
    "sum by (instance) (billfold_streams_open)",
    "sum by (instance) (billfold_rpc_server_in_flight)",
)
#: Columns of a dashboard.
GRID_WIDTH = 24


def queries() -> list[str]:
    """What the dashboard asks, with the range that Grafana would put in."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"].replace("$__rate_interval", "1m") for panel in panels for target in panel["targets"]]


def named(text: str) -> set[str]:
    """The metrics of ours that are named there."""
    return {_SUFFIX.sub("", name) for name in re.findall(r"\bbillfold_[a-z_]+", text)}


@pytest.fixture(scope="module")
def watched_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where the metrics of each role are."""
    with stack.running(tmp_path_factory.mktemp("watched")) as environment:
        record = json.loads((Path(environment["BILLFOLD_DATA"]) / "stack.json").read_text(encoding="utf-8"))
        with ledgers.serving(record["postgres_dsn"], tmp_path_factory.mktemp("ledger")) as ledger:
            yield {"ledger": ledger.metrics_url} | record["metrics_urls"]


@pytest.fixture(scope="module")
def prometheus_server(
    watched_stack: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[prometheus.PrometheusServer]:
    targets = {f"billfold-{role}": urlsplit(url).netloc for role, url in watched_stack.items()}
    folder = tmp_path_factory.mktemp("prometheus")
    with had("prometheus_server"), prometheus.running_prometheus(folder, targets=targets) as server:
        yield server


def test_each_metric_that_is_asked_for_is_there() -> None:
    known = set(re.findall(r"`(billfold_[a-z_]+)`", METRICS.read_text(encoding="utf-8")))
    assert named(prometheus.RULES.read_text(encoding="utf-8")) <= known
    assert named("\n".join(queries())) <= known


def test_the_documentation_tells_of_each_alert_and_of_no_other() -> None:
    alerts = re.findall(r"- alert: (\w+)", prometheus.RULES.read_text(encoding="utf-8"))
    told = re.findall(r"`(Billfold[A-Z]\w+)`", WATCH_IT.read_text(encoding="utf-8"))
    assert sorted(told) == sorted(alerts)


def test_prometheus_takes_the_configuration() -> None:
    with had("promtool"):
        checked = prometheus.promtool("check", "config", str(prometheus.DEPLOY / "prometheus.yml"))
    assert checked.returncode == 0, checked.stderr


def test_every_rule_is_evaluated_and_a_healthy_stack_alarms_nobody(
    prometheus_server: prometheus.PrometheusServer,
) -> None:
    prometheus_server.wait_for('up{job="billfold-api"} == 1')
    rules = prometheus_server.rules()
    assert {name: rule["health"] for name, rule in rules.items()} == dict.fromkeys(rules, "ok")
    assert {name: rules[name]["state"] for name in QUIET} == dict.fromkeys(QUIET, "inactive")


def test_a_role_that_is_gone_is_noticed(prometheus_server: prometheus.PrometheusServer) -> None:
    (rule,) = re.findall(r"alert: BillfoldProcessGone\n +expr: (.*)", prometheus.RULES.read_text(encoding="utf-8"))
    assert prometheus_server.ask("query", query=rule.replace("== 0", "== 1"))["result"]


def test_prometheus_answers_every_question_of_the_dashboard(prometheus_server: prometheus.PrometheusServer) -> None:
    prometheus_server.wait_for("billfold_postgres_connections")
    for query in queries():
        prometheus_server.ask("query", query=query)
    # A panel without any series shows nothing: these have some from the start.
    assert set(FROM_THE_START) <= set(queries())
    for query in FROM_THE_START:
        assert prometheus_server.wait_for(query), query


def test_the_dashboard_has_room_for_each_panel() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < GRID_WIDTH
