"""Which requests are traced, what spans say, and how a trace goes on elsewhere."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from billfold.kernel import errors
from billfold.platform.telemetry import traces

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{SPAN}-01".encode()
UNSAMPLED = f"00-{TRACE}-{SPAN}-00".encode()


class Recording:
    """What this process records."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._exporter = InMemorySpanExporter()

    def share(self, share: float) -> None:
        """Trace this share of the requests from now on."""
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        recorder = traces._Recorder(provider.get_tracer("test"), share=share)
        self._monkeypatch.setattr(traces, "_recorder", recorder)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        """Those that have ended, by name."""
        return {span.name: span for span in self._exporter.get_finished_spans()}


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    made = Recording(monkeypatch)
    made.share(0)
    yield made
    assert traces.current() is None, "whatever began has ended"


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_without_a_collector_nothing_is_traced() -> None:
    with traces.request("GET", SAMPLED) as request, traces.span("inner") as inner:
        assert request.place is inner.place is traces.current() is None


def test_a_callers_trace_goes_on_below_their_span(recording: Recording) -> None:
    with traces.request("GET", SAMPLED), traces.span("inner"):
        pass
    request, inner = recording.spans["GET"], recording.spans["inner"]
    assert request.context is not None
    assert request.parent is not None
    assert inner.parent is not None
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == SPAN
    assert inner.parent.span_id == request.context.span_id
    assert request.kind.name == "SERVER"


@pytest.mark.parametrize("share", [0, 1])
def test_a_caller_who_does_not_record_decides_so_for_us(recording: Recording, share: float) -> None:
    recording.share(share)
    with traces.request("GET", UNSAMPLED), traces.span("inner"):
        assert traces.current() is None
    assert recording.spans == {}


@pytest.mark.parametrize(("share", "traced"), [(0, 0), (1, 50)])
def test_of_requests_without_a_trace_a_share_begins_one(recording: Recording, share: float, traced: int) -> None:
    recording.share(share)
    begun = 0
    for _ in range(50):
        with traces.request("GET", None) as request:
            begun += request.place is not None
    assert begun == traced


def test_callers_can_not_have_everything_traced(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billfold.platform.telemetry.traces.time.monotonic", lambda: 7.5)
    begun = 0
    for _ in range(traces.FORCED_PER_S + 50):
        with traces.request("GET", SAMPLED) as request:
            begun += request.place is not None
    assert begun == traces.FORCED_PER_S
    monkeypatch.setattr("billfold.platform.telemetry.traces.time.monotonic", lambda: 8.1)
    with traces.request("GET", SAMPLED) as request:
        assert request.place is not None
    assert recording.spans


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01x",
        f"00-{TRACE}x-{SPAN}-01",
    ],
)
def test_what_is_no_traceparent_names_no_trace(recording: Recording, text: str) -> None:
    assert traces.parse(text.encode()) is None
    assert traces.carried(text) is None
    with traces.request("GET", text.encode()) as request:
        assert request.place is None
    assert recording.spans == {}


def test_a_later_version_may_say_more() -> None:
    given = traces.parse(f"cc-{TRACE}-{SPAN}-01-more".encode())
    assert given is not None
    assert given.place.traceparent().encode() == SAMPLED


def test_what_travels_is_found_where_it_arrives(recording: Recording) -> None:
    with traces.request("POST", SAMPLED) as request:
        assert request.place is not None
        sent = request.place.traceparent()
    with traces.span("consume", {"messaging.system": "nats"}, kind="consumer", parent=traces.carried(sent)):
        pass
    consumed, posted = recording.spans["consume"], recording.spans["POST"]
    assert consumed.parent is not None
    assert posted.context is not None
    assert consumed.parent.span_id == posted.context.span_id
    assert attributes(consumed) == {"messaging.system": "nats"}


@pytest.mark.parametrize("text", [None, UNSAMPLED.decode(), "é"])
def test_what_comes_without_a_recorded_trace_begins_none(recording: Recording, text: str | None) -> None:
    with traces.span("consume", parent=traces.carried(text)) as span:
        assert span.place is None
    assert recording.spans == {}


def test_a_span_links_to_the_others_that_it_works_for(recording: Recording) -> None:
    other = traces.Place(7, 8)
    with traces.span("batch", parent=traces.Place(5, 6), links=[other]):
        pass
    (link,) = recording.spans["batch"].links
    assert (link.context.trace_id, link.context.span_id) == other


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (errors.Invalid("of no matter"), "invalid_request", "UNSET"),
        (errors.Unavailable("no secret"), "unavailable", "ERROR"),
        (ValueError("Ada's password"), "ValueError", "ERROR"),
    ],
)
def test_a_span_says_what_kind_of_error_ended_it_and_no_more(
    recording: Recording, error: Exception, kind: str, status: str
) -> None:
    with pytest.raises(type(error)), traces.request("GET", SAMPLED):
        raise error
    span = recording.spans["GET"]
    assert attributes(span) == {"error.type": kind}
    assert span.status.status_code.name == status
    assert not span.events, "no message and no stack trace"
