"""CloudEvents 1.0 in JSON: what is written is read back, and what is no CloudEvent is refused with a reason."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from billfold.kernel.events import Event
from billfold.platform.messaging import cloudevents

HAPPENED = Event(
    id="1",
    type="tea.made.v1",
    source="/kitchen",
    subject="pot",
    time=datetime(2026, 1, 31, 12, tzinfo=UTC),
    key="pot",
    data={"cups": 2},
)
MINIMAL = {"specversion": "1.0", "id": "1", "source": "/kitchen", "type": "tea.made.v1"}


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in MINIMAL.items() if key != name}


def test_an_event_is_written_with_the_attributes_that_the_specification_names() -> None:
    assert json.loads(cloudevents.encode(HAPPENED)) == {
        "specversion": "1.0",
        "id": "1",
        "source": "/kitchen",
        "type": "tea.made.v1",
        "subject": "pot",
        "time": "2026-01-31T12:00:00.000000Z",
        "datacontenttype": "application/json",
        "partitionkey": "pot",
        "data": {"cups": 2},
    }


def test_an_event_is_read_back_as_it_was_written() -> None:
    read = cloudevents.event(cloudevents.decode(cloudevents.encode(HAPPENED)))
    assert msgspec.structs.replace(read, data={}) == msgspec.structs.replace(HAPPENED, data={})
    assert isinstance(read.data, msgspec.Raw)
    assert msgspec.json.decode(read.data) == HAPPENED.data


def test_data_that_is_json_already_is_written_as_it_is() -> None:
    raw = msgspec.structs.replace(HAPPENED, data=msgspec.Raw(b'{"cups":  2}'))
    assert b'"data":{"cups":  2}' in cloudevents.encode(raw)


def test_only_the_required_attributes_are_required() -> None:
    read = cloudevents.decode(json.dumps(MINIMAL).encode())
    assert (read.subject, read.instant, bytes(read.data)) == (None, None, b"")


def test_extensions_and_any_json_data_are_taken() -> None:
    read = cloudevents.decode(json.dumps(MINIMAL | {"traceparent": "00-1", "data": [1, {"a": None}]}).encode())
    assert msgspec.json.decode(read.data) == [1, {"a": None}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"specversion":"1.0","id":"\xff","source":"/","type":"t"}',
        b"[" * 100_000,
        json.dumps(MINIMAL | {"specversion": "0.3"}).encode(),
        json.dumps(MINIMAL | {"id": ""}).encode(),
        json.dumps(MINIMAL | {"id": 1}).encode(),
        json.dumps(MINIMAL | {"type": "t" * 1025}).encode(),
        *[json.dumps(_without(name)).encode() for name in MINIMAL],
    ],
)
def test_what_is_no_cloudevent_is_refused(body: bytes) -> None:
    with pytest.raises(cloudevents.InvalidCloudEvent):
        cloudevents.decode(body)


def test_deep_data_is_no_matter() -> None:
    deep = b"[" * 50_000 + b"]" * 50_000
    body = json.dumps(MINIMAL).encode()[:-1] + b', "data": ' + deep + b"}"
    try:
        assert bytes(cloudevents.decode(body).data) == deep
    except cloudevents.InvalidCloudEvent as error:
        assert "recursion" in str(error).lower()


def test_a_time_that_is_none_is_refused_when_it_is_asked_for() -> None:
    read = cloudevents.decode(json.dumps(MINIMAL | {"time": "yesterday"}).encode())
    with pytest.raises(cloudevents.InvalidCloudEvent):
        _ = read.instant


def test_an_event_of_ours_that_lacks_something_is_no_event_of_ours() -> None:
    with pytest.raises(cloudevents.InvalidCloudEvent):
        cloudevents.event(cloudevents.decode(json.dumps(MINIMAL).encode()))


def test_too_large_is_refused_on_both_ways() -> None:
    with pytest.raises(cloudevents.EventTooLarge):
        cloudevents.encode(msgspec.structs.replace(HAPPENED, data={"x": "x" * cloudevents.EVENT_MAX_BYTES}))
    with pytest.raises(cloudevents.EventTooLarge):
        cloudevents.decode(b"x" * (cloudevents.EVENT_MAX_BYTES + 1))
