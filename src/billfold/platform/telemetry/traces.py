"""Traces: what happens for one request, from its arrival to the last consumer of its events, as spans in OTLP.

Spans are made by hand at the few places where time goes or work changes hands. Whether a request is traced is decided
once, where it comes in: W3C's `traceparent` of the caller decides, or else chance. Everything further on asks only
whether there is a trace; where there is none, a span costs the look at a context variable. Without `traces.endpoint`
there never is one, and OpenTelemetry isn't even loaded.

A trace leaves the process in a `traceparent` (www.w3.org/TR/trace-context): of an event, of a call over gRPC.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from billfold.kernel.errors import BillfoldError, Unavailable
from billfold.platform import extras

if TYPE_CHECKING:
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import SpanContext, Tracer

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Value = str | int | float | bool

#: Callers may have so many of their requests traced in a second, all callers together: a flag in a header is free for
#: them, and spans are not for us.
FORCED_PER_S = 100
#: Spans that wait to be sent; more are dropped, since nobody waits for a collector that is slow or away.
QUEUE_MAX = 8_192
SEND_PAUSE_MS = 1_000
SEND_TIMEOUT_S = 5
_SAMPLED = 1
#: Version ff and ids of zeros alone are none; a later version may go on behind the flags.
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(?:\Z|-)")


class Place(NamedTuple):
    """A span of a trace that is recorded, as it travels: its trace's id and its own."""

    trace_id: int
    span_id: int

    def traceparent(self) -> str:
        """Itself for a header."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-01"


class Given(NamedTuple):
    """What a caller's `traceparent` says."""

    place: Place
    sampled: bool


#: The span that is being worked for, if it is recorded.
_current: ContextVar[Place | None] = ContextVar("trace", default=None)


class Span:
    """Work that is recorded, until the block ends. One that raises says so; of an error only its kind is told."""

    __slots__ = ("_left", "_span", "_token", "place")

    def __init__(self, span: OtelSpan) -> None:
        context = span.get_span_context()
        self._span = span
        self._token: Token[Place | None] | None = None
        self._left = False
        self.place = Place(context.trace_id, context.span_id)

    def __enter__(self) -> Self:
        self._token = _current.set(self.place)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        assert self._token is not None, "it was entered"
        _current.reset(self._token)
        if not self._left:
            self.end(error)

    def leave(self) -> None:
        """The end before that of its block: what goes on in there, from here on, is no part of it."""
        self._left = True
        _current.set(None)
        self.end()

    def end(self, error: BaseException | None = None) -> None:
        """The end, for work that no block holds together."""
        if error is not None:
            self.failed(error)
        self._span.end()

    def set(self, name: str, value: Value) -> None:
        """Add an attribute."""
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        """Give it the name that is known only now."""
        self._span.update_name(name)

    def broken(self) -> None:
        """It could not do what it was to do."""
        from opentelemetry.trace import StatusCode  # noqa: PLC0415 - it is loaded by now

        self._span.set_status(StatusCode.ERROR)

    def failed(self, error: BaseException) -> None:
        """What it ended with. A refusal is an answer as any other; what can't be done at all is an error."""
        known = isinstance(error, BillfoldError)
        self._span.set_attribute("error.type", error.code if isinstance(error, BillfoldError) else type(error).__name__)
        if not known or isinstance(error, Unavailable):
            self.broken()


class _Nothing:
    """A span of nothing that is recorded."""

    __slots__ = ()
    place: Place | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def leave(self) -> None:
        """Nothing to leave."""

    def set(self, name: str, value: Value) -> None:
        """Nothing to add to."""

    def rename(self, name: str) -> None:
        """Nothing to rename."""

    def failed(self, error: BaseException) -> None:
        """Nothing to mark."""

    def broken(self) -> None:
        """Nothing to mark."""


NOTHING = _Nothing()
AnySpan = Span | _Nothing


class _Recorder:
    """Where spans go in this process, and how many of the requests are traced."""

    def __init__(self, tracer: Tracer, *, share: float) -> None:
        self.tracer = tracer
        self.share = share
        self._second = 0
        self._forced = 0

    def decides(self, given: Given | None) -> bool:
        """Whether a request that comes with `given` is traced."""
        if given is None:
            return random.random() < self.share  # noqa: S311 - nobody gains by guessing it
        if not given.sampled:
            return False
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._forced = second, 0
        self._forced += 1
        return self._forced <= FORCED_PER_S

    def start(
        self,
        name: str,
        *,
        kind: Kind,
        parent: Place | None,
        links: Iterable[Place],
        attributes: Mapping[str, Value] | None,
        began_ns: int | None,
    ) -> Span:
        from opentelemetry import trace  # noqa: PLC0415 - it is loaded by now

        context = trace.set_span_in_context(trace.NonRecordingSpan(_context(parent))) if parent is not None else None
        return Span(
            self.tracer.start_span(
                name,
                context=context,
                kind=trace.SpanKind[kind.upper()],
                links=[trace.Link(_context(link)) for link in links],
                attributes=attributes,
                start_time=began_ns,
            )
        )


_recorder: _Recorder | None = None


def current() -> Place | None:
    """The span that is worked for, to be taken along to where its context does not reach."""
    return _current.get()


def span(
    name: str,
    attributes: Mapping[str, Value] | None = None,
    *,
    kind: Kind = "internal",
    parent: Place | None = None,
    links: Iterable[Place] = (),
    began_ns: int | None = None,
) -> AnySpan:
    """A span below `parent`, or below the current one; nothing where neither is.

    Attributes have the names of OpenTelemetry's semantic conventions where those have one. It is for a `with`
    statement. `began_ns` is when it began, since 1970, if that was before now.
    """
    place = parent or _current.get()
    if place is None or _recorder is None:
        return NOTHING
    return _recorder.start(name, kind=kind, parent=place, links=links, attributes=attributes, began_ns=began_ns)


def request(name: str, traceparent: bytes | None) -> AnySpan:
    """The span of a request that comes in from outside; nothing unless it is to be traced."""
    if _recorder is None:
        return NOTHING
    given = parse(traceparent) if traceparent is not None else None
    if not _recorder.decides(given):
        return NOTHING
    parent = given.place if given is not None else None
    return _recorder.start(name, kind="server", parent=parent, links=(), attributes=None, began_ns=None)


def parse(traceparent: bytes) -> Given | None:
    """What a `traceparent` says; None of one that is not as it should be."""
    found = _TRACEPARENT.match(traceparent)
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    return Given(Place(trace_id, span_id), bool(flags & _SAMPLED))


def carried(traceparent: str | None) -> Place | None:
    """The place that something of ours came with, such as an event; None unless it is recorded."""
    given = parse(traceparent.encode()) if traceparent is not None and traceparent.isascii() else None
    return given.place if given is not None and given.sampled else None


@asynccontextmanager
async def recording(*, endpoint: str | None, share: float, service: str, version: str) -> AsyncIterator[None]:
    """Spans of this process go to the OTLP collector at `endpoint` by gRPC, until the block ends.

    `share` of the requests whose caller does not decide are traced. Without an endpoint nothing is.

    Raises:
        ExtraNotInstalled: it is `tracing`.
    """
    global _recorder  # noqa: PLW0603 - spans are made everywhere, and there is one place they go to
    if endpoint is None:
        yield
        return
    with extras.imported("tracing"):
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    exporter = OTLPSpanExporter(endpoint, insecure=endpoint.startswith("http://"), timeout=SEND_TIMEOUT_S)
    resource = Resource({"service.name": service, "service.version": version})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=QUEUE_MAX, schedule_delay_millis=SEND_PAUSE_MS)
    )
    _recorder = _Recorder(provider.get_tracer("billfold", version), share=share)
    try:
        yield
    finally:
        _recorder = None
        # It sends what waits, and waits for the collector.
        await asyncio.to_thread(provider.shutdown)


def _context(place: Place) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415 - it is loaded by now

    return SpanContext(place.trace_id, place.span_id, is_remote=True, trace_flags=TraceFlags(_SAMPLED))
