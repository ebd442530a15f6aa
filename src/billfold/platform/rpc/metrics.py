"""What servers and clients of gRPC tell Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

#: As those of HTTP: a transfer takes 1 to 20 ms.
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

_SECONDS = Histogram(
    "billfold_rpc_server_seconds", "Time from a call to the end of its answer.", ["method", "code"], buckets=_BUCKETS
)
_STREAMS = Counter("billfold_rpc_server_streams", "Streams that have ended.", ["method", "code"])
_IN_FLIGHT = Gauge("billfold_rpc_server_in_flight", "Calls and streams that are being served.")

CLIENT_SECONDS = Histogram(
    "billfold_rpc_client_seconds",
    "Time from a call to its answer or its end, tries again included.",
    ["method", "outcome"],
    buckets=_BUCKETS,
)
CLIENT_RETRIES = Counter(
    "billfold_rpc_client_retries", "Calls that were sent once more, with the same key.", ["method"]
)
CLIENT_FAILURES = Counter(
    "billfold_rpc_client_failures", "Tries that a server has not answered.", ["address", "status"]
)
BREAKER_OPEN = Gauge(
    "billfold_rpc_client_breaker_open", "1 while a server gets no calls, since it does not answer.", ["address"]
)


class Calls:
    """The calls that this process serves."""

    def __init__(self) -> None:
        self.in_flight = 0
        _IN_FLIGHT.set_function(lambda: self.in_flight)

    def ended(self, method: str, code: str, seconds: float, *, streaming: bool) -> None:
        """Count one. `method` is one that there is, so that there are only so many series."""
        name = method.rpartition("/")[2]
        if streaming:
            _STREAMS.labels(name, code).inc()
        else:
            _SECONDS.labels(name, code).observe(seconds)
