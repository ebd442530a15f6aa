from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from bench.consumer import delays

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def _arrived(number: int, delay_ms: float) -> tuple[float, bytes]:
    recorded_at = BEGIN + timedelta(seconds=number)
    body = msgspec.json.encode({"id": "event", "data": {"id": str(number), "recorded_at": recorded_at}})
    return recorded_at.timestamp() + delay_ms / 1000, body


def test_a_delay_is_from_recording_to_arrival() -> None:
    found = delays([_arrived(number, delay_ms=number + 1) for number in range(100)])
    assert found.events == found.different == 100
    assert found.p50_ms == pytest.approx(50, abs=0.01)
    assert found.p99_ms == pytest.approx(99, abs=0.01)
    assert found.max_ms == pytest.approx(100, abs=0.01)


def test_an_event_that_comes_twice_is_one_event() -> None:
    found = delays([_arrived(1, 1), _arrived(1, 2)])
    assert (found.events, found.different) == (2, 1)
