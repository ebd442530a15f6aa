"""What the tests of messaging share: facts to publish, a look into a stream, and a relay that runs as in the worker."""

import asyncio
import contextlib
import math
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from billfold.app.migrate import SETS
from billfold.kernel import facts, ids
from billfold.kernel.errors import Unavailable
from billfold.kernel.events import Event
from billfold.platform.messaging import outbox, topics
from billfold.platform.messaging.brokers import nats, streams
from billfold.platform.messaging.relay import Relay
from billfold.platform.messaging.topics import Topic
from billfold.platform.postgres.database import Database, DatabaseUnavailable
from billfold.platform.postgres.migrations import Migrations

MIGRATIONS = [
    Migrations("roles", "billfold.platform.postgres.roles"),
    Migrations("messaging", "billfold.platform.messaging.migrations"),
]
#: A worker has duties in every context.
WALLETS_MIGRATIONS = SETS
#: Everything here takes milliseconds; a slow machine is forgiven.
DEADLINE_S = 60.0
#: Before the next try, or the next look.
PAUSE_S = 0.05


class Seen(msgspec.Struct, frozen=True):
    """A message as it lies in a stream."""

    subject: str
    msg_id: str
    body: dict[str, Any]


def fact(key: str = "some-key", number: int = 0, *, padding: str = "") -> Event:
    return Event(
        id=str(ids.new()),
        type="test.happened.v1",
        source="/billfold/test",
        subject=f"{key}/{number}",
        time=datetime.now(UTC),
        key=key,
        data={"number": number, "padding": padding},
    )


def recorded(key: str = "some-key", number: int = 0, *, padding: str = "") -> Event:
    """As `fact`, for the audit alone."""
    event = fact(key, number, padding=padding)
    data = {"number": number, "padding": padding, "facts": []}
    return msgspec.structs.replace(event, type=facts.RECORDED, data=data)


async def in_stream(server: nats.Server, topic: Topic = topics.EVENTS) -> list[Seen]:
    """All messages of a topic's stream, oldest first."""
    found: list[Seen] = []
    stream = streams.of(topic)
    async with nats.connected(server, name="test") as broker:
        consumer = {"deliver_policy": "all", "ack_policy": "none", "mem_storage": True}
        try:
            name = await streams.ensure_consumer(broker, stream.name, consumer)
        except nats.JetStreamRefused as refused:
            assert "stream not found" in str(refused)
            return []
        info = await streams.consumer_info(broker, stream.name, name)
        assert info is not None
        async with broker.pulling(stream.name, name) as pull:
            while len(found) < info.num_pending:
                for message in await pull.fetch(500, max_bytes=1 << 24, wait_s=5):
                    headers = message.headers or {}
                    found.append(
                        Seen(message.subject, headers.get("Nats-Msg-Id", ""), msgspec.json.decode(message.data))
                    )
    return found


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for `condition`, but not for ever."""
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():  # noqa: ASYNC110 - it looks at another process.
            await asyncio.sleep(0.02)


async def until_none_left(left: Callable[[], Awaitable[int]]) -> None:
    """Wait until this is zero or less, for as long as it falls, however long all of it takes a slow machine."""
    least: float = math.inf
    async with asyncio.timeout(DEADLINE_S) as patience:
        while (now := await left()) > 0:
            if now < least:
                least = now
                renew(patience)
            await asyncio.sleep(0.02)


def renew(patience: asyncio.Timeout) -> None:
    """Something has been done: wait for the next as long as for the first."""
    patience.reschedule(asyncio.get_running_loop().time() + DEADLINE_S)


async def waiting(database: Database) -> int:
    """Rows in the outbox."""
    async with database.connection() as connection:
        rows: int = await connection.fetchval("SELECT count(*) FROM messaging.outbox")
    return rows


async def somebody_waits(database: Database) -> bool:
    """Whether a session in this database waits for what another one has locked."""
    async with database.connection() as connection:
        found: bool = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock')"
        )
    return found


async def published(database: Database) -> None:
    """Wait until nothing waits in the outbox, for as long as it becomes less."""
    await until_none_left(partial(waiting, database))


async def keep_running(relay: Relay) -> None:
    """As the worker does: again after everything that passes."""
    while True:
        with contextlib.suppress(Unavailable):
            await relay.run()
        await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def running(*relays: Relay) -> AsyncIterator[list[asyncio.Task[None]]]:
    """These relays, until the block ends; one that fails fails the test."""
    tasks = [asyncio.create_task(keep_running(relay)) for relay in relays]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


async def append(database: Database, event: Event) -> None:
    async with database.transaction() as transaction:
        await outbox.append(transaction, event)


async def appended(database: Database, event: Event) -> bool:
    try:
        await append(database, event)
    except DatabaseUnavailable:
        return False
    return True


async def append_row(database: Database, kind: str, payload: bytes) -> None:
    async with database.transaction() as transaction:
        await transaction.execute("SELECT messaging.append($1, $2)", kind, payload)


async def count_up(database: Database, key: str, numbers: int, *, pause_s: float = 0.0) -> None:
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


def assert_each_counts_up(found: list[Seen], *, keys: int, numbers: int) -> None:
    by_key = defaultdict(list)
    for seen in found:
        by_key[seen.body["partitionkey"]].append(seen.body["data"]["number"])
    assert len(by_key) == keys
    for key, seen_numbers in by_key.items():
        assert seen_numbers == list(range(numbers)), key
