"""A Cassandra that is killed, hangs or is not there yet: lists are whole, and writes wait in the broker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import pytest

from billfold.kernel.errors import Unavailable
from billfold.kernel.principal import Principal
from billfold.ledger import OUTBOX_KIND
from billfold.platform import cql
from billfold.platform.messaging.brokers import nats, streams
from billfold.platform.messaging.consuming import EventConsumer
from billfold.platform.messaging.port import Backlog, Subscription
from billfold.platform.messaging.relay import Relay
from billfold.platform.messaging.topics import EVENTS
from billfold.wallets.contracts import FoundRequest, HistorySource, MoneyRequest, TransactionFilter
from billfold.wallets.service.history import HistoryCopy
from tests import servers
from tests.integration.requests.support import Office
from tests.integration.wallets.history.conftest import PATIENCE_S
from tests.integration.wallets.history.support import Histories, everything
from tests.integration.wallets.support import move, wallet_of

ALL = TransactionFilter()
#: What the consumer has in its hands at a time.
BATCH = 5
SUBSCRIPTION = Subscription(name="history", topic=EVENTS, types=HistoryCopy.TYPES, ordered=False)


@pytest.fixture
async def broker(nats_server: servers.NatsServer) -> nats.Server:
    """The NATS of the run, without the events of earlier tests."""
    server = nats.Server(url=nats_server.url, user=nats_server.user, password=nats_server.password)
    async with nats.connected(server, name="test") as connected:
        with contextlib.suppress(nats.JetStreamRefused):
            await connected.api(f"STREAM.DELETE.{streams.of(EVENTS).name}", {}, dict)
    return server


@contextlib.asynccontextmanager
async def copying(histories: Histories, broker: nats.Server) -> AsyncIterator[None]:
    """What the worker does for the copy, until the block ends."""
    relay = Relay(database=histories.database, messaging=broker, expanders={OUTBOX_KIND: histories.ledger.expand})
    consumer = EventConsumer(
        messaging=broker,
        database=histories.database,
        subscription=SUBSCRIPTION,
        handle=histories.keeping.take,
        batch_max=BATCH,
    )
    tasks = [asyncio.create_task(_kept_up(run)) for run in (relay.run, consumer.run)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


async def _kept_up(run: Callable[[], Awaitable[None]]) -> None:
    while True:
        with contextlib.suppress(Unavailable):
            await run()
        await asyncio.sleep(0.05)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - servers tell
            await asyncio.sleep(0.05)


async def source_of(histories: Histories, principal: Principal) -> str:
    return (await histories.copied.transactions.page(principal=principal, wanted=ALL)).source


async def test_a_node_that_is_killed_and_comes_back_costs_nobody_anything(
    histories: Histories, cassandra_server: servers.CassandraServer, broker: nats.Server, ada: Principal
) -> None:
    posting = histories.journal
    mine = await wallet_of(posting, ada, holding="100.00")
    async with copying(histories, broker):
        await until(lambda: _is_read(histories, ada))
        paying = asyncio.create_task(_pay(histories, ada, mine, times=40))
        await asyncio.to_thread(cassandra_server.kill)
        try:
            await paying
            assert await source_of(histories, ada) == "postgresql"
            assert len(await everything(histories.copied, ada, ALL)) == 41
            async with nats.connected(broker, name="test") as connected:
                await until(lambda: _waits(connected))
            # Whoever starts now finds it when it is there.
            async with cql.opened(servers.cql_of(cassandra_server)) as late:
                with pytest.raises(cql.CqlUnavailable):
                    await late.execute("SELECT now() FROM system.local")
                await asyncio.to_thread(cassandra_server.start)
                await late.wait_until_up(PATIENCE_S)
                assert await late.execute("SELECT release_version FROM system.local")
        finally:
            if not cassandra_server.child.running:
                await asyncio.to_thread(cassandra_server.start)
        await until(lambda: _is_read(histories, ada))
        journal = await everything(posting, ada, ALL)
        assert await everything(histories.copied, ada, ALL, limit=7, source="cql") == journal


async def test_a_node_that_hangs_keeps_nobody_waiting_for_long(
    histories: Histories, cassandra_server: servers.CassandraServer, ada: Principal
) -> None:
    await wallet_of(histories.journal, ada, holding="100.00")
    await histories.catch_up()
    assert await source_of(histories, ada) == "cql"
    cassandra_server.hang()
    try:
        answers = await asyncio.gather(*(source_of(histories, ada) for _ in range(20)))
        assert set(answers) == {"postgresql"}
        assert not histories.copy.tables.up
    finally:
        cassandra_server.go_on()
    await until(lambda: _is_read(histories, ada))


async def test_requests_that_end_while_the_node_is_away_are_told_and_copied_when_it_is_back(
    histories: Histories,
    cassandra_server: servers.CassandraServer,
    broker: nats.Server,
    office: Office,
    customer: Principal,
) -> None:
    mine, other = await office.wallet(customer, holding="10.00"), await office.wallet(customer)

    async def requests(count: int) -> list[MoneyRequest]:
        accepted = [await office.accept(customer, source=mine, target=other, amount="0.01") for _ in range(count)]
        await office.carry_out(*accepted)
        return accepted

    async def read(request: MoneyRequest) -> FoundRequest:
        return await histories.copied.requests.request(principal=customer, request_id=request.id)

    async with copying(histories, broker):
        before = await requests(1)
        await until(lambda: _all_are("cql", map(read, before)))
        await asyncio.to_thread(cassandra_server.kill)
        try:
            meanwhile = await requests(4 * BATCH)
            for request in (*before, *meanwhile):
                found = await read(request)
                assert (found.source, found.request.status) == ("postgresql", "completed")
            async with nats.connected(broker, name="test") as connected:
                await until(lambda: _waits(connected))
        finally:
            await asyncio.to_thread(cassandra_server.start)
        await until(lambda: _all_are("cql", map(read, (*before, *meanwhile))))
    for request in meanwhile:
        table = await histories.journal.requests.request(principal=customer, request_id=request.id)
        assert (await read(request)).request == table.request


async def _all_are(source: HistorySource, reading: Iterable[Awaitable[FoundRequest]]) -> bool:
    return {one.source for one in await asyncio.gather(*reading)} == {source}


async def _pay(histories: Histories, principal: Principal, wallet: str, *, times: int) -> None:
    for number in range(1, times + 1):
        await move(histories.journal, principal, "withdrawal", source=wallet, amount="0.01")
        assert (
            len((await histories.copied.transactions.page(principal=principal, wanted=ALL, limit=100)).items)
            == 1 + number
        )


async def _is_read(histories: Histories, principal: Principal) -> bool:
    return await source_of(histories, principal) == "cql"


async def _waits(connected: nats.Broker) -> bool:
    """Whether more is left in the broker than the consumer can have in its hands."""
    backlog = await connected.backlog(SUBSCRIPTION)
    return isinstance(backlog, Backlog) and backlog.waiting > BATCH
