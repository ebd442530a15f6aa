"""A clock that jumps ahead is not believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from billfold.signer import Signer, errors
from billfold.signer.service.steady import JUMP_MAX, SteadyClock, running_s
from tests import signers

START = datetime(2026, 11, 22, tzinfo=UTC)


class Times:
    """What the machine says, and how long it has been running in truth."""

    def __init__(self) -> None:
        self.time = START
        self.running = 7.0

    def now(self) -> datetime:
        return self.time

    def go(self, by: timedelta) -> None:
        self.time += by
        self.running += by.total_seconds()


def test_a_clock_that_is_far_ahead_for_a_moment_is_refused_for_that_moment() -> None:
    times = Times()
    steady = SteadyClock(times, running_s=lambda: times.running)
    times.go(timedelta(days=400))
    assert steady.now() == times.time
    right = times.time
    times.time += timedelta(days=3650)
    with pytest.raises(errors.ClockJumped, match="restart the signer"):
        steady.now()
    times.time = right + JUMP_MAX
    assert steady.now() == times.time
    times.time += timedelta(seconds=1)
    with pytest.raises(errors.ClockJumped):
        steady.now()


def test_small_steps_do_not_add_up() -> None:
    times = Times()
    steady = SteadyClock(times, running_s=lambda: times.running)
    for _ in range(5):
        times.time += timedelta(minutes=1)
        steady.now()
    times.time += timedelta(minutes=1)
    with pytest.raises(errors.ClockJumped):
        steady.now()


def test_a_clock_that_is_set_back_is_taken_as_it_is() -> None:
    times = Times()
    steady = SteadyClock(times, running_s=lambda: times.running)
    times.time -= timedelta(days=2)
    assert steady.now() == times.time


def test_the_time_that_goes_by_is_never_less() -> None:
    assert running_s() <= running_s()


def test_a_signer_has_such_a_clock() -> None:
    signer = Signer.start(database=cast("Any", None), keyring=signers.keyring())
    assert isinstance(signer._clock, SteadyClock)
