"""Restarts are at once after a good run, slower after each early end, and given up after too many."""

from __future__ import annotations

import pytest

from billfold.app.supervisor import output, restarts

LONG_S = restarts.EARLY_END_S * 2


def test_after_a_good_run_the_restart_is_at_once() -> None:
    policy = restarts.Restarts("api")
    assert [policy.pause_s(ready_for_s=LONG_S) for _ in range(100)] == [0.0] * 100


def test_each_early_end_doubles_the_pause_until_it_is_given_up() -> None:
    policy = restarts.Restarts("api")
    pauses = [policy.pause_s(ready_for_s=0.0) for _ in range(restarts.EARLY_ENDS_MAX - 1)]
    assert pauses == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0]
    with pytest.raises(restarts.GaveUp, match="api ended 12 times in a row"):
        policy.pause_s(ready_for_s=0.0)


def test_a_good_run_forgives_the_early_ends_before_it() -> None:
    policy = restarts.Restarts("api")
    for _ in range(10):
        assert [policy.pause_s(ready_for_s=0.0) for _ in range(3)] == [0.0, 0.1, 0.2]
        assert policy.pause_s(ready_for_s=LONG_S) == 0.0


def test_routine_lines_of_the_servers_are_left_out_with_their_continuations() -> None:
    shown: list[str] = []
    write = output.without_routine(shown.append)
    for line in (
        "LOG:  database system is ready",
        "DETAIL:  routine",
        "ERROR:  disk full",
        "HINT:  free some",
        "[7] [INF] Server is ready",
        "[7] [ERR] disk full",
    ):
        write(line)
    assert shown == ["ERROR:  disk full", "HINT:  free some", "[7] [ERR] disk full"]
