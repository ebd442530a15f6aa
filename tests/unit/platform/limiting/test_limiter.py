"""Counting in one process."""

import pytest

from billfold.platform.limiting import limiter as limiter_module
from billfold.platform.limiting import memory as memory_module
from billfold.platform.limiting.exceeded import Exceeded, Window
from billfold.platform.limiting.limiter import Limiter
from billfold.platform.limiting.memory import Memory

MINUTE, HOUR = Window(3, 60), Window(5, 3600)


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    for module in (memory_module, limiter_module):
        monkeypatch.setattr(module, "time", clock)
    return clock


async def hits(limiter: Limiter, who: str, number: int) -> list[Exceeded | None]:
    return [await limiter.hit(who) for _ in range(number)]


async def test_what_is_too_much_is_told_how_long_to_wait(time: Time) -> None:
    limiter = Limiter("things", [MINUTE])
    assert await hits(limiter, "ada", 3) == [None] * 3
    time.now += 20.5
    assert await limiter.hit("ada") == Exceeded("things", MINUTE, wait_s=40)


async def test_everybody_is_counted_apart(time: Time) -> None:
    limiter = Limiter("things", [MINUTE])
    await hits(limiter, "ada", 9)
    assert await limiter.hit("bob") is None


async def test_the_next_window_begins_at_nothing(time: Time) -> None:
    limiter = Limiter("things", [MINUTE])
    await hits(limiter, "ada", 9)
    time.now += 60
    assert await hits(limiter, "ada", 3) == [None] * 3
    assert await limiter.hit("ada") is not None


async def test_whoever_goes_on_waits_longer(time: Time) -> None:
    limiter = Limiter("things", [HOUR, MINUTE])
    first = (await hits(limiter, "ada", 4))[-1]
    assert first == Exceeded("things", MINUTE, wait_s=60)
    again = (await hits(limiter, "ada", 2))[-1]
    assert again == Exceeded("things", HOUR, wait_s=3600)


async def test_the_wait_is_never_nothing(time: Time) -> None:
    limiter = Limiter("things", [MINUTE])
    await hits(limiter, "ada", 4)
    time.now += 59.999
    exceeded = await limiter.hit("ada")
    assert exceeded is not None
    assert exceeded.wait_s == 1


async def test_memory_has_an_end_however_many_come(monkeypatch: pytest.MonkeyPatch, time: Time) -> None:
    monkeypatch.setattr(memory_module, "COUNTERS_MAX", 100)
    memory = Memory()
    for number in range(10_000):
        await memory.incr(f"192.0.2.{number}", 60)
    assert len(memory.storage) == len(memory.expirations) == 100
    # Those that came last are the ones that are still counted.
    assert await memory.incr("192.0.2.9999", 60) == 2
    assert await memory.incr("192.0.2.0", 60) == 1


async def test_one_that_comes_back_after_its_window_counts_as_new(monkeypatch: pytest.MonkeyPatch, time: Time) -> None:
    monkeypatch.setattr(memory_module, "COUNTERS_MAX", 2)
    memory = Memory()
    await memory.incr("first", 60)
    await memory.incr("second", 60)
    time.now += 61
    await memory.incr("first", 60)
    await memory.incr("third", 60)
    assert (await memory.incr("first", 60), await memory.incr("second", 60)) == (2, 1)
