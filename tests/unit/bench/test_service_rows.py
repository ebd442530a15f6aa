from __future__ import annotations

import pytest

from bench import service_rows
from bench.latency import Delays
from bench.loads import Result
from bench.pgbench import Speed
from bench.plan import Direct, DirectTurn, Events, Later, Outage, Round, Variants
from bench.posting import Posted
from bench.rows import cost
from bench.wrk import Answers

ANSWERS = Answers(100, 0, 0, 0, 1.0, 1.0, 2.0, 3.0)
COST = cost({"api": 0.1, "postgres": 0.1}, 1_000)


def _result(per_s: float) -> Result:
    return Result(ANSWERS, 100, 100, per_s, COST, COST, 0.1, 0.2, 0.0)


def _direct(per_s: float) -> Direct:
    return Direct(Posted(100, 1.0, 1.0, 2.0), 100, per_s, {"ledger": 0.05, "postgres": 0.1})


def _round(*, pgbench: float, within: float, grpc: float, streamed: float) -> Round:
    load = _result(1_000)
    return Round(Speed(pgbench, 1.0), load, load, load, DirectTurn(_direct(within), _direct(grpc), _direct(streamed)))


def test_a_cost_is_the_median_of_what_neighbours_say_of_it() -> None:
    # The machine was twice as fast in the last turn; neighbours had the same of it.
    turns = [
        Variants(usual=_result(98), unaudited=_result(100), traced=_result(97)),
        Variants(usual=_result(99), unaudited=_result(100), traced=_result(98)),
        Variants(usual=_result(180), unaudited=_result(200), traced=_result(180)),
    ]
    audited, traced = service_rows.variants(turns)
    assert audited.ratio == pytest.approx(0.98)
    assert audited.verdict == "reached"
    assert "0.900 to 0.990" in audited.note
    assert traced.ratio == pytest.approx(98 / 99)


def test_an_audit_that_costs_more_than_three_percent_misses() -> None:
    turns = [Variants(usual=_result(90), unaudited=_result(100), traced=_result(80))]
    assert [row.verdict.startswith("missed") for row in service_rows.variants(turns)] == [True, True]


def test_runs_of_before_there_were_variants_have_no_such_rows() -> None:
    assert list(service_rows.variants([])) == []


def test_grpc_is_compared_with_the_same_program_and_its_bulk_with_pgbench_of_the_same_round() -> None:
    rounds = [
        _round(pgbench=1_000, within=4_000, grpc=2_000, streamed=8_000),
        _round(pgbench=2_000, within=4_000, grpc=3_000, streamed=8_000),
        _round(pgbench=1_000, within=4_000, grpc=1_000, streamed=9_000),
    ]
    single, bulk = service_rows.direct(rounds)
    assert single.ratio == pytest.approx(0.5)
    assert single.target is None
    assert bulk.ratio == pytest.approx(8)
    assert bulk.verdict == "reached"


def test_an_outage_is_caught_up_with_when_events_leave_faster_than_they_come() -> None:
    fast = Outage(_result(1_000), 30, 30_000, 10.0, published_per_s=4_000, arriving_per_s=1_000)
    (row,) = service_rows.outage(fast)
    assert (row.ratio, row.verdict) == (4, "reached")
    slow = Outage(_result(1_000), 30, 30_000, 20.0, published_per_s=900, arriving_per_s=1_000)
    (row,) = service_rows.outage(slow)
    assert row.verdict == "missed: 90% of the bound"


def test_requests_are_accepted_by_the_second_of_the_load_and_carried_out_by_that_of_their_last_end() -> None:
    accepted, done = service_rows.later(Later(ANSWERS, completed=100, seconds=4.0))
    assert (accepted.value, done.value) == (100, 25)


def test_another_broker_is_named() -> None:
    found = Events(_result(1_000), Delays(100, 100, 9.0, 90.0, 95.0))
    own = list(service_rows.events(found, service_rows.OWN_BROKER))
    other = list(service_rows.events(found, "Kafka"))
    assert [row.work for row in own] == ["Event at a consumer, p50", "Event at a consumer, p99"]
    assert [row.work for row in other] == ["Event at a consumer on Kafka, p50", "Event at a consumer on Kafka, p99"]
    assert {row.verdict for row in own + other} == {"reached"}


def test_what_was_not_measured_has_no_row() -> None:
    assert [*service_rows.outage(None), *service_rows.later(None), *service_rows.sealing(None)] == []
