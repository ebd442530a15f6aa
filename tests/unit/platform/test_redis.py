"""The way to a Redis while a process starts: an answer that is heard late is not taken for none."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Gauge

from billfold.platform import redis


def line(*, unheard: float) -> redis.Line:
    """One to a Redis whose first so many answers to the probe are not heard in time."""
    asked = 0

    async def probe() -> None:
        nonlocal asked
        asked += 1
        if asked <= unheard:
            await asyncio.Event().wait()

    return redis.Line(name="test", probe=probe, gauge=Gauge("up", "Up.", registry=CollectorRegistry()))


async def hello() -> str:
    return "hello"


async def test_the_first_ones_get_an_answer_though_the_first_looks_were_too_late() -> None:
    late = line(unheard=redis.FIRST_LOOKS - 1)
    try:
        assert await late.ask(hello) == "hello"
    finally:
        await late.close()


async def test_the_first_ones_do_not_wait_for_long_for_one_that_never_answers() -> None:
    dead = line(unheard=float("inf"))
    try:
        with pytest.raises(redis.RedisUnavailable):
            await dead.ask(hello)
    finally:
        await dead.close()
