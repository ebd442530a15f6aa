"""A limit: how much of one thing anybody may do within some windows of time."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from time import time
from typing import Protocol, TypeVar

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.strategies import FixedWindowRateLimiter
from prometheus_client import Gauge

from billfold.platform.limiting.exceeded import Exceeded, Window
from billfold.platform.limiting.memory import Memory

SHARED_UP = Gauge(
    "billfold_limits_redis_up",
    "1 while a Redis counts for all processes, 0 while this one counts for itself; NaN where none is set.",
)
#: So that an alert on 0 is of those alone who have one. Its line says 0 before it has answered.
SHARED_UP.set(math.nan)
T = TypeVar("T")


class SharedLost(Exception):
    """What counts for all processes has not answered, or has refused. Whoever asked counts for themselves."""


class Shared(Protocol):
    """What counts for all processes; `shared` has one."""

    @property
    def up(self) -> bool:
        """Whether to ask at all."""
        ...

    async def ask(self, question: Callable[[FixedWindowRateLimiter], Awaitable[T]]) -> T:
        """The answer to `question`, within a time that a request can spare.

        Raises:
            SharedLost: there was none.
        """
        ...


class Limiter:
    """Counts what everybody does, each in windows of their own. `name` is what callers and operators read."""

    def __init__(self, name: str, windows: Sequence[Window], *, shared: Shared | None = None) -> None:
        self.name = name
        # The shortest first, so that the longest wait is said.
        self._windows = sorted(windows, key=lambda window: window.seconds)
        self._items = [RateLimitItemPerSecond(one.amount, one.seconds, namespace=name) for one in self._windows]
        self._own = FixedWindowRateLimiter(Memory())
        self._shared = shared

    async def hit(self, who: str) -> Exceeded | None:
        """Count one more of `who`'s, and say so if it is one too many."""
        return await self._ask(lambda strategy: self._count(strategy, who))

    async def spent(self, who: str) -> Exceeded | None:
        """Say whether one more of `who`'s would be one too many, and count nothing."""
        return await self._ask(lambda strategy: self._look(strategy, who))

    async def _ask(self, question: Callable[[FixedWindowRateLimiter], Awaitable[Exceeded | None]]) -> Exceeded | None:
        shared = self._shared
        if shared is not None and shared.up:
            try:
                return await shared.ask(question)
            except SharedLost:
                pass  # From here on until it is back each process counts for itself.
        return await question(self._own)

    async def _look(self, strategy: FixedWindowRateLimiter, who: str) -> Exceeded | None:
        exceeded = None
        for window, item in zip(self._windows, self._items, strict=True):
            if not await strategy.test(item, who):
                exceeded = Exceeded(self.name, window, await _seconds_left(strategy, item, who))
        return exceeded

    async def _count(self, strategy: FixedWindowRateLimiter, who: str) -> Exceeded | None:
        exceeded = None
        for window, item in zip(self._windows, self._items, strict=True):
            if not await strategy.hit(item, who):
                exceeded = Exceeded(self.name, window, await _seconds_left(strategy, item, who))
        return exceeded


async def _seconds_left(strategy: FixedWindowRateLimiter, item: RateLimitItem, who: str) -> int:
    ends_at = await strategy.storage.get_expiry(item.key_for(who))
    return max(1, math.ceil(ends_at - time()))
