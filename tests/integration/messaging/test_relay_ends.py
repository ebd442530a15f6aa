"""A relay, its session or NATS ends or hangs, wherever it is: nothing lost, repeated or out of order."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest

from billfold.kernel.events import Event
from billfold.platform.messaging import leading, metrics, outbox, relay
from billfold.platform.messaging.brokers import nats
from billfold.platform.messaging.port import Message
from billfold.platform.messaging.relay import Relay
from billfold.platform.postgres.database import Connection, Database
from tests import servers
from tests.integration.messaging.support import (
    DEADLINE_S,
    append,
    append_row,
    appended,
    assert_each_counts_up,
    count_up,
    fact,
    in_stream,
    published,
    running,
    until,
    waiting,
)


async def test_relays_that_take_the_lead_from_one_another_all_the_time_lose_repeat_and_reorder_nothing(
    database: Database, server: nats.Server, postgres_server: servers.PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "STANDBY_PAUSE_S", 0.001)
    relays = [Relay(database=database, messaging=server, expanders={}) for _ in range(2)]
    failures = metrics.FAILURES.labels("database")
    before = failures._value.get()
    async with running(*relays), asyncio.timeout(4 * DEADLINE_S):
        writers = asyncio.gather(*[count_up(database, f"key-{key}", 300) for key in range(4)])
        # How often a relay is met while it leads is the machine's affair.
        while not writers.done() or failures._value.get() <= before + 5:
            await _end_leader(database, postgres_server)
            await asyncio.sleep(random.uniform(0.01, 0.05))
        await writers
        await published(database)
    assert_each_counts_up(await in_stream(server), keys=4, numbers=300)


@pytest.mark.parametrize("rows", [5, 20, 200])
async def test_a_relay_that_hung_before_publishing_and_goes_on_later_adds_nothing(
    database: Database, server: nats.Server, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(leading, "SILENCE_MAX_S", 1)
    hung, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    publish = nats.Broker.publish

    async def hang(broker: nats.Broker, messages: Sequence[Message], *, perhaps_repeated: bool) -> None:
        if messages[0].id.endswith(stale.id):
            hung.set()
            await go_on.wait()
            await publish(broker, messages, perhaps_repeated=False)
            done.set()
        await publish(broker, messages, perhaps_repeated=perhaps_repeated)

    stale = fact("k", 0)
    async with running(Relay(database=database, messaging=server, expanders={})):
        await published(database)
        with monkeypatch.context() as patch:
            patch.setattr(nats.Broker, "publish", hang)
            async with database.transaction() as transaction:
                await outbox.append(transaction, stale)
                for number in range(1, rows):
                    await outbox.append(transaction, fact("k", number))
            await asyncio.wait_for(hung.wait(), 30)
        async with running(Relay(database=database, messaging=server, expanders={})):
            await published(database)
            for number in range(rows, rows + 50):
                if number == rows + 25:
                    go_on.set()
                await append(database, fact("k", number))
            await published(database)
            await asyncio.wait_for(done.wait(), 30)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == list(range(rows + 50))


async def test_one_of_two_relays_stands_by_and_takes_over_when_the_other_ends(
    database: Database, server: nats.Server
) -> None:
    first, second = (Relay(database=database, messaging=server, expanders={}) for _ in range(2))
    async with running(second):
        async with running(first):
            await append(database, fact("k", 1))
            await published(database)
        await append(database, fact("k", 2))
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == [1, 2]


async def test_a_relay_that_ends_between_publishing_and_deleting_leaves_no_repeat_in_the_stream(
    database: Database, server: nats.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        await append(database, fact("k", number))
    reached = asyncio.Event()

    read = outbox.waiting

    async def hang_before_deleting(connection: Connection, limit: int, *, remove: Sequence[int]) -> list[outbox.Row]:
        if not remove:
            return await read(connection, limit)
        reached.set()
        await asyncio.Event().wait()
        return []

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "waiting", hang_before_deleting)
        async with running(Relay(database=database, messaging=server, expanders={})):
            await asyncio.wait_for(reached.wait(), 30)
    assert await waiting(database) == 50
    await append(database, fact("k", 50))
    async with running(Relay(database=database, messaging=server, expanders={})):
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == list(range(51))


async def test_a_relay_that_begins_says_that_all_up_to_the_end_may_be_out_by_now_and_later_that_nothing_is(
    database: Database, server: nats.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, said = nats.Broker.publish, []

    async def seen(broker: nats.Broker, messages: Sequence[Message], *, perhaps_repeated: bool) -> None:
        said.append((len(messages), perhaps_repeated))
        await publish(broker, messages, perhaps_repeated=perhaps_repeated)

    monkeypatch.setattr(nats.Broker, "publish", seen)
    for number in range(relay.ROWS_MAX + 3):
        await append(database, fact("k", number))
    async with running(Relay(database=database, messaging=server, expanders={})):
        await published(database)
        await append(database, fact("k", relay.ROWS_MAX + 3))
        await published(database)
    assert said == [(relay.ROWS_MAX, True), (3, True), (1, False)]


async def test_a_relay_that_hangs_loses_the_lead(
    database: Database, server: nats.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "SILENCE_MAX_S", 1)
    hung, told = asyncio.Event(), fact("k", 1)

    async def hang(connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        hung.set()
        await asyncio.Event().wait()
        return []

    async def tell(connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        # The same each time, as a row stands for the same events: on a busy machine this one may lose the lead, too.
        return [[told]]

    await append_row(database, "slow", b"")
    async with running(Relay(database=database, messaging=server, expanders={"slow": hang})):
        await asyncio.wait_for(hung.wait(), 30)
        async with running(Relay(database=database, messaging=server, expanders={"slow": tell})):
            await published(database)
    assert len(await in_stream(server)) == 1


async def test_a_relay_goes_on_after_its_session_was_ended(
    database: Database, server: nats.Server, postgres_server: servers.PostgresServer
) -> None:
    async with running(Relay(database=database, messaging=server, expanders={})):
        await append(database, fact("k", 1))
        await published(database)
        async with database.connection() as connection:
            name = await connection.fetchval("SELECT current_database()")
        admin = await asyncpg.connect(postgres_server.admin_dsn)
        ended = await admin.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1", name
        )
        await admin.close()
        assert ended >= 1
        await until(lambda: appended(database, fact("k", 2)))
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == [1, 2]


async def test_events_wait_while_nats_is_down_and_come_in_order_when_it_is_back(
    database: Database, tmp_path: Path
) -> None:
    with servers.running_nats(tmp_path / "nats") as own:
        server = nats.Server(url=own.url, user=own.user, password=own.password)
        relay = Relay(database=database, messaging=server, expanders={})
        async with running(relay):
            await append(database, fact("k", 0))
            await published(database)
            await asyncio.to_thread(own.kill)
            for number in range(1, 1500):
                await append(database, fact("k", number))
            lag = await relay.measure()
            assert lag.rows == 1499
            assert lag.age_s > 0
            await asyncio.to_thread(own.start)
            await published(database)
        assert [seen.body["data"]["number"] for seen in await in_stream(server)] == list(range(1500))


async def test_nats_killed_over_and_over_costs_no_event_and_no_order(database: Database, tmp_path: Path) -> None:
    with servers.running_nats(tmp_path / "nats") as own:
        server = nats.Server(url=own.url, user=own.user, password=own.password)
        async with running(Relay(database=database, messaging=server, expanders={})):
            writers = asyncio.gather(*[count_up(database, f"key-{key}", 400, pause_s=0.005) for key in range(3)])
            for _ in range(4):
                await asyncio.sleep(random.uniform(0.1, 0.4))
                await asyncio.to_thread(own.kill)
                await asyncio.to_thread(own.start)
            await writers
            await published(database)
        assert_each_counts_up(await in_stream(server), keys=3, numbers=400)


async def _end_leader(database: Database, postgres_server: servers.PostgresServer) -> None:
    """End the session that holds the lead, wherever the relay is just now."""
    async with database.connection() as connection:
        name = await connection.fetchval("SELECT current_database()")
    await asyncio.to_thread(
        postgres_server.execute,
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        f"WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND datname = '{name}' "
        f"AND (classid::bigint << 32 | objid::bigint) = {outbox.LEAD}",
    )
