"""What each role tells at /metrics."""

from collections.abc import Iterable, Iterator

from prometheus_client import Metric

from tests.docs.references.running import Running
from tests.docs.references.tables import table

#: A label is told only when something has been counted under it, so the tables take them from here.
_LABELS = {
    "billfold_audit_head_differs": "`place`: the file, the web address, the bucket",
    "billfold_audit_published": "`place`: the file, the web address, the bucket",
    "billfold_balances_reads": "`answer`: redis, missing, old, version, lost",
    "billfold_balances_writes": "`outcome`: written, older, full",
    "billfold_confirmed_transactions": "`outcome`: applied, refused, discarded",
    "billfold_consumer_events": "`consumer`; `outcome`: taken, refused",
    "billfold_consumer_lag": "`consumer`",
    "billfold_consumer_redelivered": "`consumer`",
    "billfold_history_reads": "`source`: cql, postgresql; `reason`: what the copy lacks, or unavailable",
    "billfold_http_limited": "`limit`: owner, anonymous, wrong-credentials",
    "billfold_http_request_seconds": "`method`, `route` (as in the OpenAPI document), `status`",
    "billfold_mail_failed": "`outcome`: postponed, broken, refused, too_late",
    "billfold_requests_taken": "`outcome`: completed, failed, cancelled, expired, retried, repeated",
    "billfold_request_reads": "`source`: cql, postgresql; `reason`: what the copy lacks, or unavailable",
    "billfold_outbox_failures": "`part`: database, broker",
    "billfold_postgres_connections": "`state`: working, idle",
    "billfold_rpc_client_breaker_open": "`address`",
    "billfold_rpc_client_failures": "`address`; `status` (of gRPC)",
    "billfold_rpc_client_retries": "`method`",
    "billfold_rpc_client_seconds": "`method`; `outcome`: answered, or the code of the refusal",
    "billfold_rpc_server_seconds": "`method`; `code` (of gRPC)",
    "billfold_rpc_server_streams": "`method`; `code` (of gRPC)",
    "billfold_streams_ended": "`code`",
    "billfold_worker_duty_working": "`duty`",
}


def parts(seen: Running) -> dict[str, str]:
    """A table for each role."""
    heads = ("metric", "is a", "labels", "what it says")
    return {role: table(heads, _rows(found)) for role, found in seen.metrics.items()}


def _rows(found: Iterable[Metric]) -> Iterator[tuple[str, str, str, str]]:
    for metric in found:
        if metric.name.startswith("billfold_") and not metric.name.endswith("_created"):
            labels = _LABELS.get(metric.name, "")
            seen = {name for sample in metric.samples for name in sample.labels} - {"le"}
            assert all(f"`{name}`" in labels for name in seen), (
                f"explain the labels of {metric.name} in _LABELS: {seen}"
            )
            yield f"`{metric.name}`", metric.type, labels, metric.documentation
