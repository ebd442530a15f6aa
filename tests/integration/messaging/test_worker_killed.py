"""A real worker process, killed with SIGKILL in the middle of what it does."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from billfold.platform import host
from billfold.platform.messaging import topics
from billfold.platform.messaging.brokers import nats, streams
from billfold.wallets import Wallets
from tests import master_keys, servers
from tests.integration.messaging.queue import balance, dead_letters, emptied, new_wallet, plain, send, state
from tests.integration.messaging.support import in_stream, until_none_left

MESSAGES = 6_000
KILLS = 5


async def test_a_worker_killed_over_and_over_applies_each_message_once_and_tells_of_each_once(
    wallets: Wallets, wallets_database: servers.TestDatabase, server: nats.Server, tmp_path: Path
) -> None:
    keys = master_keys.file_in(tmp_path)
    mine = [await new_wallet(wallets) for _ in range(10)]
    await send(server, [plain(mine[n % 10], "1.00", sender_id=str(n)) for n in range(MESSAGES)])
    left: list[int] = []
    for kill in range(1, KILLS + 1):
        async with _worker(wallets_database, server, keys) as process:
            # Two thirds are left at the last kill: no worker comes to the end before it is met.
            await _some_more_done(server, MESSAGES - kill * MESSAGES // (3 * KILLS))
            await asyncio.sleep(random.uniform(0, 0.2))
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            left.append((await state(server))[0])
    assert all(left), "each worker was killed before the end"
    async with _worker(wallets_database, server, keys):
        await emptied(server)
        await until_none_left(lambda: _untold(server))
    assert [await balance(wallets, wallet) for wallet in mine] == [f"{MESSAGES // 10}.00"] * 10
    assert await dead_letters(wallets) == []
    told = [seen.body["id"] for seen in await in_stream(server) if seen.body["type"] == "transfer.posted.v1"]
    assert len(told) == len(set(told)) == MESSAGES


@asynccontextmanager
async def _worker(
    database: servers.TestDatabase, server: nats.Server, keys: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`billfold serve worker`, until the block ends."""
    assert server.user is not None
    assert server.password is not None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")} | {
        "BILLFOLD_POSTGRES__DSN": database.app_dsn,
        "BILLFOLD_NATS__URL": server.url,
        "BILLFOLD_KEYS__FILE": str(keys),
        "BILLFOLD_NATS__USER": server.user,
        "BILLFOLD_NATS__PASSWORD": server.password,
        "BILLFOLD_WORKER__METRICS_PORT": str(host.free_port()),
    }
    command = (sys.executable, "-m", "billfold.app.cli", "serve", "worker")
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _some_more_done(server: nats.Server, left: int) -> None:
    """Wait until only so many messages are left."""

    async def too_many() -> int:
        return (await state(server))[0] - left

    await until_none_left(too_many)


async def _untold(server: nats.Server) -> int:
    async with nats.connected(server, name="test") as broker:
        # Ten wallets were created before.
        return MESSAGES + 10 - await streams.last_sequence(broker, streams.of(topics.EVENTS).name)
