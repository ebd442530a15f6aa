"""A request that is carried out later is one trace, over every process that has to do with it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from billfold.kernel.events import Event
from billfold.platform.messaging import topics
from billfold.platform.messaging.brokers import nats
from billfold.platform.messaging.consuming import EventConsumer
from billfold.platform.messaging.port import Subscription
from billfold.platform.postgres.database import Database
from billfold.platform.telemetry import traces
from tests import master_keys, otlp, servers
from tests.integration.api import support as api
from tests.integration.messaging.brokers.test_consuming import consumed
from tests.integration.messaging.conftest import without_streams
from tests.integration.messaging.support import until
from tests.workers import running_worker

DEPOSIT = "POST /api/v1/wallets/{wallet_id}/deposits"


@pytest.fixture(scope="module")
def collector_server() -> Iterator[otlp.Collector]:
    with otlp.collecting() as collector:
        yield collector


@pytest.mark.parametrize("is_told", [True, False])
async def test_the_way_over_the_broker_to_its_end_is_one_trace(
    office_database: servers.TestDatabase,
    nats_server: servers.NatsServer,
    collector_server: otlp.Collector,
    tmp_path: Path,
    *,
    is_told: bool,
) -> None:
    server = nats.Server(url=nats_server.url, user=nats_server.user, password=nats_server.password)
    await without_streams(server)
    more = {"BILLFOLD_TRACES__ENDPOINT": collector_server.url, "BILLFOLD_TRACES__SAMPLE": "0"}
    key = await api.bootstrapped(office_database)
    seen: list[Event] = []

    async def handle(events: Sequence[Event]) -> None:
        seen.extend(events)

    async def all_seen() -> bool:
        return len(seen) == 3

    database = await Database.connect(office_database.app_dsn, name="test")
    reader = Subscription(name="reader", topic=topics.EVENTS, types=("transfer.completed.v1",))
    consumer = EventConsumer(messaging=server, database=database, subscription=reader, handle=handle)
    trace_id = secrets.token_hex(16)
    with api.running_api(office_database, tmp_path, traces__endpoint=more["BILLFOLD_TRACES__ENDPOINT"]) as running:
        caller = running.caller(key)
        wallet = await asyncio.to_thread(lambda: caller.post("/wallets", {"name": "Ada"}).json()["id"])
        # All three are carried out together, and one of them is traced.
        answers = [
            await asyncio.to_thread(
                caller.post,
                f"/wallets/{wallet}/deposits",
                {"money": {"amount": "5.00", "asset": "USD"}},
                prefer="respond-async",
                traceparent=f"00-{trace}-{'c' * 16}-{flags}",
            )
            for trace, flags in ((secrets.token_hex(16), "00"), (trace_id, "01"), (secrets.token_hex(16), "00"))
        ]
    assert {answer.status_code for answer in answers} == {202}
    async with database.connection() as connection:
        if is_told:
            # It takes a worker longer to start than it takes the next one to look for itself.
            await connection.execute("UPDATE wallets.requests SET due_at = now() + interval '1 hour'")
        else:
            await connection.execute("DELETE FROM messaging.outbox")
    async with (
        running_worker(office_database, nats_server, keys=master_keys.file_in(tmp_path), more=more),
        traces.recording(endpoint=collector_server.url, share=0, service="reader", version="1"),
        consumed(consumer),
    ):
        await until(all_seen)
    await database.close()
    traced = [event for event in seen if event.traceparent is not None]
    assert len(traced) == 1
    assert traced[0].subject == answers[1].json()["id"]
    names = [DEPOSIT, "carry out request", "ledger Post", "process events"]
    spans = await asyncio.to_thread(collector_server.wait_for, trace_id, names)
    assert lineage(spans, "reader", "process events") == [
        "reader: process events",
        "billfold-worker: publish events",
        "billfold-worker: carry out request",
        *(["billfold-worker: publish events"] if is_told else []),
        f"billfold-api: {DEPOSIT}",
    ]
    assert lineage(spans, "billfold-worker", "ledger Post")[1] == "billfold-worker: carry out request"


def lineage(spans: dict[str, otlp.Recorded], service: str, name: str) -> list[str]:
    """The span of that name and those above it, each with the process that told of it."""
    found = next(span for span in spans.values() if (span.service, span.name) == (service, name))
    above = [f"{found.service}: {found.name}"]
    while found.parent_id in spans:
        found = spans[found.parent_id]
        above.append(f"{found.service}: {found.name}")
    return above
