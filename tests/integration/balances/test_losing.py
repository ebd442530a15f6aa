"""A Redis that is gone, slow, full, emptied or killed in the middle: the ledger answers, and at once."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from billfold.kernel.errors import Unavailable
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform import redis
from billfold.platform.postgres.database import Database
from billfold.wallets.adapters import balances
from tests import servers
from tests.integration.balances.conftest import Town, process
from tests.integration.wallets.support import move, wallet_of

#: So many that waiting in turn would take much longer than reading in the ledger does on any machine.
READERS = 1_000


@contextmanager
def killed(server: servers.RedisServer) -> Iterator[None]:
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextmanager
def hanging(server: servers.RedisServer) -> Iterator[None]:
    server.hang()
    try:
        yield
    finally:
        server.go_on()


async def test_when_it_is_killed_the_ledger_answers_and_when_it_is_back_it_begins_empty(
    town: Town, redis_server: servers.RedisServer, ada: Principal
) -> None:
    wallet = await wallet_of(town.wallets, ada, holding="10.00")
    await town.keep(wallet)
    assert await town.posted(ada, wallet) == ("10.00", True)
    with killed(redis_server):
        await move(town.wallets, ada, "deposit", target=wallet, amount="1.00")
        for _ in range(3):
            assert await town.posted(ada, wallet) == ("11.00", False)
    await town.up()
    assert await town.posted(ada, wallet) == ("11.00", False)
    assert await town.posted(ada, wallet) == ("11.00", True)


async def test_when_it_hangs_only_the_first_wait_and_not_for_long(
    town: Town, redis_server: servers.RedisServer, ada: Principal
) -> None:
    wallet = await wallet_of(town.wallets, ada, holding="10.00")
    await town.keep(wallet)
    with hanging(redis_server):
        began = time.perf_counter()
        found = await asyncio.gather(*(town.posted(ada, wallet) for _ in range(READERS)))
        assert set(found) == {("10.00", False)}
        # Whoever had asked it waits for as long as that; nobody after them, and so not all in turn.
        assert time.perf_counter() - began < READERS / redis.CONNECTIONS_MAX * redis.ANSWER_TIMEOUT_S
    await town.up()
    assert await town.posted(ada, wallet) == ("10.00", True)


async def test_a_start_does_not_wait_for_it(
    database: Database, ledger: Ledger, redis_server: servers.RedisServer, ada: Principal
) -> None:
    with killed(redis_server):
        async with process(database, ledger, redis_server) as town:
            wallet = await wallet_of(town.wallets, ada, holding="10.00")
            assert await town.posted(ada, wallet) == ("10.00", False)
            redis_server.start()
            await town.up()
            assert await town.posted(ada, wallet) == ("10.00", False)
            assert await town.posted(ada, wallet) == ("10.00", True)
            redis_server.kill()


async def test_readers_while_it_is_killed_again_and_again_never_go_back_nor_fail(
    town: Town, redis_server: servers.RedisServer, ada: Principal
) -> None:
    """What a reader knows by its version is never taken back from them, whoever answers."""
    wallet = await wallet_of(town.wallets, ada, holding="1.00")
    stop = asyncio.Event()

    async def read() -> int:
        known = reads = 0
        while not stop.is_set():
            read = await town.lately(ada, wallet, min_version=known)
            version = read.balances[0].version
            assert version is not None
            assert version >= known
            assert read.balances[0].posted == f"{version}.00"
            known, reads = version, reads + 1
        return reads

    readers = [asyncio.create_task(read()) for _ in range(4)]
    for _ in range(3):
        for _ in range(5):
            await move(town.wallets, ada, "deposit", target=wallet, amount="1.00")
            await town.posted(ada, wallet, max_age_s=0)
        redis_server.kill()
        await move(town.wallets, ada, "deposit", target=wallet, amount="1.00")
        redis_server.start()
        await town.up()
    stop.set()
    assert all(await asyncio.gather(*readers))


async def test_one_that_is_emptied_is_filled_again(town: Town, ada: Principal) -> None:
    wallet = await wallet_of(town.wallets, ada, holding="10.00")
    await town.keep(wallet)
    await town.redis.flushall()
    await town.redis.script_flush()
    assert await town.posted(ada, wallet) == ("10.00", False)
    assert await town.posted(ada, wallet) == ("10.00", True)


async def test_one_that_is_full_costs_no_reader_an_answer(town: Town, ada: Principal) -> None:
    wallet = await wallet_of(town.wallets, ada, holding="10.00")
    await town.redis.config_set("maxmemory-policy", "noeviction")
    await town.redis.config_set("maxmemory", "1")
    try:
        for _ in range(3):
            assert await town.posted(ada, wallet) == ("10.00", False)
        # It is read all the while, and events wait for nothing.
        assert await town.pictures.look(UUID(wallet)) is not None
        await town.keep(wallet)
    finally:
        await town.redis.config_set("maxmemory", "0")
    assert await town.posted(ada, wallet) == ("10.00", False)
    assert await town.posted(ada, wallet) == ("10.00", True)


async def test_an_answer_to_another_question_is_shown_to_nobody(
    town: Town, redis_server: servers.RedisServer, ada: Principal
) -> None:
    rich = await wallet_of(town.wallets, ada, holding="1000000.00")
    poor = await wallet_of(town.wallets, ada, holding="1.00")
    await town.keep(rich, poor)
    pool = town.kept.client.connection_pool
    script = town.kept.client.register_script(balances.LOOK)
    await script(keys=[balances.PREFIX + UUID(rich).hex])
    connection = await pool.get_connection()  # type: ignore[no-untyped-call]
    with hanging(redis_server):
        # Somebody has given up on their question without the connection's knowing.
        await connection.send_command("EVALSHA", script.sha, 1, balances.PREFIX + UUID(rich).hex)
        await pool.release(connection)
        reading = asyncio.create_task(town.posted(ada, poor))
        await asyncio.sleep(0)
    assert await reading == ("1.00", False)
    await town.up()
    for _ in range(2 * redis.CONNECTIONS_MAX):
        assert (await town.posted(ada, poor))[0] == "1.00"
    assert await town.posted(ada, poor) == ("1.00", True)


async def test_questions_that_were_given_up_are_never_answered_to_others(
    town: Town, redis_server: servers.RedisServer, ada: Principal
) -> None:
    wallets = {await wallet_of(town.wallets, ada, holding=f"{number}.00"): f"{number}.00" for number in range(1, 20)}
    await town.keep(*wallets)
    for _ in range(3):
        with hanging(redis_server):
            await asyncio.gather(*(town.posted(ada, wallet) for wallet in wallets))
        await town.up()
        found = await asyncio.gather(*(town.posted(ada, wallet) for wallet in wallets))
        assert [posted for posted, _ in found] == list(wallets.values())
        assert all(from_redis for _, from_redis in found)


async def test_a_replica_is_read_and_written_to_no_more(town: Town, ada: Principal) -> None:
    wallet = await wallet_of(town.wallets, ada, holding="10.00")
    await town.keep(wallet)
    await town.redis.replicaof("127.0.0.1", "9")
    try:
        assert await town.posted(ada, wallet) == ("10.00", True)
        with pytest.raises(Unavailable):
            await town.keep(wallet)
    finally:
        await town.redis.replicaof("NO", "ONE")
    await town.up()
    await town.keep(wallet)
