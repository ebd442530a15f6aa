"""Counters that all processes share in a Redis, which may be gone, slow or empty at any time.

No request waits for a dead Redis: the first ones that get no answer in time turn it off for everybody, and it is turned
on again by a probe beside the requests.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import structlog
from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from billfold.platform.limiting.limiter import SHARED_UP, SharedLost

#: A Redis in the same network answers in less than a millisecond; the rest is for our own event loop when it is busy.
ANSWER_TIMEOUT_S = 0.25
PROBE_INTERVAL_S = 1.0
#: Of each process; a request uses one for less than a millisecond.
CONNECTIONS_MAX = 16
KEY_PREFIX = "billfold"
#: The probe counts as requests do, because a Redis that can't write answers PING all the same.
_PROBE = RateLimitItemPerSecond(1, 1, namespace="probe")

log = structlog.get_logger(__name__)
T = TypeVar("T")


class SharedRedis:
    """One Redis. Made by `opened`."""

    def __init__(self, pool: ConnectionPool) -> None:
        #: Whether it is asked at all.
        self.up = False
        options: dict[str, Any] = {"connection_pool": pool}
        # Where the Redis is, the pool knows.
        storage = RedisStorage("async+redis://", implementation="redispy", key_prefix=KEY_PREFIX, **options)
        # The library's own pool that lets callers wait loses some of those that are told to stop waiting.
        self._free = asyncio.Semaphore(CONNECTIONS_MAX)
        self._strategy = FixedWindowRateLimiter(storage)
        self._probing = asyncio.create_task(self._probe())

    async def ask(self, question: Callable[[FixedWindowRateLimiter], Awaitable[T]]) -> T:
        """The answer to `question`.

        Raises:
            SharedLost: there was none in time.
        """
        async with self._free:
            if not self.up:  # Those that waited for a connection meanwhile don't try it as well.
                raise SharedLost
            try:
                return await self._answer(question)
            except (RedisError, OSError) as error:
                self._lost(error)
                raise SharedLost from error

    async def close(self) -> None:
        """Stop asking."""
        self.up = False
        self._probing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._probing

    async def _answer(self, question: Callable[[FixedWindowRateLimiter], Awaitable[T]]) -> T:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await question(self._strategy)

    def _lost(self, error: Exception) -> None:
        if not self.up:
            return
        self.up = False
        SHARED_UP.set(0)
        log.warning("the Redis of the limits is lost: each process counts for itself", error=_words(error))
        self._probing = asyncio.create_task(self._probe(after_s=PROBE_INTERVAL_S))

    async def _probe(self, *, after_s: float = 0.0) -> None:
        """Turn it on as soon as it counts."""
        while True:
            await asyncio.sleep(after_s)
            after_s = PROBE_INTERVAL_S
            try:
                await self._answer(lambda strategy: strategy.hit(_PROBE))
            except (RedisError, OSError) as error:
                log.debug("the Redis of the limits does not answer", error=_words(error))
            else:
                self.up = True
                SHARED_UP.set(1)
                log.info("the Redis of the limits counts for all processes")
                return


def connections(url: str) -> ConnectionPool:
    """Connections to the Redis at `url`, which are made when they are needed.

    Raises:
        ValueError: that is no address of a Redis.
    """
    # One that has closed an idle connection is connected to again at once.
    retry = Retry(NoBackoff(), 1)
    return ConnectionPool.from_url(
        url, retry=retry, socket_timeout=ANSWER_TIMEOUT_S, socket_connect_timeout=ANSWER_TIMEOUT_S
    )


@contextlib.asynccontextmanager
async def opened(pool: ConnectionPool) -> AsyncIterator[SharedRedis]:
    """The Redis of these connections, until the block ends. It need not answer yet."""
    shared = SharedRedis(pool)
    try:
        yield shared
    finally:
        await shared.close()
        await pool.aclose()


def _words(error: Exception) -> str:
    # The library's own texts name host and port, never a password.
    return str(error) or type(error).__name__
