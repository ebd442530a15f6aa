"""A collector for tests: it takes spans by OTLP over gRPC, keeps them, and answers questions about them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

#: Spans are sent every second, and a slow machine takes its time for everything else.
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Recorded:
    """A span that has arrived."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    service: str
    kind: int
    began_ns: int
    ended_ns: int
    failed: bool
    attributes: dict[str, Any]
    links: tuple[str, ...]


@dataclass
class Collector:
    """Where it listens, and what it was sent."""

    url: str
    spans: list[Recorded] = field(default_factory=list)

    def of_trace(self, trace_id: str) -> dict[str, Recorded]:
        """The spans of a trace that have arrived, by their ids."""
        return {span.span_id: span for span in list(self.spans) if span.trace_id == trace_id}

    def wait_for(self, trace_id: str, names: Sequence[str]) -> dict[str, Recorded]:
        """The spans of a trace, once there is one of each of these names."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            found = self.of_trace(trace_id)
            missing = set(names) - {span.name for span in found.values()}
            if not missing:
                return found
            assert time.monotonic() < deadline, f"{missing} missing among {sorted(s.name for s in found.values())}"
            time.sleep(0.05)


class _Service(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, spans: list[Recorded]) -> None:
        self._spans = spans

    def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - gRPC calls it so
        for resource in request.resource_spans:
            about = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                self._spans += [_recorded(span, about["service.name"]) for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


def _recorded(span: Any, service: str) -> Recorded:
    return Recorded(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        service=service,
        kind=span.kind,
        began_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        attributes={one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes},
        links=tuple(link.trace_id.hex() for link in span.links),
    )


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector, until the block ends."""
    server = grpc.server(futures.ThreadPoolExecutor(2))
    port = server.add_insecure_port("127.0.0.1:0")
    collector = Collector(f"http://127.0.0.1:{port}")
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]
        _Service(collector.spans), server
    )
    server.start()
    try:
        yield collector
    finally:
        server.stop(grace=None).wait()
