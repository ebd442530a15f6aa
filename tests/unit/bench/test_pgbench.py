from __future__ import annotations

import pytest

from bench import pgbench
from bench.programs import ProgramFailed

OUTPUT = """\
transaction type: <builtin: TPC-B (sort of)>
number of transactions actually processed: 21672
number of failed transactions: {failed} (0.000%)
latency average = 2.214 ms
initial connection time = 13.040 ms
tps = 7226.482315 (without initial connection time)
"""


def test_the_speed_is_read_from_what_pgbench_says() -> None:
    assert pgbench.parse(OUTPUT.format(failed=0)) == pgbench.Speed(7226.482315, 2.214)


def test_a_run_with_failed_transactions_is_none() -> None:
    with pytest.raises(ProgramFailed):
        pgbench.parse(OUTPUT.format(failed=1))


def test_what_is_not_understood_is_said() -> None:
    with pytest.raises(ProgramFailed, match="something else"):
        pgbench.parse("something else")
