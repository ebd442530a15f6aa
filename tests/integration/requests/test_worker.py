"""The way of a request through the broker to a worker: real processes, a real NATS."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from billfold.app.roles import requests
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.ledger import OUTBOX_KIND
from billfold.platform import host
from billfold.platform.messaging import topics
from billfold.platform.messaging.brokers import nats
from billfold.platform.messaging.port import Message
from billfold.platform.messaging.relay import Relay
from billfold.wallets import events
from billfold.wallets.contracts import MoneyRequest
from tests import master_keys, servers
from tests.integration.messaging.brokers.test_consuming import consumed
from tests.integration.messaging.conftest import without_streams
from tests.integration.messaging.support import running, until
from tests.integration.requests.support import Office
from tests.workers import running_worker

REQUESTS = 400
KILLS = 6


@pytest.fixture
async def server(nats_server: servers.NatsServer) -> nats.Server:
    """The NATS of the run, without the streams of earlier tests."""
    server = nats.Server(url=nats_server.url, user=nats_server.user, password=nats_server.password)
    await without_streams(server)
    return server


@pytest.fixture
async def hers(office: Office, ada: Principal) -> str:
    return await office.wallet(ada, holding="1000.00")


@pytest.fixture
async def his(office: Office, bob: Principal) -> str:
    return await office.wallet(bob, holding="0.50")


@asynccontextmanager
async def without_sweeping(office: Office, server: nats.Server) -> AsyncIterator[None]:
    """A worker that knows nothing but what the broker delivers."""
    relay = Relay(database=office.database, messaging=server, expanders={OUTBOX_KIND: office.ledger.expand})
    consumer = requests.consumer(wallets=office.wallets, database=office.database, messaging=server)
    async with running(relay), consumed(consumer):
        yield


async def ended(office: Office, all_: Sequence[MoneyRequest]) -> None:
    """Wait until all of them have."""

    async def have_ended() -> bool:
        async with office.database.connection() as connection:
            open_: int = await connection.fetchval(
                "SELECT count(*) FROM wallets.requests WHERE id = ANY($1) AND ended_at IS NULL",
                [request.id for request in all_],
            )
        return open_ == 0

    await until(have_ended)


async def test_the_broker_brings_requests_to_the_worker(
    office: Office, server: nats.Server, ada: Principal, hers: str, his: str
) -> None:
    async with without_sweeping(office, server):
        many = [await office.accept(ada, source=hers, target=his) for _ in range(30)]
        await ended(office, many)
        waiting = await office.accept(ada, source=hers, target=his)
        found = await office.look(ada, waiting, wait_s=60)
    assert (found.status, found.tries) == ("completed", 1)
    assert await office.posted(his) == "31.50"


async def test_events_that_lie_or_make_no_sense_move_nothing_and_stop_nobody(
    office: Office, server: nats.Server, ada: Principal, hers: str, his: str
) -> None:
    cancelled = await office.accept(ada, source=hers, target=his)
    await office.wallets.requests.cancel(principal=ada, request_id=cancelled.id)
    lie = f'{{"request_id":"{cancelled.id}","owner_id":"{ids.new()}","to":"{hers}","status":"accepted"}}'
    said = ["{}", '{"request_id":4711}', '{"request_id":"none"}', f'{{"request_id":"{ids.new()}"}}', lie]
    async with server.connected(name="stranger") as broker:
        await broker.ensure(topics.EVENTS)
        await broker.publish([_claimed(number, data) for number, data in enumerate(said)])
    async with without_sweeping(office, server):
        good = await office.accept(ada, source=hers, target=his)
        await ended(office, [good])

        async def set_aside() -> bool:
            async with office.database.connection() as connection:
                rows = await connection.fetch("SELECT reason FROM messaging.refused_events WHERE consumer = 'requests'")
            return [row["reason"] for row in rows] == ["event_unknown"] * 3

        await until(set_aside)
    assert (await office.look(ada, cancelled)).status == "cancelled"
    assert await office.posted(his) == "1.50"


def _claimed(number: int, data: str) -> Message:
    body = (
        f'{{"specversion":"1.0","id":"{number}","source":"{events.SOURCE}","type":"{events.REQUEST_ACCEPTED}",'
        f'"subject":"x","time":"2026-01-01T00:00:00Z","partitionkey":"x","data":{data}}}'
    )
    return Message(topic=topics.EVENTS, type=events.REQUEST_ACCEPTED, id=str(number), key="x", body=body.encode())


async def test_workers_that_are_killed_over_and_over_lose_no_request_and_double_none(
    office: Office,
    office_database: servers.TestDatabase,
    nats_server: servers.NatsServer,
    server: nats.Server,
    *,
    tmp_path: Path,
    ada: Principal,
) -> None:
    hers, his = await office.wallet(ada, holding="200.00"), await office.wallet(ada)
    keys = master_keys.file_in(tmp_path)
    accepted: list[MoneyRequest] = []
    for _ in range(KILLS):
        taken = await _taken(office)
        async with running_worker(office_database, nats_server, keys=keys) as worker:
            accepted += [await office.accept(ada, source=hers, target=his) for _ in range(REQUESTS // KILLS)]
            await until(lambda before=taken: _more_taken(office, before + 5))  # type: ignore[misc]
            await asyncio.sleep(random.uniform(0, 0.05))
            os.kill(worker.pid, signal.SIGKILL)
    # What the killed had in hand is theirs for half a minute more.
    async with office.database.connection() as connection:
        await connection.execute("UPDATE wallets.requests SET due_at = now() WHERE ended_at IS NULL")
    async with (
        running_worker(office_database, nats_server, keys=keys),
        running_worker(office_database, nats_server, keys=keys),
    ):
        await ended(office, accepted)
    statuses = [(await office.look(ada, request)).status for request in accepted]
    completed = statuses.count("completed")
    # There was money for no more than these.
    assert (completed, statuses.count("failed")) == (200, len(accepted) - 200)
    assert await office.posted(his) == "200.00"
    async with office.database.connection() as connection:
        transfers = await connection.fetchval("SELECT count(*) FROM ledger.transfers WHERE kind = 'transfer'")
        assert await connection.fetchval("SELECT count(*) FROM ledger.reservations") == 0
    assert transfers == completed
    assert (await office.ledger.verify()).faults == []


async def _taken(office: Office) -> int:
    async with office.database.connection() as connection:
        taken: int = await connection.fetchval("SELECT count(*) FROM wallets.requests WHERE started_at IS NOT NULL")
    return taken


async def _more_taken(office: Office, number: int) -> bool:
    return await _taken(office) > number


async def test_without_a_broker_requests_are_carried_out_all_the_same(
    office: Office,
    office_database: servers.TestDatabase,
    nats_server: servers.NatsServer,
    tmp_path: Path,
    ada: Principal,
) -> None:
    hers, his = await office.wallet(ada, holding="10.00"), await office.wallet(ada)
    nowhere = {"BILLFOLD_NATS__URL": f"nats://127.0.0.1:{host.free_port()}"}
    keys = master_keys.file_in(tmp_path)
    async with running_worker(office_database, nats_server, keys=keys, more=nowhere):
        request = await office.accept(ada, source=hers, target=his)
        found = await office.look(ada, request, wait_s=60)
    assert found.status == "completed"
    assert await office.posted(his) == "1.00"
