"""Counting together in a real Redis: while it answers, and while it doesn't."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from limits import RateLimitItemPerSecond
from prometheus_client import Gauge
from redis.asyncio import Redis

from billfold.kernel import ids
from billfold.platform import host
from billfold.platform import redis as platform_redis
from billfold.platform.limiting import backoff, shared
from billfold.platform.limiting.backoff import FREE, Backoff
from billfold.platform.limiting.exceeded import Window
from billfold.platform.limiting.limiter import Limiter
from billfold.platform.limiting.shared import SharedRedis
from billfold.platform.redis import RedisUnavailable
from tests.servers import RedisServer

#: So many that waiting in turn would take much longer than counting does on any machine.
CALLERS = 1_000
WINDOW = Window(3, 3600)


@asynccontextmanager
async def process(server: RedisServer, *, up: bool = True) -> AsyncIterator[SharedRedis]:
    """What one process has of the Redis."""
    async with shared.opened(platform_redis.connections(server.url)) as redis:
        if up:
            await until(lambda: redis.up)
        yield redis


@pytest.fixture
def name() -> str:
    """Of a limit that no other test counts in."""
    return f"test-{ids.new()}"


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - what is waited for knows no events.
            await asyncio.sleep(0.01)


async def allowed(limiter: Limiter, number: int) -> list[bool]:
    return [await limiter.hit("ada") is None for _ in range(number)]


async def test_processes_count_together(redis_server: RedisServer, name: str) -> None:
    async with process(redis_server) as one, process(redis_server) as another:
        first, second = Limiter(name, [WINDOW], shared=one), Limiter(name, [WINDOW], shared=another)
        assert await allowed(first, 2) == [True, True]
        assert await allowed(second, 2) == [True, False]
        exceeded = await first.hit("ada")
        assert exceeded is not None
        assert 3590 <= exceeded.wait_s <= 3600
        assert await first.hit("bob") is None


async def test_whoever_asks_before_the_first_probe_has_ended_is_answered(redis_server: RedisServer, name: str) -> None:
    async with process(redis_server, up=False) as redis:
        item = RateLimitItemPerSecond(1, 1, namespace=name)
        assert await redis.ask(lambda strategy: strategy.hit(item))


async def test_why_a_redis_does_not_answer_is_one_sentence() -> None:
    with pytest.raises(platform_redis.RedisUnavailable) as failed:
        await platform_redis.examine(f"redis://127.0.0.1:{host.free_port()}/0")
    assert failed.value.detail.endswith(".")
    assert ".." not in failed.value.detail


async def test_a_window_ends_in_a_redis_too(redis_server: RedisServer, name: str) -> None:
    async with process(redis_server) as redis:
        limiter = Limiter(name, [Window(1, 3)], shared=redis)
        assert await allowed(limiter, 2) == [True, False]
        async with asyncio.timeout(30):
            while not (await allowed(limiter, 1))[0]:  # noqa: ASYNC110 - a Redis tells nobody of it.
                await asyncio.sleep(0.05)
        assert redis.up


async def test_what_is_counted_is_forgotten_in_time(redis_server: RedisServer, name: str) -> None:
    async with process(redis_server) as redis, Redis.from_url(redis_server.url) as looking:
        await Limiter(name, [WINDOW], shared=redis).hit("ada")
        (key,) = [key async for key in looking.scan_iter(f"billfold:{name}/*")]
        assert 3590 <= await looking.ttl(key) <= 3600


async def test_when_it_dies_each_counts_for_itself_and_nobody_waits(redis_server: RedisServer, name: str) -> None:
    async with process(redis_server) as redis:
        limiter = Limiter(name, [WINDOW], shared=redis)
        assert await allowed(limiter, 3) == [True, True, True]
        redis_server.kill()
        try:
            # Its own count begins at nothing.
            assert await allowed(limiter, 4) == [True, True, True, False]
            assert not redis.up
            # Whoever asks nobody is answered sooner than whoever waits for a Redis that hangs.
            began = time.perf_counter()
            await asyncio.gather(*(limiter.hit(f"caller {number}") for number in range(100)))
            assert time.perf_counter() - began < platform_redis.ANSWER_TIMEOUT_S
        finally:
            redis_server.start()
        await until(lambda: redis.up)
        # It is empty now, and counts all the same.
        assert await allowed(limiter, 4) == [True, True, True, False]


async def test_when_it_hangs_only_the_first_wait_and_not_for_long(redis_server: RedisServer, name: str) -> None:
    async with process(redis_server) as redis:
        limiter = Limiter(name, [WINDOW], shared=redis)
        await limiter.hit("ada")
        redis_server.hang()
        try:
            began = time.perf_counter()
            assert all(await asyncio.gather(*(_is_allowed(limiter, str(number)) for number in range(CALLERS))))
            # Not all of them in turn.
            assert (
                time.perf_counter() - began < CALLERS / platform_redis.CONNECTIONS_MAX * platform_redis.ANSWER_TIMEOUT_S
            )
            assert not redis.up
            began = time.perf_counter()
            await limiter.hit("ada")
            assert time.perf_counter() - began < platform_redis.ANSWER_TIMEOUT_S
        finally:
            redis_server.go_on()
        await until(lambda: redis.up)
        # Connections that were given up in the middle of an answer do not give it to the next question.
        assert await allowed(Limiter(f"{name}-later", [WINDOW], shared=redis), 4) == [True, True, True, False]


async def test_many_at_once_are_counted_right(redis_server: RedisServer, name: str) -> None:
    async with process(redis_server) as redis:
        limiter = Limiter(name, [Window(100, 3600)], shared=redis)
        found = await asyncio.gather(*(_is_allowed(limiter, "ada") for _ in range(500)))
        assert redis.up
        assert sum(found) == 100


async def test_a_start_does_not_wait_for_it(redis_server: RedisServer, name: str) -> None:
    redis_server.kill()
    try:
        async with process(redis_server, up=False) as redis:
            assert await allowed(Limiter(name, [WINDOW], shared=redis), 4) == [True, True, True, False]
            assert not redis.up
            redis_server.start()
            await until(lambda: redis.up)
    finally:
        if not redis_server.child.running:
            redis_server.start()


async def test_one_that_can_be_read_and_not_written_is_not_used(redis_server: RedisServer, name: str) -> None:
    async with process(redis_server) as redis, Redis.from_url(redis_server.url) as operator:
        await operator.replicaof("127.0.0.1", "9")
        try:
            limiter = Limiter(name, [WINDOW], shared=redis)
            assert await allowed(limiter, 4) == [True, True, True, False]
            assert not redis.up
            await asyncio.sleep(platform_redis.PROBE_INTERVAL_S * 1.5)
            assert not redis.up
        finally:
            await operator.replicaof("NO", "ONE")
        await until(lambda: redis.up)


async def test_a_forgotten_script_is_sent_again(redis_server: RedisServer, name: str) -> None:
    async with process(redis_server) as redis, Redis.from_url(redis_server.url) as operator:
        limiter = Limiter(name, [WINDOW], shared=redis)
        await limiter.hit("ada")
        await operator.script_flush()
        assert await allowed(limiter, 3) == [True, True, False]
        assert redis.up


@pytest.mark.parametrize("wrong", ["localhost:6379", "http://localhost", "redis://localhost:port", ""])
def test_an_address_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the settings say which one it is.
        platform_redis.connections(wrong)


async def _is_allowed(limiter: Limiter, who: str) -> bool:
    return await limiter.hit(who) is None


async def test_processes_hold_back_together_whoever_fails(
    redis_server: RedisServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than all these attempts take on any machine.
    monkeypatch.setattr(backoff, "WAIT_FIRST_S", 60)
    async with process(redis_server) as one, process(redis_server) as another:
        first, second = Backoff(name, shared=one), Backoff(name, shared=another)
        found = await asyncio.gather(*(waits.attempt("ada") for waits in (first, second) for _ in range(100)))
        assert sum(wait_s == 0 for wait_s in found) == FREE + 1
        assert await first.attempt("bob") == 0
        await second.forgive("ada")
        assert [await first.attempt("ada") for _ in range(FREE)] == [0] * FREE
        assert one.up
        assert another.up


async def test_when_it_dies_each_holds_back_by_itself(redis_server: RedisServer, name: str) -> None:
    async with process(redis_server) as redis:
        waits = Backoff(name, shared=redis)
        assert [await waits.attempt("ada") for _ in range(FREE)] == [0] * FREE
        redis_server.kill()
        try:
            found = [await waits.attempt("ada") for _ in range(20)]
            assert found[:FREE] == [0] * FREE
            assert found[-1] > 0
            assert not redis.up
            await waits.forgive("ada")
            assert await waits.attempt("ada") == 0
        finally:
            redis_server.start()
        await until(lambda: redis.up)
        assert await waits.attempt("ada") == 0


async def test_what_answers_with_nonsense_is_asked_again_until_it_is_a_redis() -> None:
    answers, asked = b":abc\r\n", 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        with contextlib.suppress(OSError):
            while await reader.read(4096):
                asked += 1
                writer.write(answers)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as stranger:
        url = f"redis://127.0.0.1:{stranger.sockets[0].getsockname()[1]}/0?protocol=2&lib_name=&lib_version="
        pool = platform_redis.connections(url)
        client = Redis(connection_pool=pool)
        async with platform_redis.opened(
            pool, name="test", probe=client.ping, gauge=Gauge("up", "", registry=None)
        ) as line:
            with pytest.raises(RedisUnavailable, match="another language"):
                await line.check()
            before = asked
            await until(lambda: asked > before + 1)
            assert not line.up
            answers = b"+PONG\r\n"
            await until(lambda: line.up)
