"""The outbox's contract, against real servers: nothing lost, nothing invented, in order, whatever ends when."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import msgspec
import pytest

from billfold.kernel.events import Event
from billfold.platform.messaging import cloudevents, metrics, outbox
from billfold.platform.messaging import relay as relay_module
from billfold.platform.messaging.brokers import nats, streams
from billfold.platform.messaging.relay import Relay
from billfold.platform.postgres.database import Connection, Database, DatabaseUnavailable
from tests import servers
from tests.integration.messaging.support import Seen, fact, in_stream, keep_running, published, running, until, waiting


async def test_an_event_is_published_when_its_transaction_commits(database: Database, server: nats.Server) -> None:
    told = fact("wallet-1", 7)
    async with running(Relay(database=database, server=server, expanders={})):
        async with database.transaction() as transaction:
            await outbox.append(transaction, told)
        await published(database)
    (seen,) = await in_stream(server)
    assert seen.subject == "billfold.events.test.happened.v1"
    assert seen.msg_id == f"/billfold/test/{told.id}"
    assert cloudevents.event(cloudevents.decode(msgspec.json.encode(seen.body))) == Event(
        told.id, told.type, told.source, told.subject, told.time, told.key, msgspec.Raw(msgspec.json.encode(told.data))
    )


async def test_an_event_of_a_transaction_that_is_rolled_back_is_never_published(
    database: Database, server: nats.Server
) -> None:
    async with running(Relay(database=database, server=server, expanders={})):
        with pytest.raises(ZeroDivisionError):
            async with database.transaction() as transaction:
                await outbox.append(transaction, fact("k", 1))
                raise ZeroDivisionError
        async with database.transaction() as transaction:
            await outbox.append(transaction, fact("k", 2))
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == [2]


async def test_a_transaction_that_commits_late_is_not_skipped(database: Database, server: nats.Server) -> None:
    async with running(Relay(database=database, server=server, expanders={})):
        async with database.transaction() as slow:
            await outbox.append(slow, fact("slow", 1))
            for number in range(2, 12):
                async with database.transaction() as quick:
                    await outbox.append(quick, fact("quick", number))

            async def quick_ones_are_out() -> bool:
                return len(await in_stream(server)) == 10

            await until(quick_ones_are_out)
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == [*range(2, 12), 1]


async def test_a_transaction_that_commits_between_reading_and_deleting_is_not_deleted_with_the_others(
    database: Database, server: nats.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, committed = asyncio.Event(), asyncio.Event()
    publish = nats.Broker.publish

    async def commit_meanwhile(
        broker: nats.Broker, messages: Sequence[nats.Message], *, perhaps_repeated: bool
    ) -> None:
        commit.set()
        await committed.wait()
        await publish(broker, messages, perhaps_repeated=perhaps_repeated)

    monkeypatch.setattr(nats.Broker, "publish", commit_meanwhile)
    async with running(Relay(database=database, server=server, expanders={})):
        async with database.transaction() as slow:
            await outbox.append(slow, fact("slow", 1))
            await _append(database, fact("quick", 2))
            await asyncio.wait_for(commit.wait(), 30)
        committed.set()
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == [2, 1]


async def test_relays_that_take_the_lead_from_one_another_all_the_time_lose_repeat_and_reorder_nothing(
    database: Database, server: nats.Server, postgres_server: servers.PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "STANDBY_PAUSE_S", 0.001)
    relays = [Relay(database=database, server=server, expanders={}) for _ in range(2)]
    before = metrics.FAILURES.labels("database")._value.get()
    async with running(*relays):
        writers = asyncio.gather(*[_count_up(database, f"key-{key}", 300) for key in range(4)])
        while not writers.done():
            await _end_leader(database, postgres_server)
            await asyncio.sleep(random.uniform(0.01, 0.05))
        await writers
        await published(database)
    assert metrics.FAILURES.labels("database")._value.get() > before + 5
    _assert_each_counts_up(await in_stream(server), keys=4, numbers=300)


@pytest.mark.parametrize("rows", [5, 20, 200])
async def test_a_relay_that_hung_before_publishing_and_goes_on_later_adds_nothing(
    database: Database, server: nats.Server, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(relay_module, "SILENCE_MAX_S", 1)
    hung, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    publish = nats.Broker.publish

    async def hang(broker: nats.Broker, messages: Sequence[nats.Message], *, perhaps_repeated: bool) -> None:
        if messages[0].id.endswith(stale.id):
            hung.set()
            await go_on.wait()
            await publish(broker, messages, perhaps_repeated=False)
            done.set()
        await publish(broker, messages, perhaps_repeated=perhaps_repeated)

    stale = fact("k", 0)
    async with running(Relay(database=database, server=server, expanders={})):
        await published(database)
        with monkeypatch.context() as patch:
            patch.setattr(nats.Broker, "publish", hang)
            async with database.transaction() as transaction:
                await outbox.append(transaction, stale)
                for number in range(1, rows):
                    await outbox.append(transaction, fact("k", number))
            await asyncio.wait_for(hung.wait(), 30)
        async with running(Relay(database=database, server=server, expanders={})):
            await published(database)
            for number in range(rows, rows + 50):
                if number == rows + 25:
                    go_on.set()
                await _append(database, fact("k", number))
            await published(database)
            await asyncio.wait_for(done.wait(), 30)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == list(range(rows + 50))


async def test_one_of_two_relays_stands_by_and_takes_over_when_the_other_ends(
    database: Database, server: nats.Server
) -> None:
    first, second = (Relay(database=database, server=server, expanders={}) for _ in range(2))
    async with running(second):
        async with running(first):
            await _append(database, fact("k", 1))
            await published(database)
        await _append(database, fact("k", 2))
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == [1, 2]


async def test_a_relay_that_ends_between_publishing_and_deleting_leaves_no_repeat_in_the_stream(
    database: Database, server: nats.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        await _append(database, fact("k", number))
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
        async with running(Relay(database=database, server=server, expanders={})):
            await asyncio.wait_for(reached.wait(), 30)
    assert await waiting(database) == 50
    await _append(database, fact("k", 50))
    async with running(Relay(database=database, server=server, expanders={})):
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == list(range(51))


async def test_a_relay_that_hangs_loses_the_lead(
    database: Database, server: nats.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "SILENCE_MAX_S", 1)
    hung = asyncio.Event()

    async def hang(connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        hung.set()
        await asyncio.Event().wait()
        return []

    async def tell(connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        return [[fact("k", 1)]]

    await _append_row(database, "slow", b"")
    async with running(Relay(database=database, server=server, expanders={"slow": hang})):
        await asyncio.wait_for(hung.wait(), 30)
        async with running(Relay(database=database, server=server, expanders={"slow": tell})):
            await published(database)
    assert len(await in_stream(server)) == 1


async def test_a_relay_goes_on_after_its_session_was_ended(
    database: Database, server: nats.Server, postgres_server: servers.PostgresServer
) -> None:
    async with running(Relay(database=database, server=server, expanders={})):
        await _append(database, fact("k", 1))
        await published(database)
        async with database.connection() as connection:
            name = await connection.fetchval("SELECT current_database()")
        admin = await asyncpg.connect(postgres_server.admin_dsn)
        ended = await admin.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1", name
        )
        await admin.close()
        assert ended >= 1
        await until(lambda: _appended(database, fact("k", 2)))
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == [1, 2]


async def test_events_wait_while_nats_is_down_and_come_in_order_when_it_is_back(
    database: Database, tmp_path: Path
) -> None:
    with servers.running_nats(tmp_path / "nats") as own:
        server = nats.Server(url=own.url, user=own.user, password=own.password)
        relay = Relay(database=database, server=server, expanders={})
        async with running(relay):
            await _append(database, fact("k", 0))
            await published(database)
            await asyncio.to_thread(own.kill)
            for number in range(1, 1500):
                await _append(database, fact("k", number))
            lag = await relay.measure()
            assert lag.rows == 1499
            assert lag.age_s > 0
            await asyncio.to_thread(own.start)
            await published(database)
        assert [seen.body["data"]["number"] for seen in await in_stream(server)] == list(range(1500))


async def test_nats_killed_over_and_over_costs_no_event_and_no_order(database: Database, tmp_path: Path) -> None:
    with servers.running_nats(tmp_path / "nats") as own:
        server = nats.Server(url=own.url, user=own.user, password=own.password)
        async with running(Relay(database=database, server=server, expanders={})):
            writers = asyncio.gather(*[_count_up(database, f"key-{key}", 400, pause_s=0.005) for key in range(3)])
            for _ in range(4):
                await asyncio.sleep(random.uniform(0.1, 0.4))
                await asyncio.to_thread(own.kill)
                await asyncio.to_thread(own.start)
            await writers
            await published(database)
        _assert_each_counts_up(await in_stream(server), keys=3, numbers=400)


async def test_a_row_that_is_no_event_is_parked_and_the_others_go_on(database: Database, server: nats.Server) -> None:
    async def broken(connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        if b"?" in payloads:
            raise KeyError("no such pointer\x00")
        return [[fact("k", int(payload))] for payload in payloads]

    async def nothing(connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        return [[] for _ in payloads]

    relay = Relay(database=database, server=server, expanders={"broken": broken, "empty": nothing})
    await _append_row(database, "broken", b"-1")
    await _append(database, fact("k", 1))
    for kind in ("unheard-of", "broken", "empty"):
        await _append_row(database, kind, b"?")
    await _append_row(database, outbox.EVENT, b"{}")
    await _append(database, fact("k", 2))
    await _append_row(database, "broken", b"3")
    await _append_row(database, "broken", b"?")
    await _append_row(database, "broken", b"4")
    async with running(relay):
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == [-1, 1, 2, 3, 4]
    async with database.connection() as connection:
        parked = await connection.fetch("SELECT kind, reason FROM messaging.parked ORDER BY seq")
    assert [row["kind"] for row in parked] == ["unheard-of", "broken", "empty", "event", "broken"]
    assert all(row["reason"] for row in parked)
    assert (await relay.measure()).parked == 5


async def test_a_parked_row_is_published_by_a_relay_that_can(database: Database, server: nats.Server) -> None:
    await _append_row(database, "newer", b"8")
    async with running(Relay(database=database, server=server, expanders={})):
        await published(database)

    async def newer(connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        return [[fact("k", int(payload))] for payload in payloads]

    relay = Relay(database=database, server=server, expanders={"newer": newer})

    async def nothing_is_parked() -> bool:
        return (await relay.measure()).parked == 0

    async with running(relay):
        await until(nothing_is_parked)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == [8]


async def test_a_row_that_stands_for_thousands_of_events_comes_whole_and_in_order(
    database: Database, server: nats.Server
) -> None:
    async def many(connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        return [[fact("k", int(payload) + number) for number in range(2500)] for payload in payloads]

    await _append_row(database, "many", b"0")
    await _append_row(database, "many", b"2500")
    await _append(database, fact("k", 5000))
    async with running(Relay(database=database, server=server, expanders={"many": many})):
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == list(range(5001))


async def test_events_of_hundreds_of_kilobytes_pass(database: Database, server: nats.Server) -> None:
    for number in range(20):
        await _append(database, fact("k", number, padding="x" * 400_000))
    async with running(Relay(database=database, server=server, expanders={})):
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == list(range(20))


async def test_an_event_that_is_too_large_is_refused_where_it_is_appended(database: Database) -> None:
    with pytest.raises(cloudevents.EventTooLarge):
        async with database.transaction() as transaction:
            await outbox.append(transaction, fact("k", 1, padding="x" * cloudevents.EVENT_MAX_BYTES))


async def test_a_dead_letter_goes_to_its_own_stream(database: Database, server: nats.Server) -> None:
    async with database.transaction() as transaction:
        await outbox.append(transaction, fact("k", 1))
        await outbox.append_dead_letter(transaction, fact("k", 2))
        await outbox.append(transaction, fact("k", 3))
    async with running(Relay(database=database, server=server, expanders={})):
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == [1, 3]
    (dead,) = await in_stream(server, streams.DEAD_LETTERS)
    assert dead.subject == "billfold.dead-letters.test.happened.v1"
    assert dead.body["data"]["number"] == 2


async def test_the_wrong_password_is_an_unavailable_broker(database: Database, server: nats.Server) -> None:
    stranger = nats.Server(url=server.url, user=server.user, password="guess")
    with pytest.raises(nats.BrokerUnavailable):
        await asyncio.wait_for(Relay(database=database, server=stranger, expanders={}).run(), 30)


async def test_a_stream_keeps_the_limits_of_its_operator_and_gets_what_it_lacks(
    database: Database, server: nats.Server
) -> None:
    async with nats.connected(server, name="test") as broker:
        config = {"name": "BILLFOLD_EVENTS", "subjects": ["other.>"], "storage": "file", "max_msgs": 12345}
        await broker.api("STREAM.CREATE.BILLFOLD_EVENTS", config, dict)
        await streams.ensure(broker, streams.EVENTS)
        info = await broker.api("STREAM.INFO.BILLFOLD_EVENTS", {}, dict)
    assert info["config"]["max_msgs"] == 12345
    assert info["config"]["subjects"] == ["billfold.events.>", "other.>"]
    assert info["config"]["allow_atomic"] is True


async def test_cancelling_a_relay_ends_it(database: Database, server: nats.Server) -> None:
    task = asyncio.create_task(keep_running(Relay(database=database, server=server, expanders={})))
    await _append(database, fact("k", 1))
    await published(database)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)


async def _end_leader(database: Database, postgres_server: servers.PostgresServer) -> None:
    """End the session that holds the lead, wherever the relay is just now."""
    async with database.connection() as connection:
        name = await connection.fetchval("SELECT current_database()")
    await asyncio.to_thread(
        postgres_server.execute,
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        f"WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND datname = '{name}' "
        f"AND (classid::bigint << 32 | objid::bigint) = {outbox._LEADER}",
    )


async def _append(database: Database, event: Event) -> None:
    async with database.transaction() as transaction:
        await outbox.append(transaction, event)


async def _appended(database: Database, event: Event) -> bool:
    try:
        await _append(database, event)
    except DatabaseUnavailable:
        return False
    return True


async def _append_row(database: Database, kind: str, payload: bytes) -> None:
    async with database.transaction() as transaction:
        await transaction.execute("SELECT messaging.append($1, $2)", kind, payload)


async def _count_up(database: Database, key: str, numbers: int, *, pause_s: float = 0.0) -> None:
    """Two writers of one key, each of which holds the key's lock from before its append until COMMIT."""
    counter = iter(range(numbers))

    async def write() -> None:
        while True:
            async with database.transaction() as transaction:
                await transaction.execute("SELECT pg_advisory_xact_lock(hashtext($1))", key)
                number = next(counter, None)
                if number is None:
                    return
                await outbox.append(transaction, fact(key, number))
                await asyncio.sleep(random.uniform(0, 0.003) + pause_s)

    await asyncio.gather(write(), write())


def _assert_each_counts_up(found: list[Seen], *, keys: int, numbers: int) -> None:
    by_key = defaultdict(list)
    for seen in found:
        by_key[seen.body["partitionkey"]].append(seen.body["data"]["number"])
    assert len(by_key) == keys
    for key, seen_numbers in by_key.items():
        assert seen_numbers == list(range(numbers)), key
