"""What is sealed can be proven, and what the database's own superuser does to it is found."""

import asyncio
import base64
import itertools
from pathlib import Path
from typing import Any

import asyncpg
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from billfold.app.migrate import AUDIT_SETS
from billfold.audit import Audit, errors
from billfold.audit.domain import exports, merkle, notes
from billfold.audit.service import signing
from billfold.audit.store import heads
from billfold.kernel import paging
from billfold.platform.postgres.database import Database
from tests import facades, master_keys, servers
from tests.commands import Billfold
from tests.integration.audit import support
from tests.integration.messaging.support import somebody_waits, until

TAMPERING = {
    "changed": "UPDATE audit.records SET content = decode(replace(encode(content, 'hex'), '3132', '3133'), 'hex')"
    " WHERE position = 4",
    "removed": "DELETE FROM audit.records WHERE position = 4",
    "cut short": "DELETE FROM audit.records WHERE position = 9",
    "reordered": "UPDATE audit.records SET position = 1009 - position WHERE position IN (4, 5);"
    "UPDATE audit.records SET position = position - 1000 WHERE position > 1000",
    "removed and moved up": "DELETE FROM audit.records WHERE position = 4;"
    "UPDATE audit.records SET position = position - 1 WHERE position > 4",
    "another head": "UPDATE audit.heads SET note = replace(note, split_part(note, chr(10), 3),"
    " encode(decode(repeat('00', 32), 'hex'), 'base64'))",
}


async def test_a_head_covers_what_was_recorded_and_is_made_once(audit: Audit) -> None:
    assert await audit.sealing.seal() is None
    await audit.recording.add(support.facts(3))
    sealed = await audit.sealing.seal()
    assert sealed is not None
    assert sealed.size == 3
    assert await audit.sealing.seal() is None
    key = notes.read_key((await audit.sealing.public_keys())[0])
    assert signing.signed_by(notes.read(sealed.note), [key]) == key


async def test_more_heads_are_printed_than_a_page_has_and_that_there_are_more_is_said(
    audit_database: servers.TestDatabase, audit: Audit, tmp_path: Path
) -> None:
    count = paging.LIMIT_MAX + 5
    for number in range(count):
        await audit.recording.add(support.facts(1, start=number))
        await audit.sealing.seal()
    billfold = Billfold(
        {
            "BILLFOLD_POSTGRES__DSN": audit_database.app_dsn,
            "BILLFOLD_AUDIT__DSN": audit_database.app_dsn,
            "BILLFOLD_KEYS__FILE": str(master_keys.file_in(tmp_path)),
        }
    )
    for limit, shown, said in ((count - 1, count - 1, True), (count, count, False), (10 * count, count, False)):
        found = await asyncio.to_thread(billfold, "audit", "heads", "--limit", str(limit))
        assert [note.head.size for note in notes.read_all(found.out)] == list(range(count, count - shown, -1))
        assert ("There are more than these" in found.err) is said
    assert "There are more than these 10;" in (await asyncio.to_thread(billfold, "audit", "heads")).err


async def test_an_export_is_whole_over_all_levels_of_the_tree(audit: Audit) -> None:
    sizes = (1, 255, 256, 257, 700, 66_000)
    for before, after in itertools.pairwise((0, *sizes)):
        await audit.recording.add(support.facts(after - before, start=before))
        await audit.sealing.seal()
    found = await support.checked(audit)
    assert (found.faults, found.records, found.heads) == ([], 66_000, len(sizes))


async def test_sealers_at_once_make_one_key_and_one_head(database: Database, audit: Audit) -> None:
    await audit.recording.add(support.facts(5))
    others = [Audit(database=database, envelope=facades.ENVELOPE) for _ in range(4)]
    made = await asyncio.gather(*(other.sealing.seal() for other in others))
    assert len([head for head in made if head is not None]) == 1
    assert len(await audit.sealing.public_keys()) == 1
    assert (await support.checked(audit)).faults == []


async def test_a_sealer_waits_for_the_one_that_is_about_to_write_its_head(
    database: Database, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, about_to, go_on = heads.insert, asyncio.Event(), asyncio.Event()

    async def slow(*given: Any) -> None:
        monkeypatch.setattr(heads, "insert", insert)
        about_to.set()
        await go_on.wait()
        await insert(*given)

    async def waits() -> bool:
        return second.done() or await somebody_waits(database)

    await audit.sealing.public_keys()
    await audit.recording.add(support.facts(5))
    monkeypatch.setattr(heads, "insert", slow)
    first = asyncio.create_task(audit.sealing.seal())
    await about_to.wait()
    second = asyncio.create_task(Audit(database=database, envelope=facades.ENVELOPE).sealing.seal())
    await until(waits)
    go_on.set()
    made = await first
    assert made is not None
    assert (made.size, await second) == (5, None)
    assert (await support.checked(audit)).faults == []


@pytest.mark.parametrize("tampering", TAMPERING.values(), ids=TAMPERING)
async def test_what_a_superuser_does_to_the_rows_is_found(
    audit: Audit, audit_database: servers.TestDatabase, postgres_server: servers.PostgresServer, tampering: str
) -> None:
    await audit.recording.add(support.facts(10))
    await audit.sealing.seal()
    assert (await support.checked(audit)).faults == []
    await _as_superuser(audit_database, postgres_server, tampering)
    assert (await support.checked(audit)).faults != []


async def test_a_log_that_was_written_and_signed_anew_differs_from_a_published_head(
    audit: Audit, audit_database: servers.TestDatabase, postgres_server: servers.PostgresServer
) -> None:
    await audit.recording.add(support.facts(10))
    sealed = await audit.sealing.seal()
    assert sealed is not None
    published = notes.read(sealed.note).head
    await _as_superuser(
        audit_database,
        postgres_server,
        "DELETE FROM audit.heads; DELETE FROM audit.subtrees; DELETE FROM audit.records",
    )
    await audit.recording.add(support.facts(10, start=100))
    await audit.sealing.seal()
    assert (await support.checked(audit)).faults == []
    assert (await support.checked(audit, known=[published])).faults != []


async def test_every_record_is_proven_to_be_in_the_head(audit: Audit) -> None:
    await audit.recording.add(support.facts(600))
    with pytest.raises(errors.NotSealedYet):
        await audit.reading.prove(by=support.AUDITOR, record_id="id-0")
    await audit.sealing.seal()
    await audit.recording.add(support.facts(1, start=600))
    trusted = await support.trusted(audit)
    for position in (0, 1, 255, 256, 511, 512, 599):
        proven = await audit.reading.prove(by=support.AUDITOR, record_id=f"id-{position}")
        assert exports.check_proof(proven, trusted=trusted).faults == []
    with pytest.raises(errors.NotSealedYet):
        await audit.reading.prove(by=support.AUDITOR, record_id="id-600")
    with pytest.raises(errors.RecordUnknown):
        await audit.reading.prove(by=support.AUDITOR, record_id="id-601")


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 400), min_size=2, max_size=5))
async def test_each_head_is_proven_to_begin_the_later_ones(
    postgres_server: servers.PostgresServer, steps: list[int]
) -> None:
    database = await Database.connect(postgres_server.create_database(AUDIT_SETS).app_dsn, name="test")
    audit = Audit(database=database, envelope=facades.ENVELOPE)
    sizes = list(itertools.accumulate(steps))
    try:
        for size, step in zip(sizes, steps, strict=True):
            await audit.recording.add(support.facts(step, start=size - step))
            await audit.sealing.seal()
        for first, second in itertools.combinations_with_replacement(sizes, 2):
            proven = await audit.reading.consistency(first=first, second=second)
            assert merkle.is_consistent(
                first=first,
                second=second,
                proof=[base64.b64decode(step) for step in proven.proof],
                first_root=notes.read(proven.first).head.root,
                second_root=notes.read(proven.second).head.root,
            )
        with pytest.raises(errors.HeadUnknown):
            await audit.reading.consistency(first=sizes[-1] + 1, second=sizes[-1] + 1)
    finally:
        await database.close()


async def _as_superuser(database: servers.TestDatabase, server: servers.PostgresServer, statements: str) -> None:
    connection = await asyncpg.connect(server.admin_dsn, database=database.name)
    try:
        await connection.execute(f"SET session_replication_role = replica; {statements}")
    finally:
        await connection.close()
