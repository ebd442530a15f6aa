"""Growing waits, by the clock of the test."""

import asyncio
from collections.abc import Iterator

import pytest

from billfold.platform.limiting import backoff, memory
from billfold.platform.limiting.backoff import FREE, REMEMBERED_S, WAIT_MAX_S, Backoff


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(backoff, "time", clock)
    monkeypatch.setattr(memory, "time", clock)
    monkeypatch.setattr("limits.aio.storage.memory.time.time", clock)
    yield clock
    monkeypatch.undo()


async def failed(waits: Backoff, clock: Clock) -> int:
    """One more attempt, as soon as it may be; how long that took."""
    waited = 0
    while wait_s := await waits.attempt("ada"):
        clock.now += wait_s
        waited += wait_s
    return waited


async def test_waits_double_up_to_a_quarter_of_an_hour(clock: Clock) -> None:
    waits = Backoff("test")
    waited = [await failed(waits, clock) for _ in range(FREE + 14)]
    assert waited == [0] * FREE + [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, WAIT_MAX_S, WAIT_MAX_S, WAIT_MAX_S]


async def test_guessing_gets_about_a_hundred_attempts_in_a_day(clock: Clock) -> None:
    waits, ends_at, attempts = Backoff("test"), clock.now + REMEMBERED_S, 0
    while clock.now < ends_at:
        await failed(waits, clock)
        attempts += 1
    assert 90 < attempts < 120


async def test_hammering_makes_nobodys_wait_longer(clock: Clock) -> None:
    waits = Backoff("test")
    for _ in range(FREE + 5):
        await failed(waits, clock)
    wait_s = await waits.attempt("ada")
    assert {await waits.attempt("ada") for _ in range(1000)} == {wait_s}
    clock.now += wait_s
    assert await waits.attempt("ada") == 0


async def test_success_forgets_and_others_do_not_wait(clock: Clock) -> None:
    waits = Backoff("test")
    for _ in range(FREE + 5):
        await failed(waits, clock)
    assert await waits.attempt("bob") == 0
    assert await waits.attempt("ada") > 0
    await waits.forgive("ada")
    assert [await waits.attempt("ada") for _ in range(FREE)] == [0] * FREE


async def test_of_many_at_once_a_few_get_through(clock: Clock) -> None:
    waits = Backoff("test")
    found = await asyncio.gather(*(waits.attempt("ada") for _ in range(500)))
    assert sum(wait_s == 0 for wait_s in found) == FREE + 1


async def test_a_day_later_it_begins_anew(clock: Clock) -> None:
    waits = Backoff("test")
    for _ in range(FREE + 8):
        await failed(waits, clock)
    clock.now += REMEMBERED_S
    assert [await waits.attempt("ada") for _ in range(FREE)] == [0] * FREE


async def test_a_clock_that_jumps_back_locks_nobody_out_for_longer_than_it_jumped(clock: Clock) -> None:
    waits = Backoff("test")
    for _ in range(FREE + 3):
        await failed(waits, clock)
    clock.now -= 60
    assert await waits.attempt("ada") <= 60 + WAIT_MAX_S
    clock.now += 60 + WAIT_MAX_S
    assert await waits.attempt("ada") == 0
