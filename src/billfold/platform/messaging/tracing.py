"""Traces across a broker: a span for what is published, and one for what a consumer does with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from billfold.kernel.events import Event
from billfold.platform.messaging.topics import Topic
from billfold.platform.telemetry import traces

#: Of a message, as of a request; it goes before the one in the event, which names what the event tells of.
HEADER = "traceparent"


def publishing(topic: Topic, event: Event) -> traces.Span | None:
    """The span of an event's publishing, to be ended; None unless what it tells of is traced."""
    span = traces.span(
        f"publish {topic.name}",
        {
            "messaging.destination.name": topic.address,
            "messaging.message.id": event.id,
            "cloudevents.event_type": event.type,
        },
        kind="producer",
        parent=traces.carried(event.traceparent),
    )
    return span if isinstance(span, traces.Span) else None


@contextmanager
def processing(consumer: str, topic: Topic, traceparents: Iterable[str | None]) -> Iterator[None]:
    """What a consumer does with messages, in the trace of each; what the block does itself is told in the first."""
    attributes = {"messaging.destination.name": topic.address, "messaging.consumer.group.name": consumer}
    places = [place for traceparent in traceparents if (place := traces.carried(traceparent)) is not None]
    with ExitStack() as spans:
        for place in reversed(places):
            spans.enter_context(traces.span(f"process {topic.name}", attributes, kind="consumer", parent=place))
        yield
