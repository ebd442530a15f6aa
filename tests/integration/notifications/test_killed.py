"""Workers, the API and the broker are killed in the middle: whoever listens misses nothing and hears nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from billfold.kernel.errors import Unavailable
from billfold.platform import host
from tests import servers
from tests.integration.api import support as api
from tests.integration.api import world
from tests.integration.notifications.support import Listener, Town, running_worker

ROUNDS = 6
DEPOSITS = 15


@pytest.fixture
def own_nats_server(tmp_path: Path) -> Iterator[servers.NatsServer]:
    with servers.running_nats(tmp_path / "nats") as server:
        yield server


class Api:
    """The API at one address, killed and started again."""

    def __init__(self, database: servers.TestDatabase, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._port = host.free_port()
        self._stack = contextlib.ExitStack()

    def start(self) -> api.ApiServer:
        self.server = self._stack.enter_context(
            api.running_api(self._database, self._folder, api__port=str(self._port), limits__anonymous_per_minute="0")
        )
        return self.server

    def kill(self) -> None:
        os.kill(self.server.process.pid, signal.SIGKILL)
        self._stack.close()


@asynccontextmanager
async def _deposits(made: world.World, wallet: str) -> AsyncIterator[list[str]]:
    """Money arrives meanwhile, and on until there is some more; the transfers it makes."""
    told: list[str] = []
    stop = asyncio.Event()

    async def go_on() -> None:
        while not stop.is_set() or len(told) < ROUNDS * DEPOSITS:
            with contextlib.suppress(Unavailable):
                told.append(await made._deposit(wallet))
            await asyncio.sleep(random.uniform(0, 0.02))

    task = asyncio.create_task(go_on())
    yield told
    stop.set()
    await task


async def test_nothing_is_missed_and_nothing_comes_twice_whatever_is_killed(
    whole_database: servers.TestDatabase, own_nats_server: servers.NatsServer, tmp_path: Path
) -> None:
    log = tmp_path / "workers.log"
    running = Api(whole_database, tmp_path)
    server = running.start()
    async with world.beside(whole_database, issuer=server.url) as made:
        town = Town(server.url, server.metrics_url, made, whole_database)
        ada, bob = await made.login("user"), await made.login("user")
        wallet = await made.wallet(ada.user_id)
        async with town.listener(ada.token, after="0") as listener, town.listener(bob.token, after="0") as stranger:
            async with _deposits(made, wallet) as deposits:
                for number in range(ROUNDS):
                    with (
                        running_worker(whole_database, own_nats_server, log) as one,
                        running_worker(whole_database, own_nats_server, log) as other,
                    ):
                        await _some_more(listener)
                        await _kill_something(number, running, own_nats_server, (one, other))
                        await _some_more(listener)
            with running_worker(whole_database, own_nats_server, log):
                last = await made._deposit(wallet)
                await listener.until(lambda: last in listener.ids)
        async with made._database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM messaging.refused_events") == 0
        running.kill()
    posted = [event for event in listener.events if event["type"] == "transfer.posted.v1"]
    assert [event["subject"] for event in posted][1:] == [*deposits, last]
    assert [event["data"]["entries"][0]["version"] for event in posted] == list(range(1, len(posted) + 1))
    assert [event["position"] for event in listener.events] == list(range(1, len(listener.events) + 1))
    assert listener.begun > ROUNDS // 3
    assert wallet not in str(stranger.events)


async def _some_more(listener: Listener) -> None:
    enough = len(listener.events) + 3
    await listener.until(lambda: len(listener.events) >= enough)


async def _kill_something(
    number: int, running: Api, nats: servers.NatsServer, workers: tuple[subprocess.Popen[bytes], ...]
) -> None:
    match number % 3:
        case 0:
            # One of them fills the feed, and which one is not known.
            os.kill(workers[number // 3 % 2].pid, signal.SIGKILL)
        case 1:
            await asyncio.to_thread(running.kill)
            await asyncio.to_thread(running.start)
        case _:
            await asyncio.to_thread(nats.kill)
            await asyncio.to_thread(nats.start)
