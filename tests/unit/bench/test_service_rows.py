from __future__ import annotations

import pytest

from bench import service_rows
from bench.loads import Result
from bench.pgbench import Speed
from bench.plan import Direct, DirectTurn, Round, Variants
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
