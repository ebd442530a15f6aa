"""Sinks: what the audit has is there once and whole, whoever of sink, worker and broker is killed when."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from billfold import audit as audits
from billfold.app import settings
from billfold.app import sinks as app_sinks
from billfold.app.supervisor import diagnosis_servers
from billfold.audit import Audit, errors
from billfold.audit.adapters import sinks_mongodb
from billfold.audit.contracts import AuditRecord, Origin
from billfold.audit.workers import sinks as feeding
from billfold.kernel import ids
from billfold.platform import host
from billfold.platform.messaging.brokers import nats, streams
from billfold.platform.postgres.database import Database
from tests import master_keys, servers, workers
from tests.integration.audit import sinks, support
from tests.integration.audit.sinks import Called, Kept, KeptInMongodb, KeptInOpensearch

COUNT = 3_000
KILLS = 2


def mongodb(request: pytest.FixtureRequest) -> KeptInMongodb:
    server: servers.MongoServer = request.getfixturevalue("mongo_server")
    database = f"t{ids.new().hex}"
    sink = audits.mongodb(url=server.url, user=None, password=None, tls_ca=None, database=database, collection="audit")
    return KeptInMongodb(server, sink, database)


def opensearch(request: pytest.FixtureRequest) -> KeptInOpensearch:
    server: servers.OpenSearchServer = request.getfixturevalue("opensearch_server")
    index = f"t{ids.new().hex}"
    sink = audits.opensearch(url=server.url, user=None, password=None, tls_ca=None, index=index)
    return KeptInOpensearch(server, sink, index)


MADE: Mapping[str, Callable[[pytest.FixtureRequest], Kept]] = {"mongodb": mongodb, "opensearch": opensearch}


@pytest.fixture(params=MADE)
def kept(request: pytest.FixtureRequest) -> Kept:
    return MADE[request.param](request)


@pytest.fixture(autouse=True)
def without_sockets_left() -> Iterator[None]:
    """MongoDB's client leaves a socket to the collector when it is closed while it connects."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def named(kept: Kept) -> Called:
    return Called(kept.sink, f"t{ids.new().hex}")


def record(position: int = 0, *, id_: str = "id-0", data: Any = None) -> AuditRecord:
    origin = Origin(channel="api", address="192.0.2.1", owner_id="somebody")
    return AuditRecord(
        position=position,
        type="wallet.frozen.v1",
        source="/billfold/wallets",
        id=id_,
        subject="a wallet",
        time="2026-01-31T12:00:00.123456Z",
        outcome="done",
        origin=origin,
        data={"owner_id": "another"} if data is None else data,
    )


async def test_a_document_is_what_the_record_says(kept: Kept) -> None:
    async with kept.sink.opened() as target:
        await target.write([record(7)])
        assert (await target.examine()).split()[-1][0].isdigit()
    (found,) = await sinks.until_there(kept, 1)
    assert {name: found[name] for name in ("position", "type", "id", "subject", "time", "outcome", "data")} == {
        "position": 7,
        "type": "wallet.frozen.v1",
        "id": "id-0",
        "subject": "a wallet",
        "time": "2026-01-31T12:00:00.123456Z",
        "outcome": "done",
        "data": {"owner_id": "another"},
    }
    assert (found["_id"], found["actor"], found["owner"]) == ("/billfold/wallets/id-0", "somebody", "another")
    assert found["origin"]["address"] == "192.0.2.1"


async def test_what_comes_again_or_late_changes_nothing(kept: Kept) -> None:
    async with kept.sink.opened() as target:
        await target.write([record(2, data={"written": "first"})])
        await target.write([record(2, data={"written": "first"})])
        await target.write([record(1, data={"written": "late"}), record(3, id_="id-1")])
    found = await sinks.until_there(kept, 2)
    assert [(one["id"], one["position"]) for one in found] == [("id-0", 2), ("id-1", 3)]
    assert found[0]["data"] == {"written": "first"}


@pytest.mark.parametrize(
    "data",
    [
        {"$where": "1", "a.b": {"$gt": ""}, "": 0},
        {"nothing\0": "\0"},
        {"large": 2**80, "small": -(2**70), "real": 1e300},
        {f"name-{number}": number for number in range(3_000)},
        {"term": "x" * 100_000},
        ["a list", 1, None, {"time": "never"}],
        "a text",
    ],
    ids=["operators", "nul", "numbers", "names", "term", "list", "text"],
)
async def test_whatever_json_is_in_a_record_it_is_kept(kept: Kept, data: Any) -> None:
    async with kept.sink.opened() as target:
        await target.write([record(0), record(1, id_="hostile", data=data), record(2, id_="id-2", data={"time": 5})])
    found = (await sinks.until_there(kept, 3))[1]["data"]
    assert found == data or msgspec.json.decode(found) == data


async def test_deep_json_does_not_keep_others_out(kept: Kept) -> None:
    deep: Any = {}
    for _ in range(400):
        deep = {"a": [deep]}
    async with kept.sink.opened() as target:
        await target.write([record(0), record(1, id_="deep", data=deep), record(2, id_="id-2")])
    assert [one["id"] for one in await sinks.until_there(kept, 3)] == ["id-0", "deep", "id-2"]


async def test_a_sink_that_is_away_is_unavailable_and_refuses_nothing(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Waited for no longer than a look takes.
    monkeypatch.setattr(sinks_mongodb, "TIMEOUT_S", sinks_mongodb.SELECT_TIMEOUT_S)
    kept.server.kill()
    try:
        async with kept.sink.opened() as target:
            with pytest.raises(errors.SinkUnavailable):
                await target.write([record()])
            with pytest.raises(errors.SinkUnavailable):
                await target.examine()
    finally:
        kept.server.start()


async def test_every_record_arrives_in_order_from_the_first_on(
    audit: Audit, kept: Kept, named: Called, messaging: nats.Server, shared: Database
) -> None:
    await sinks.recorded(audit, 700)
    async with sinks.running(audit, named, messaging=messaging, core=shared):
        await sinks.recorded(audit, COUNT, start=700)
        found = await sinks.until_there(kept, 700 + COUNT)
        await sinks.until(lambda: _is(sinks.lag(named.name) == 0))
    assert [one["position"] for one in found] == list(range(700 + COUNT))
    assert [one["id"] for one in found] == [f"id-{number}" for number in range(700 + COUNT)]


async def test_of_a_record_that_is_larger_than_its_queue_takes_the_rest_arrives_and_nobody_waits(
    audit: Audit, kept: Kept, named: Called, messaging: nats.Server, shared: Database
) -> None:
    topic = feeding.queue_of(named.name).topic
    async with messaging.connected(name="operator") as broker:
        await broker.ensure(topic)
        stream = streams.of(topic).name
        info = await broker.api(f"STREAM.INFO.{stream}", {}, dict[str, Any])
        await broker.api(f"STREAM.UPDATE.{stream}", {**info["config"], "max_msg_size": 4_096}, dict[str, Any])
    large = msgspec.structs.replace(support.fact(1), data={"text": "x" * 8_192})
    await audit.recording.add([support.fact(0), large, support.fact(2)])
    async with sinks.running(audit, named, messaging=messaging, core=shared):
        found = await sinks.until_there(kept, 3)
    assert [one["id"] for one in found] == ["id-0", "id-1", "id-2"]
    assert not found[1]["data"]


async def test_several_workers_write_each_record_once(
    audit: Audit, kept: Kept, named: Called, messaging: nats.Server, shared: Database
) -> None:
    async with (
        sinks.running(audit, named, messaging=messaging, core=shared),
        sinks.running(audit, named, messaging=messaging, core=shared),
    ):
        await sinks.recorded(audit, COUNT)
        found = await sinks.until_there(kept, COUNT)
    assert [one["position"] for one in found] == list(range(COUNT))


async def _is(so: bool) -> bool:  # noqa: FBT001 - it is one condition.
    return so


async def test_what_was_written_and_not_settled_is_not_there_twice(
    audit: Audit, kept: Kept, messaging: nats.Server, shared: Database
) -> None:
    name = f"t{ids.new().hex}"
    wrote = asyncio.Event()

    async def hang() -> None:
        wrote.set()
        await asyncio.Event().wait()

    await sinks.recorded(audit, 20)
    async with sinks.running(audit, Called(kept.sink, name, after=hang), messaging=messaging, core=shared):
        async with asyncio.timeout(sinks.PATIENCE_S):
            await wrote.wait()
    assert await sinks.until_there(kept, 1)
    before = sinks.written(name)
    async with sinks.running(audit, Called(kept.sink, name), messaging=messaging, core=shared):
        await sinks.until(lambda: _is(sinks.written(name) - before >= 20))
    assert [one["position"] for one in kept.found()] == list(range(20))


async def test_a_sink_that_is_down_only_lags_and_little_waits_in_the_broker(
    audit: Audit, kept: Kept, named: Called, messaging: nats.Server, shared: Database
) -> None:
    kept.down()
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(feeding, "WAITING_MAX", 400)
            async with sinks.running(audit, named, messaging=messaging, core=shared):
                await sinks.recorded(audit, COUNT)
                await sinks.until(lambda: _lags(messaging, named.name, COUNT))
                assert await sinks.waiting(messaging, named.name) == 400
                kept.server.start()
                found = await sinks.until_there(kept, COUNT)
    finally:
        if not kept.server.child.running:
            kept.server.start()
    assert [one["position"] for one in found] == list(range(COUNT))


async def _lags(messaging: nats.Server, name: str, count: int) -> bool:
    return sinks.lag(name) == count and await sinks.waiting(messaging, name) == 400


async def test_a_sink_that_was_emptied_is_fed_again(
    audit: Audit, kept: Kept, named: Called, messaging: nats.Server, shared: Database
) -> None:
    with pytest.raises(errors.SinkUnknown):
        await audit.feeding.again(named.name)
    await sinks.recorded(audit, 30)
    async with sinks.running(audit, named, messaging=messaging, core=shared):
        await sinks.until_there(kept, 30)
    await asyncio.to_thread(kept.empty)
    assert await audit.feeding.again(named.name) == 30
    async with sinks.running(audit, named, messaging=messaging, core=shared):
        found = await sinks.until_there(kept, 30)
    assert [one["position"] for one in found] == list(range(30))


async def test_a_worker_that_is_killed_leaves_nothing_out_and_writes_nothing_twice(
    audit: Audit, audit_database: servers.TestDatabase, core: servers.TestDatabase, kept: Kept, tmp_path: Path
) -> None:
    more = {"BILLFOLD_AUDIT__DSN": audit_database.app_dsn, **kept.settings}
    # Its queue has the sink's own name, so the broker is this test's own.
    with servers.running_nats(tmp_path / "nats") as broker:
        for round_ in range(KILLS):
            await sinks.recorded(audit, COUNT, start=round_ * COUNT)
            async with workers.running_worker(core, broker, keys=master_keys.shared(), more=more) as process:
                # It is in the middle of the rest by now.
                await sinks.until_there(kept, round_ * COUNT + 1)
                process.kill()
                await process.wait()
        async with workers.running_worker(core, broker, keys=master_keys.shared(), more=more):
            found = await sinks.until_there(kept, KILLS * COUNT)
    assert [one["position"] for one in found] == list(range(KILLS * COUNT))
    assert [one["id"] for one in found] == [f"id-{number}" for number in range(KILLS * COUNT)]


async def test_the_doctor_says_whether_a_sink_answers(kept: Kept) -> None:
    tree = settings.load(environ=kept.settings).settings.audit.sinks
    (found,) = [finding async for finding in diagnosis_servers.audit_sinks(tree)]
    assert found.state == "ok"
    assert found.found.startswith(f"{kept.sink.name}: ")
    (url,) = [name for name in kept.settings if name.endswith("__URL")]
    nowhere = kept.settings[url].replace(str(kept.server.port), str(host.free_port()))
    tree = settings.load(environ={**kept.settings, url: nowhere}).settings.audit.sinks
    (found,) = [finding async for finding in diagnosis_servers.audit_sinks(tree)]
    assert (found.check, found.state) == ("audit sink", "warn")


async def test_what_is_no_address_is_said_at_the_start(kept: Kept) -> None:
    (url,) = [name for name in kept.settings if name.endswith("__URL")]
    tree = settings.load(environ={url: "somewhere"}).settings.audit.sinks
    with pytest.raises(settings.SettingInvalid, match=r"audit\.sinks\.\w+\.url can't be used"):
        app_sinks.of(tree)
