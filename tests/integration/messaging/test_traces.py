"""One transfer is one trace, from who asked for it over the broker to whoever takes its event."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from billfold.app.migrate import SETS
from billfold.kernel.events import Event
from billfold.platform.messaging import topics
from billfold.platform.messaging.brokers import nats
from billfold.platform.messaging.consuming import EventConsumer
from billfold.platform.messaging.port import Subscription
from billfold.platform.postgres.database import Database
from billfold.platform.telemetry import traces
from tests import master_keys, otlp, servers
from tests.integration.api import support as api
from tests.integration.messaging.queue import message, new_wallet, opened_wallets, plain
from tests.integration.messaging.support import until
from tests.workers import running_worker

MONEY = {"amount": "5.00", "asset": "USD"}
DEPOSIT = "POST /api/v1/wallets/{wallet_id}/deposits"


@pytest.fixture(scope="module")
def collector_server() -> Iterator[otlp.Collector]:
    with otlp.collecting() as collector:
        yield collector


@pytest.fixture
def whole_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(SETS)


async def test_a_transfer_is_one_trace_from_the_request_to_the_consumer_of_its_event(
    whole_database: servers.TestDatabase,
    nats_server: servers.NatsServer,
    server: nats.Server,
    collector_server: otlp.Collector,
    tmp_path: Path,
) -> None:
    more = {"BILLFOLD_TRACES__ENDPOINT": collector_server.url, "BILLFOLD_TRACES__SAMPLE": "0"}
    key = await api.bootstrapped(whole_database)
    seen: list[Event] = []

    async def handle(events: Sequence[Event]) -> None:
        seen.extend(events)

    database = await Database.connect(whole_database.app_dsn, name="test")
    consumer = EventConsumer(
        messaging=server,
        database=database,
        subscription=Subscription(name="reader", topic=topics.EVENTS, types=("transfer.",)),
        handle=handle,
    )
    with api.running_api(
        whole_database, tmp_path, traces__endpoint=collector_server.url, traces__sample="0"
    ) as running:
        caller = running.caller(key)
        wallet = await asyncio.to_thread(lambda: caller.post("/wallets", {"name": "Ada"}).json()["id"])
        trace_id = secrets.token_hex(16)
        sent = f"00-{trace_id}-{'c' * 16}-01"
        body = {"money": MONEY}
        answers = [
            await asyncio.to_thread(caller.post, f"/wallets/{wallet}/deposits", body, traceparent=header)
            for header in ("", sent, "")
        ]
        assert {answer.status_code for answer in answers} == {201}
    async with (
        running_worker(whole_database, nats_server, keys=master_keys.file_in(tmp_path), more=more),
        traces.recording(endpoint=collector_server.url, share=0, service="reader", version="1"),
    ):
        taking = asyncio.create_task(consumer.run())

        async def all_seen() -> bool:
            return len(seen) == 3

        await until(all_seen)
        taking.cancel()
        await asyncio.wait([taking])
    await database.close()
    traced = [event for event in seen if event.traceparent is not None]
    assert [event.id for event in traced] == [answers[1].json()["id"]], "its neighbours are of no trace"
    names = [DEPOSIT, "ledger Post", "publish events", "process events"]
    spans = await asyncio.to_thread(collector_server.wait_for, trace_id, names)
    assert lineage(spans, "process events") == [
        ("reader", "process events"),
        ("billfold-worker", "publish events"),
        ("billfold-api", "ledger Post"),
        ("billfold-api", DEPOSIT),
    ]


async def test_a_confirmed_transaction_goes_on_in_its_senders_trace(
    whole_database: servers.TestDatabase,
    nats_server: servers.NatsServer,
    server: nats.Server,
    collector_server: otlp.Collector,
    tmp_path: Path,
) -> None:
    async with opened_wallets(whole_database) as wallets:
        wallet = await new_wallet(wallets)
    trace_id = secrets.token_hex(16)
    sent = message(plain(wallet, "1.00", sender_id="1"))
    async with nats.connected(server, name="sender") as broker:
        await broker.ensure(topics.CONFIRMED)
        headers = {"traceparent": f"00-{trace_id}-{'c' * 16}-01"}
        await broker.publish([msgspec.structs.replace(sent, headers=headers)])
    more = {"BILLFOLD_TRACES__ENDPOINT": collector_server.url}
    async with running_worker(whole_database, nats_server, keys=master_keys.file_in(tmp_path), more=more):
        names = ["process confirmed-transactions", "publish events"]
        spans = await asyncio.to_thread(collector_server.wait_for, trace_id, names)
    root = next(span for span in spans.values() if span.name == "process confirmed-transactions")
    assert root.parent_id == "c" * 16
    assert [name for _, name in lineage(spans, "publish events")][-1] == root.name
    assert wallet not in json.dumps([span.attributes for span in spans.values()])


def lineage(spans: dict[str, otlp.Recorded], name: str) -> list[tuple[str, str]]:
    """The span of that name and those above it, each with the process that told of it."""
    found = next(span for span in spans.values() if span.name == name)
    above = [(found.service, found.name)]
    while found.parent_id in spans:
        found = spans[found.parent_id]
        above.append((found.service, found.name))
    return above
