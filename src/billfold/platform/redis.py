"""A Redis, which may be gone, slow, full or empty at any time. What it is for is the business of whoever asks it.

No request waits for a dead Redis: the first ones that get no answer in time turn it off for everybody in this process,
and it is turned on again by a probe beside the requests.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import msgspec
import structlog
from prometheus_client import Gauge
from redis import exceptions
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import InvalidResponse, RedisError

from billfold.kernel import errors

#: A Redis in the same network answers in less than a millisecond; the rest is for our own event loop when it is busy.
ANSWER_TIMEOUT_S = 0.25
PROBE_INTERVAL_S = 1.0
#: A process that is starting is busy itself, and hears an answer late. So it looks again, before anybody is told that
#: there is none.
FIRST_LOOKS = 4
#: Whoever asks once has more time.
EXAMINE_TIMEOUT_S = 2.0
#: Of each process; a request uses one for less than a millisecond.
CONNECTIONS_MAX = 16

log = structlog.get_logger(__name__)
T = TypeVar("T")


class RedisUnavailable(errors.Unavailable):
    """The Redis does not answer now, or not in time."""

    code = "redis_unavailable"


class Line:
    """The way to one Redis, as one process has it. Made by `opened`."""

    def __init__(self, *, name: str, probe: Callable[[], Awaitable[object]], gauge: Gauge) -> None:
        #: Whether it is asked at all.
        self.up = False
        self._name = name
        self._question = probe
        self._gauge = gauge
        gauge.set(0)
        # The library's own pool that lets callers wait loses some of those that are told to stop waiting.
        self._free = asyncio.Semaphore(CONNECTIONS_MAX)
        #: Before that nobody knows whether it answers, and it would be called lost without having been asked.
        self._looked = asyncio.Event()
        self._probing = asyncio.create_task(self._probe())

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer to `question`; the first ones wait until the first probe has ended.

        Raises:
            RedisUnavailable: there was none in time.
        """
        await self._looked.wait()
        async with self._free:
            if not self.up:  # Those that waited for a connection meanwhile don't try it as well.
                raise RedisUnavailable
            try:
                return await _answer(question)
            except (RedisError, OSError) as error:
                self._lost(error)
                raise RedisUnavailable(f"The Redis of the {self._name} is lost: {_words(error)}.") from error

    async def check(self) -> None:
        """Ask it now, also when it has not been up yet: whoever calls once has no time to wait for the next probe.

        Raises:
            RedisUnavailable.
        """
        try:
            await _answer(self._question)
        except (RedisError, OSError) as error:
            raise RedisUnavailable(f"The Redis of the {self._name} does not answer: {_words(error)}.") from error
        self._found()

    async def close(self) -> None:
        """Stop asking."""
        self.up = False
        self._looked.set()
        self._probing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._probing

    def _found(self) -> None:
        if not self.up:
            log.info("a Redis answers", used_for=self._name)
        self.up = True
        self._gauge.set(1)

    def _lost(self, error: Exception) -> None:
        if not self.up:
            return
        self.up = False
        self._gauge.set(0)
        log.warning("a Redis is lost, and done without", used_for=self._name, error=_words(error))
        self._probing = asyncio.create_task(self._probe(after_s=PROBE_INTERVAL_S))

    async def _probe(self, *, after_s: float = 0.0) -> None:
        """Turn it on as soon as it answers."""
        looks = 0
        try:
            while not self.up:
                await asyncio.sleep(after_s)
                after_s = PROBE_INTERVAL_S
                try:
                    await self.check()
                except RedisUnavailable as error:
                    log.debug("a Redis does not answer", used_for=self._name, error=error.detail)
                    looks += 1
                    late = isinstance(error.__cause__, TimeoutError | exceptions.TimeoutError)
                    if late and looks < FIRST_LOOKS and not self._looked.is_set():
                        after_s = 0.0
                        continue
                self._looked.set()
        finally:
            self._looked.set()


class Examined(msgspec.Struct, frozen=True):
    """What one look at a Redis has found."""

    version: str
    #: Whether it has a limit of memory, and refuses what is new when that is reached.
    never_evicts: bool


async def examine(url: str) -> Examined:
    """Look at the Redis at `url` once.

    Raises:
        ValueError: that is no address of a Redis.
        RedisUnavailable.
    """
    async with Redis.from_pool(connections(url)) as client:
        try:
            async with asyncio.timeout(EXAMINE_TIMEOUT_S):
                info = await client.info()
        except (RedisError, OSError) as error:
            raise RedisUnavailable(f"It does not answer: {_words(error)}.") from error
    limited = int(info.get("maxmemory", 0)) > 0
    return Examined(str(info["redis_version"]), limited and info.get("maxmemory_policy") == "noeviction")


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
async def opened(
    pool: ConnectionPool, *, name: str, probe: Callable[[], Awaitable[object]], gauge: Gauge
) -> AsyncIterator[Line]:
    """The Redis of these connections, until the block ends. It need not answer yet.

    `name` says what it is for; `probe` asks it for as much as requests do, because a Redis that can't do that answers
    PING all the same.
    """
    line = Line(name=name, probe=probe, gauge=gauge)
    try:
        yield line
    finally:
        await line.close()
        await pool.aclose()


async def _answer(question: Callable[[], Awaitable[T]]) -> T:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await question()
    except ValueError as error:
        # The library lets it through when a number in an answer is none.
        raise InvalidResponse(f"what answers there speaks another language: {error}") from error


def _words(error: Exception) -> str:
    # The library's own texts name host and port, never a password; some end with a full stop, and so do ours.
    return str(error).rstrip(".") or type(error).__name__
