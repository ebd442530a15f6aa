"""CloudEvents 1.0 in structured JSON mode (github.com/cloudevents/spec, json-format): written, and read with limits.

Which subject or topic carries an event is the broker's business; what an event means is its context's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from billfold.kernel import clock, errors, events, forms

#: An event is a notice and not a document; ours are below a kilobyte. Half of what a NATS server takes by default, so
#: that headers and another server's smaller limit leave room.
EVENT_MAX_BYTES = 512 * 1024
#: CloudEvents asks for ids and sources that are not empty; longer ones than these are not ids any more.
ATTRIBUTE_MAX = 1_024
CONTENT_TYPE = "application/cloudevents+json"


class InvalidCloudEvent(errors.Invalid):
    """The message is not a CloudEvent 1.0 in structured JSON form."""

    code = "invalid_cloud_event"


class EventTooLarge(errors.Invalid):
    """The event is larger than 512 KiB."""

    code = "event_too_large"


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvent as it stands in JSON.

    `partitionkey` is the partitioning extension, `traceparent` that of distributed tracing; others are ignored.
    """

    specversion: str
    id: str
    source: str
    type: str
    subject: str | None = None
    time: str | None = None
    datacontenttype: str | None = None
    partitionkey: str | None = None
    traceparent: str | None = None
    #: JSON as it stood there; empty when there was none.
    data: msgspec.Raw = msgspec.Raw()

    @property
    def instant(self) -> datetime | None:
        """When it happened, as its producer says.

        Raises:
            InvalidCloudEvent: `time` is no RFC 3339 instant.
        """
        if self.time is None:
            return None
        try:
            return clock.parse(self.time)
        except clock.InvalidInstant as error:
            raise InvalidCloudEvent("time is not an RFC 3339 instant.", pointer="/time") from error


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str = "application/json"
    partitionkey: str
    traceparent: str | msgspec.UnsetType = msgspec.UNSET
    data: dict[str, Any] | msgspec.Struct | msgspec.Raw


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


def encode(event: events.Event) -> bytes:
    """The JSON of `event`.

    Raises:
        EventTooLarge: more than EVENT_MAX_BYTES.
    """
    body = _encoder.encode(
        _Written(
            id=event.id,
            source=event.source,
            type=event.type,
            subject=event.subject,
            time=clock.format(event.time),
            partitionkey=event.key,
            traceparent=event.traceparent or msgspec.UNSET,
            data=event.data,
        )
    )
    if len(body) > EVENT_MAX_BYTES:
        raise EventTooLarge(f"The event {event.type} {event.id} is {len(body)} bytes, more than {EVENT_MAX_BYTES}.")
    return body


def decode(body: bytes) -> Envelope:
    """The CloudEvent in `body`; its `data` stays JSON.

    Raises:
        EventTooLarge: more than EVENT_MAX_BYTES; nothing was parsed.
        InvalidCloudEvent: no JSON, not version 1.0, or a required attribute missing, empty or too long.
    """
    if len(body) > EVENT_MAX_BYTES:
        raise EventTooLarge
    try:
        envelope = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidCloudEvent(f"Not a CloudEvent: {forms.said(error)}") from error
    if envelope.specversion != "1.0":
        raise InvalidCloudEvent("Only CloudEvents of specversion 1.0 are understood.", pointer="/specversion")
    for name in ("id", "source", "type"):
        if not 0 < len(getattr(envelope, name)) <= ATTRIBUTE_MAX:
            raise InvalidCloudEvent(f"{name} must have 1 to {ATTRIBUTE_MAX} characters.", pointer=f"/{name}")
    return envelope


def event(envelope: Envelope) -> events.Event:
    """One of our own events, read back from its JSON.

    Raises:
        InvalidCloudEvent: it lacks what `encode` writes.
    """
    time = envelope.instant
    if time is None or envelope.subject is None or envelope.partitionkey is None or not bytes(envelope.data):
        raise InvalidCloudEvent("subject, time, partitionkey and data are missing or incomplete.")
    return events.Event(
        id=envelope.id,
        type=envelope.type,
        source=envelope.source,
        subject=envelope.subject,
        time=time,
        key=envelope.partitionkey,
        data=envelope.data,
        traceparent=envelope.traceparent,
    )
