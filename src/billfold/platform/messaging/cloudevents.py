"""CloudEvents 1.0 (github.com/cloudevents/spec): written in structured JSON mode, read in it and in binary mode.

Which subject or topic carries an event is the broker's business; what an event means is its context's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import msgspec

from billfold.kernel import clock, errors, events, forms

#: An event is a notice and not a document; ours are below a kilobyte. Half of what a NATS server takes by default, so
#: that headers and another server's smaller limit leave room.
EVENT_MAX_BYTES = 512 * 1024
#: CloudEvents asks for ids and sources that are not empty; longer ones than these are not ids any more.
ATTRIBUTE_MAX = 1_024
CONTENT_TYPE = "application/cloudevents+json"

#: In binary mode the attributes are headers of the message, called so by the bindings for NATS (as for HTTP), Kafka and
#: AMQP.
_ATTRIBUTE = re.compile(r"(?:(?P<encoded>ce-)|ce_|cloudevents:|cloudevents_)(?P<name>[a-z0-9]+)", re.IGNORECASE)
_JSON = re.compile(r"(?:application|text)/(?:[\w.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class InvalidCloudEvent(errors.Invalid):
    """The message is not a CloudEvent 1.0."""

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
    return _checked(envelope)


def carried(body: bytes, headers: Mapping[str, str]) -> Envelope | None:
    """The CloudEvent that `headers` describe, with `body` as its data; None when they describe none.

    Raises:
        EventTooLarge, InvalidCloudEvent: as `decode`; or the data is no JSON.
    """
    found = attributes(headers)
    content_type = next((value for name, value in sorted(headers.items()) if name.lower() == "content-type"), "")
    if "specversion" not in found or content_type.lower().startswith(CONTENT_TYPE):
        return None
    if len(body) > EVENT_MAX_BYTES:
        raise EventTooLarge
    content_type = found.get("datacontenttype") or content_type
    if content_type and not _JSON.fullmatch(content_type):
        raise InvalidCloudEvent(f"The data is {content_type!r}, and only JSON is understood.")
    for name in found:
        if _CONTROL.search(found[name]):
            raise InvalidCloudEvent(f"{name} has control characters.", pointer=f"/{name}")
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidCloudEvent(f"The data is no JSON: {forms.said(error)}") from error
    return _checked(
        Envelope(
            specversion=found["specversion"],
            id=found.get("id", ""),
            source=found.get("source", ""),
            type=found.get("type", ""),
            subject=found.get("subject"),
            time=found.get("time"),
            datacontenttype=content_type or None,
            partitionkey=found.get("partitionkey"),
            traceparent=found.get("traceparent"),
            data=msgspec.Raw(body),
        )
    )


def attributes(headers: Mapping[str, str]) -> dict[str, str]:
    """The attributes of a CloudEvent among the headers of a message, the same in whatever order these are."""
    found = {}
    for header, value in sorted(headers.items()):
        if match := _ATTRIBUTE.fullmatch(header):
            found[match["name"].lower()] = unquote(value) if match["encoded"] else value
    return found


def _checked(envelope: Envelope) -> Envelope:
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
