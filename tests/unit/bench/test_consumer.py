from __future__ import annotations

import msgspec
import pytest

from bench.consumer import Arrivals, arrivals
from bench.latency import delays
from billfold.kernel import ids


def _event(transfer: object) -> bytes:
    return msgspec.json.encode({"id": "event", "data": {"id": transfer}})


def test_a_delay_is_from_commit_to_arrival() -> None:
    transfers = ids.many(100)
    committed = {transfer: 1_000.0 + number for number, transfer in enumerate(transfers)}
    arrived = {transfer: at + (number + 1) / 1000 for number, (transfer, at) in enumerate(committed.items())}
    found = delays(Arrivals(100, arrived), committed)
    assert found.events == found.different == 100
    assert found.p50_ms == pytest.approx(50, abs=0.01)
    assert found.p99_ms == pytest.approx(99, abs=0.01)
    assert found.max_ms == pytest.approx(100, abs=0.01)


def test_an_event_that_comes_twice_counts_as_it_came_first() -> None:
    transfer = ids.new()
    found = arrivals([(1.0, _event(transfer)), (2.0, _event(transfer))])
    assert found == Arrivals(2, {transfer: 1.0})


def test_an_event_of_a_transfer_that_there_is_not_is_no_figure() -> None:
    with pytest.raises(KeyError):
        delays(Arrivals(1, {ids.new(): 1.0}), {})
