"""Counters that all processes share in a Redis, which may be gone, slow or empty at any time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.asyncio import ConnectionPool

from billfold.platform import redis
from billfold.platform.limiting.limiter import SHARED_UP, SharedLost

KEY_PREFIX = "billfold"
#: The probe counts as requests do, because a Redis that can't write is of no use here.
_PROBE = RateLimitItemPerSecond(1, 1, namespace="probe")

T = TypeVar("T")


class SharedRedis:
    """One Redis. Made by `opened`."""

    def __init__(self, line: redis.Line, strategy: FixedWindowRateLimiter) -> None:
        self._line = line
        self._strategy = strategy

    @property
    def up(self) -> bool:
        """Whether it is asked at all."""
        return self._line.up

    async def ask(self, question: Callable[[FixedWindowRateLimiter], Awaitable[T]]) -> T:
        """The answer to `question`.

        Raises:
            SharedLost: there was none in time.
        """
        try:
            return await self._line.ask(lambda: question(self._strategy))
        except redis.RedisUnavailable as error:
            raise SharedLost from error


@contextlib.asynccontextmanager
async def opened(pool: ConnectionPool) -> AsyncIterator[SharedRedis]:
    """The Redis of these connections, until the block ends. It need not answer yet."""
    options: dict[str, Any] = {"connection_pool": pool}
    # Where the Redis is, the pool knows.
    storage = RedisStorage("async+redis://", implementation="redispy", key_prefix=KEY_PREFIX, **options)
    strategy = FixedWindowRateLimiter(storage)
    async with redis.opened(pool, name="limits", probe=lambda: strategy.hit(_PROBE), gauge=SHARED_UP) as line:
        yield SharedRedis(line, strategy)
