"""The outbox's contract, against real servers: nothing lost, nothing invented, in order, whatever ends when."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from billfold.kernel.events import Event
from billfold.platform.messaging import cloudevents, outbox, topics
from billfold.platform.messaging.brokers import nats
from billfold.platform.messaging.port import Message
from billfold.platform.messaging.relay import Relay
from billfold.platform.postgres.database import Connection, Database, DatabaseUnavailable
from tests.integration.messaging.support import (
    append,
    append_row,
    fact,
    in_stream,
    keep_running,
    published,
    running,
    until,
)


async def test_an_event_is_published_when_its_transaction_commits(database: Database, server: nats.Server) -> None:
    told = fact("wallet-1", 7)
    async with running(Relay(database=database, messaging=server, expanders={})):
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
    async with running(Relay(database=database, messaging=server, expanders={})):
        with pytest.raises(ZeroDivisionError):
            async with database.transaction() as transaction:
                await outbox.append(transaction, fact("k", 1))
                raise ZeroDivisionError
        async with database.transaction() as transaction:
            await outbox.append(transaction, fact("k", 2))
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == [2]


async def test_a_transaction_that_commits_late_is_not_skipped(database: Database, server: nats.Server) -> None:
    async with running(Relay(database=database, messaging=server, expanders={})):
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
    commit, committed, lost = asyncio.Event(), asyncio.Event(), asyncio.Event()
    publish, read = nats.Broker.publish, outbox.waiting

    async def commit_meanwhile(broker: nats.Broker, messages: Sequence[Message], *, perhaps_repeated: bool) -> None:
        commit.set()
        await committed.wait()
        await publish(broker, messages, perhaps_repeated=perhaps_repeated)

    async def lose_the_answer(connection: Connection, limit: int, *, remove: Sequence[int]) -> list[outbox.Row]:
        found = await read(connection, limit, remove=remove)
        if remove and not lost.is_set():
            # Deleted is deleted, and what was read with it is in no memory: the row has to be in the table still.
            lost.set()
            raise DatabaseUnavailable
        return found

    monkeypatch.setattr(nats.Broker, "publish", commit_meanwhile)
    monkeypatch.setattr(outbox, "waiting", lose_the_answer)
    async with running(Relay(database=database, messaging=server, expanders={})):
        async with database.transaction() as slow:
            await outbox.append(slow, fact("slow", 1))
            await append(database, fact("quick", 2))
            await asyncio.wait_for(commit.wait(), 30)
        committed.set()
        await asyncio.wait_for(lost.wait(), 30)
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == [2, 1]


async def test_a_row_that_is_no_event_is_parked_and_the_others_go_on(database: Database, server: nats.Server) -> None:
    async def broken(connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        if b"?" in payloads:
            raise KeyError("no such pointer\x00")
        return [[fact("k", int(payload))] for payload in payloads]

    async def nothing(connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        return [[] for _ in payloads]

    relay = Relay(database=database, messaging=server, expanders={"broken": broken, "empty": nothing})
    await append_row(database, "broken", b"-1")
    await append(database, fact("k", 1))
    for kind in ("unheard-of", "broken", "empty"):
        await append_row(database, kind, b"?")
    await append_row(database, outbox.EVENT, b"{}")
    await append(database, fact("k", 2))
    await append_row(database, "broken", b"3")
    await append_row(database, "broken", b"?")
    await append_row(database, "broken", b"4")
    async with running(relay):
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == [-1, 1, 2, 3, 4]
    async with database.connection() as connection:
        parked = await connection.fetch("SELECT kind, reason FROM messaging.parked ORDER BY seq")
    assert [row["kind"] for row in parked] == ["unheard-of", "broken", "empty", "event", "broken"]
    assert all(row["reason"] for row in parked)
    assert (await relay.measure()).parked == 5


async def test_a_parked_row_is_published_by_a_relay_that_can(database: Database, server: nats.Server) -> None:
    await append_row(database, "newer", b"8")
    async with running(Relay(database=database, messaging=server, expanders={})):
        await published(database)

    async def newer(connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        return [[fact("k", int(payload))] for payload in payloads]

    relay = Relay(database=database, messaging=server, expanders={"newer": newer})

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

    await append_row(database, "many", b"0")
    await append_row(database, "many", b"2500")
    await append(database, fact("k", 5000))
    async with running(Relay(database=database, messaging=server, expanders={"many": many})):
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == list(range(5001))


async def test_events_of_hundreds_of_kilobytes_pass(database: Database, server: nats.Server) -> None:
    for number in range(20):
        await append(database, fact("k", number, padding="x" * 400_000))
    async with running(Relay(database=database, messaging=server, expanders={})):
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == list(range(20))


async def test_an_event_that_is_too_large_is_refused_where_it_isappended(database: Database) -> None:
    with pytest.raises(cloudevents.EventTooLarge):
        async with database.transaction() as transaction:
            await outbox.append(transaction, fact("k", 1, padding="x" * cloudevents.EVENT_MAX_BYTES))


async def test_a_dead_letter_goes_to_its_own_stream(database: Database, server: nats.Server) -> None:
    async with database.transaction() as transaction:
        await outbox.append(transaction, fact("k", 1))
        await outbox.append_dead_letter(transaction, fact("k", 2))
        await outbox.append(transaction, fact("k", 3))
    async with running(Relay(database=database, messaging=server, expanders={})):
        await published(database)
    assert [seen.body["data"]["number"] for seen in await in_stream(server)] == [1, 3]
    (dead,) = await in_stream(server, topics.DEAD_LETTERS)
    assert dead.subject == "billfold.dead-letters.test.happened.v1"
    assert dead.body["data"]["number"] == 2


async def test_the_wrong_password_is_an_unavailable_broker(database: Database, server: nats.Server) -> None:
    stranger = nats.Server(url=server.url, user=server.user, password="guess")
    with pytest.raises(nats.BrokerUnavailable):
        await asyncio.wait_for(Relay(database=database, messaging=stranger, expanders={}).run(), 30)


async def test_a_stream_keeps_the_limits_of_its_operator_and_gets_what_it_lacks(
    database: Database, server: nats.Server
) -> None:
    async with nats.connected(server, name="test") as broker:
        config = {"name": "BILLFOLD_EVENTS", "subjects": ["other.>"], "storage": "file", "max_msgs": 12345}
        await broker.api("STREAM.CREATE.BILLFOLD_EVENTS", config, dict)
        await broker.ensure(topics.EVENTS)
        info = await broker.api("STREAM.INFO.BILLFOLD_EVENTS", {}, dict)
    assert info["config"]["max_msgs"] == 12345
    assert info["config"]["subjects"] == ["billfold.events.>", "other.>"]
    assert info["config"]["allow_atomic"] is True


async def test_nothing_is_stored_behind_what_the_stream_has_refused(server: nats.Server) -> None:
    messages = [
        Message(topic=topics.EVENTS, type="test.happened.v1", id=str(number), key="k", body=b"{}")
        for number in range(5)
    ]
    # One that the server refuses by itself, as it may any that it has no room for.
    messages[2] = msgspec.structs.replace(messages[2], headers={"Nats-Expected-Last-Sequence": "99"})
    async with nats.connected(server, name="test") as broker:
        await broker.ensure(topics.EVENTS)
        with pytest.raises(nats.JetStreamRefused):
            await broker.publish(messages, perhaps_repeated=False)
    assert [seen.msg_id for seen in await in_stream(server)] == ["0", "1"]


async def test_cancelling_a_relay_ends_it(database: Database, server: nats.Server) -> None:
    task = asyncio.create_task(keep_running(Relay(database=database, messaging=server, expanders={})))
    await append(database, fact("k", 1))
    await published(database)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
