"""The outbox and its relay on every broker: what commits is told, in order per key, whatever ends when."""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import pytest
from prometheus_client import Counter

from billfold.kernel.events import Event
from billfold.platform.messaging import cloudevents, leading, metrics, outbox, topics
from billfold.platform.messaging import relay as relay_module
from billfold.platform.messaging.port import Delivery, Messaging
from billfold.platform.messaging.relay import Relay
from billfold.platform.postgres.database import Connection, Database
from tests.integration.messaging.brokers.conftest import Bench, hanging, killed_and_started, tailed
from tests.integration.messaging.support import (
    DEADLINE_S,
    append,
    append_row,
    count_up,
    fact,
    published,
    running,
    until,
    waiting,
)


async def test_transactions_that_commit_in_another_order_than_they_were_numbered_are_all_told(
    database: Database, bench: Bench
) -> None:
    relay = Relay(database=database, messaging=bench.messaging, expanders={})
    async with running(relay), database.transaction() as first:
        await outbox.append(first, fact("first", 1))
        # Its number is lower, and it is open while many later ones are told.
        for number in range(100):
            await append(database, fact("later", number))
        await _until_told(bench.messaging, 100)
        await outbox.append(first, fact("first", 2))
    async with running(relay):
        await published(database)
    # The first relay may end between publishing and deleting, and NATS alone knows ids.
    by_key = _by_key(await tailed(bench.messaging, topics.EVENTS, 102), distinct=bench.name != "nats")
    assert by_key == {"first": [1, 2], "later": list(range(100))}


async def test_relays_on_several_machines_take_turns_and_a_kill_of_the_broker_costs_no_event_and_no_order(
    database: Database, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "STANDBY_PAUSE_S", 0.01)
    relays = [Relay(database=database, messaging=bench.messaging, expanders={}) for _ in range(3)]
    async with running(*relays):
        writers = asyncio.gather(*[count_up(database, f"key-{key}", 200, pause_s=0.005) for key in range(3)])
        for _ in range(2):
            await asyncio.sleep(random.uniform(0.1, 0.4))
            await killed_and_started(bench)
            await _end_leader(database)
        await writers
        await published(database)
    found = _by_key(await tailed(bench.messaging, topics.EVENTS, 600), distinct=True)
    assert found == {f"key-{key}": list(range(200)) for key in range(3)}


async def test_what_piles_up_while_the_broker_is_away_comes_whole_and_in_order_when_it_is_back(
    database: Database, bench: Bench
) -> None:
    before, meanwhile, after = 10, 1_000, 50
    keys = [f"key-{key}" for key in range(20)]
    async with running(Relay(database=database, messaging=bench.messaging, expanders={})):
        await _written(database, keys, range(before))
        await published(database)
        await asyncio.to_thread(bench.kill)
        await _written(database, keys, range(before, before + meanwhile))
        assert await waiting(database) == len(keys) * meanwhile
        await asyncio.to_thread(bench.start)
        # It catches up while more arrives.
        numbers = before + meanwhile + after
        await _written(database, keys, range(before + meanwhile, numbers), at_once=1)
        await published(database)
    found = _by_key(await tailed(bench.messaging, topics.EVENTS, len(keys) * numbers), distinct=True)
    assert found == {key: list(range(numbers)) for key in keys}


async def test_a_broker_that_hangs_for_longer_than_it_is_waited_for_costs_no_event_and_no_order(
    database: Database, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than Kafka's client waits for an answer, and so for a partition to have a leader.
    monkeypatch.setattr(relay_module, "PUBLISH_TIMEOUT_S", 6.0)
    given_up = metrics.FAILURES.labels("broker")
    keys = [f"key-{key}" for key in range(4)]
    reached = 0
    async with running(Relay(database=database, messaging=bench.messaging, expanders={})):
        for _ in range(2):
            # More than goes to Kafka at a time, some of it perhaps in hand when the broker begins to hang.
            at_first, then = range(reached, reached + 200), range(reached + 200, reached + 400)
            writing = asyncio.create_task(_written(database, keys, at_first, padding="x" * 1_000))
            await until(partial(_more, metrics.PUBLISHED, metrics.PUBLISHED._value.get()))
            with hanging(bench):
                before = given_up._value.get()
                await writing
                await _written(database, keys, then, padding="x" * 1_000)
                await until(partial(_more, given_up, before))
            reached += 400
            await published(database)
    found = _by_key(await tailed(bench.messaging, topics.EVENTS, len(keys) * reached), distinct=True)
    assert found == {key: list(range(reached)) for key in keys}


async def test_who_has_lost_the_lead_can_neither_publish_another_round_nor_delete(
    database: Database, messaging: Messaging, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = []
    read = outbox.waiting

    async def noted(connection: Connection, limit: int, *, remove: list[int]) -> list[outbox.Row]:
        if connection not in sessions:
            sessions.append(connection)
        return await read(connection, limit, remove=remove)

    monkeypatch.setattr(outbox, "waiting", noted)
    monkeypatch.setattr(leading, "STANDBY_PAUSE_S", 0.01)
    async with running(Relay(database=database, messaging=messaging, expanders={})):
        await append(database, fact("k", 0))
        await published(database)
        await _end_leader(database)
        await append(database, fact("k", 1))
        await published(database)
    before = sessions[0]
    await append(database, fact("k", 2))
    with pytest.raises(Exception, match=r"closed|terminat"):
        # Reading what is to be published, and deleting it, go through the session that has ended with the lead.
        await read(before, 10, remove=[1, 2, 3])
    assert await waiting(database) == 1


async def test_a_relay_that_hung_with_events_in_hand_publishes_none_of_them_when_another_has_the_lead(
    database: Database, messaging: Messaging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "STANDBY_PAUSE_S", 0.01)
    monkeypatch.setattr(relay_module, "IN_HAND_MAX_S", 0.0)
    hung, go_on = asyncio.Event(), asyncio.Event()

    async def hang(connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        if not hung.is_set():
            hung.set()
            await go_on.wait()
        return [[fact("k", int(payload))] for payload in payloads]

    first, second = (Relay(database=database, messaging=messaging, expanders={"slow": hang}) for _ in range(2))
    failures = metrics.FAILURES.labels("database")
    before = failures._value.get()
    await append_row(database, "slow", b"1")
    async with running(first):
        await asyncio.wait_for(hung.wait(), DEADLINE_S)
        await _end_leader(database)
        async with running(second):
            await published(database)
            go_on.set()

            async def has_failed() -> bool:
                return bool(failures._value.get() > before)

            await until(has_failed)
            await append_row(database, "slow", b"2")
            await published(database)
    assert _by_key(await tailed(messaging, topics.EVENTS, 2)) == {"k": [1, 2]}


async def test_a_relay_that_hung_even_longer_adds_repeats_at_most(
    database: Database, messaging: Messaging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "STANDBY_PAUSE_S", 0.01)
    hung, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    assure = Relay._assure_lead

    async def hang(self: Relay, connection: Connection) -> None:
        await assure(self, connection)
        if not hung.is_set():
            hung.set()
            await go_on.wait()
            done.set()

    monkeypatch.setattr(Relay, "_assure_lead", hang)
    relays = [Relay(database=database, messaging=messaging, expanders={}) for _ in range(2)]
    for number in range(3):
        await append(database, fact("k", number))
    async with running(relays[0]):
        await asyncio.wait_for(hung.wait(), DEADLINE_S)
        await _end_leader(database)
        async with running(relays[1]):
            await published(database)
            await append(database, fact("k", 3))
            await published(database)
            go_on.set()
            await asyncio.wait_for(done.wait(), DEADLINE_S)
            await append(database, fact("k", 4))
            await published(database)
    assert _by_key(await tailed(messaging, topics.EVENTS, 5), distinct=True) == {"k": [0, 1, 2, 3, 4]}


async def _written(
    database: Database, keys: Sequence[str], numbers: range, *, at_once: int = 50, padding: str = ""
) -> None:
    """Each key counts through the numbers, so many of them in a transaction, and all keys at the same time."""

    async def count(key: str) -> None:
        for start in numbers[::at_once]:
            block = range(start, min(start + at_once, numbers.stop))
            payloads = [cloudevents.encode(fact(key, number, padding=padding)) for number in block]
            async with database.transaction() as transaction:
                await transaction.executemany(
                    "SELECT messaging.append($1, $2)", [(outbox.EVENT, payload) for payload in payloads]
                )

    await asyncio.gather(*(count(key) for key in keys))


async def _more(counter: Counter, than: float) -> bool:
    return bool(counter._value.get() > than)


def _by_key(found: list[Delivery], *, distinct: bool = False) -> dict[str, list[int]]:
    """The numbers by key. A repeat is left out where it is allowed; the first of each counts."""
    by_key = defaultdict(list)
    seen = set()
    for delivery in found:
        event = json.loads(delivery.body)
        if distinct and event["id"] in seen:
            continue
        seen.add(event["id"])
        by_key[event["partitionkey"]].append(event["data"]["number"])
    return dict(by_key)


async def _until_told(messaging: Messaging, count: int) -> None:
    await tailed(messaging, topics.EVENTS, count)


async def _end_leader(database: Database) -> None:
    async with database.connection() as connection:
        await connection.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND (classid::bigint << 32 | objid::bigint) = $1",
            outbox.LEAD,
        )
