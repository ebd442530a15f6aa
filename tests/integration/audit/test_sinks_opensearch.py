"""A real OpenSearch as a sink: killed under load, full of its own rules, and asked what it has."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from billfold import audit as audits
from billfold.audit import Audit, errors
from billfold.kernel import ids
from billfold.kernel.facts import Fact
from billfold.platform.messaging.brokers import nats
from billfold.platform.postgres.database import Database
from tests import servers
from tests.integration.audit import sinks, support
from tests.integration.audit.sinks import Called, KeptInOpensearch
from tests.integration.audit.test_sinks import record

COUNT = 6_000


@pytest.fixture
def index() -> str:
    return f"t{ids.new().hex}"


@pytest.fixture
def kept(opensearch_server: servers.OpenSearchServer, index: str) -> KeptInOpensearch:
    sink = audits.opensearch(url=opensearch_server.url, user=None, password=None, tls_ca=None, index=index)
    return KeptInOpensearch(opensearch_server, sink, index)


async def test_killed_under_load_it_has_each_record_once_afterwards(
    audit: Audit, kept: KeptInOpensearch, messaging: nats.Server, shared: Database
) -> None:
    named = Called(kept.sink, f"t{ids.new().hex}")
    async with sinks.running(audit, named, messaging=messaging, core=shared):
        for part in range(3):
            await sinks.recorded(audit, COUNT // 3, start=part * COUNT // 3)
            await sinks.until_there(kept, part * COUNT // 3 + 1)
            await asyncio.to_thread(kept.server.kill)
            await asyncio.to_thread(kept.server.start)
        found = await sinks.until_there(kept, COUNT)
    assert [one["position"] for one in found] == list(range(COUNT))
    assert [one["id"] for one in found] == [f"id-{number}" for number in range(COUNT)]


async def test_words_and_fields_are_found_and_names_in_the_data_become_no_fields(
    kept: KeptInOpensearch, index: str
) -> None:
    async with kept.sink.opened() as target:
        await target.write([record(0, data={"name": "Ada Byron", "time": "never"}), record(1, id_="id-1", data=[1])])
    for query in ({"match": {"words": "byron"}}, {"range": {"position": {"lt": 1}}}, {"term": {"id": "id-0"}}):
        (hit,) = kept.ask("POST", f"{index}-*/_search", {"query": query})["hits"]["hits"]
        assert "words" not in hit["_source"]
    address = {"query": {"term": {"origin.address": "192.0.2.1"}}}
    assert len(kept.ask("POST", f"{index}-*/_search", address)["hits"]["hits"]) == 2
    (mapping,) = kept.ask("GET", f"{index}-*/_mapping").values()
    assert "properties" not in mapping["mappings"]["properties"]["data"]


async def test_each_month_has_an_index_of_its_own(kept: KeptInOpensearch, index: str) -> None:
    async with kept.sink.opened() as target:
        await target.write([record(0)])
    assert list(kept.ask("GET", f"{index}-*")) == [f"{index}-2026.01"]


async def test_what_an_operator_has_changed_in_the_template_stays(kept: KeptInOpensearch, index: str) -> None:
    async with kept.sink.opened() as target:
        await target.write([record(0)])
    found = kept.ask("GET", f"_index_template/{index}")["index_templates"][0]["index_template"]
    changed = {**found, "template": {**found["template"], "settings": {"index": {"number_of_replicas": "0"}}}}
    kept.ask("PUT", f"_index_template/{index}", changed)
    async with kept.sink.opened() as target:
        await target.write([record(1, id_="id-1")])
    assert kept.ask("GET", f"_index_template/{index}")["index_templates"][0]["index_template"] == changed


async def test_a_document_that_is_refused_is_told_and_its_neighbours_are_there(
    kept: KeptInOpensearch, audit: Audit, messaging: nats.Server, shared: Database, index: str
) -> None:
    # An operator's own mapping, which takes only numbers for subjects.
    strict = {"dynamic": "false", "properties": {"subject": {"type": "long"}, "position": {"type": "long"}}}
    kept.ask("PUT", f"{index}-2026.01", {"mappings": strict})
    await audit.recording.add([*_facts("1", 0), *_facts("no number", 10), *_facts("2", 20)])
    named = Called(kept.sink, f"t{ids.new().hex}")
    async with sinks.running(audit, named, messaging=messaging, core=shared):
        await sinks.until_there(kept, 20)
        await sinks.until(lambda: _refused(shared, named.name, 10))
    assert [one["subject"] for one in kept.found()] == ["1"] * 10 + ["2"] * 10
    async with shared.connection() as connection:
        told = await connection.fetch(
            "SELECT DISTINCT reason, detail FROM messaging.refused_events WHERE consumer = $1", f"audit-{named.name}"
        )
    assert {row["reason"] for row in told} == {"audit_sink_refused"}
    assert all("mapper_parsing_exception" in row["detail"] for row in told)


async def test_an_index_that_may_not_be_written_now_refuses_nothing(kept: KeptInOpensearch, index: str) -> None:
    async with kept.sink.opened() as target:
        await target.write([record(0)])
        kept.ask("PUT", f"{index}-2026.01/_settings", {"index.blocks.write": True})
        with pytest.raises(errors.SinkUnavailable, match="cluster_block_exception"):
            await target.write([record(1, id_="id-1")])
        kept.ask("PUT", f"{index}-2026.01/_settings", {"index.blocks.write": None})
        await target.write([record(1, id_="id-1")])
    assert len(kept.found()) == 2


def _facts(subject: str, start: int) -> list[Fact]:
    return [msgspec.structs.replace(fact, subject=subject) for fact in support.facts(10, start=start)]


async def _refused(database: Database, name: str, count: int) -> bool:
    async with database.connection() as connection:
        found: int = await connection.fetchval(
            "SELECT count(*) FROM messaging.refused_events WHERE consumer = $1", f"audit-{name}"
        )
    return found == count
