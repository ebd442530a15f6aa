"""Counts and durations of HTTP requests, cheap enough for the money path.

prometheus-client's own histogram takes a lock and several look-ups for each observation. All requests of a process are
served by one event loop, so plain integers do.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

#: Upper bounds in seconds. A transfer takes 1 to 20 ms.
BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Requests(Collector):
    """Every request since the process started, by method, route and status."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], list[int]] = {}
        self._seconds: dict[tuple[str, str, int], float] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request. `route` is a template, never the path itself, so that there are only so many series."""
        key = (method if method in _METHODS else "other", route, status)
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = [0] * (len(BUCKETS) + 1)
            self._seconds[key] = 0.0
        counts[bisect_left(BUCKETS, seconds)] += 1
        self._seconds[key] += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The metric, as prometheus-client asks for it."""
        family = HistogramMetricFamily(
            "billfold_http_request_seconds",
            "Time from the request's head to the end of its answer; of a stream, to its beginning.",
            labels=["method", "route", "status"],
        )
        bounds = [*map(str, BUCKETS), "+Inf"]
        for (method, route, status), counts in self._counts.items():
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            family.add_metric([method, route, str(status)], buckets, self._seconds[method, route, status])
        yield family
