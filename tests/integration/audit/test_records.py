"""Rows are only added: each fact once, in one order without a gap, and nobody changes or removes one."""

import asyncio

import asyncpg
import msgspec
import pytest

from billfold.audit import Audit, errors
from billfold.audit.contracts import Filter
from billfold.audit.service.recording import Added
from billfold.platform.postgres.database import Database
from tests import servers
from tests.integration.audit import support

TABLES = ("records", "subtrees", "heads", "publications", "signing_keys")


async def positions(database: Database) -> list[int]:
    async with database.connection() as connection:
        return [row[0] for row in await connection.fetch("SELECT position FROM audit.records ORDER BY position")]


async def test_each_fact_is_recorded_once_however_often_it_arrives(audit: Audit, database: Database) -> None:
    assert (await audit.recording.add(support.facts(3))).count == 3
    assert (await audit.recording.add([*support.facts(5), *support.facts(2)])).count == 2
    assert await audit.recording.add(support.facts(5)) == Added(0, [])
    assert await positions(database) == list(range(5))


async def test_processes_that_record_at_once_leave_no_gap_and_nothing_twice(audit: Audit, database: Database) -> None:
    batches = [support.facts(20, start=start) for start in range(0, 60, 10)]
    added = await asyncio.gather(*(audit.recording.add(batch) for batch in batches))
    assert sum(one.count for one in added) == 70
    assert await positions(database) == list(range(70))


async def test_rows_of_a_batch_keep_their_order(audit: Audit) -> None:
    await audit.recording.add(support.facts(4))
    page = await audit.reading.page(by=support.AUDITOR, asked=Filter())
    assert [record.id for record in page.items] == ["id-3", "id-2", "id-1", "id-0"]


@pytest.mark.parametrize(
    "subject", ["/api/v1/users/\0", "/" + "界" * 999, "/" + "".join(chr(0x4E00 + 7 * place) for place in range(2_900))]
)
async def test_a_subject_that_no_index_takes_is_kept_as_it_is_and_found(audit: Audit, subject: str) -> None:
    told = msgspec.structs.replace(support.fact(1), subject=subject)
    assert (await audit.recording.add([support.fact(0), told])).count == 2
    page = await audit.reading.page(by=support.AUDITOR, asked=Filter(subject=subject))
    assert [record.subject for record in page.items] == [subject]


async def test_what_is_known_by_nothing_that_could_be_kept_is_refused(audit: Audit) -> None:
    for wrong in ({"id": "a\0"}, {"id": "x" * 1_001}, {"source": "\0"}):
        with pytest.raises(errors.FactInvalid):
            await audit.recording.add([support.fact(0), msgspec.structs.replace(support.fact(1), **wrong)])
    assert (await audit.recording.add(support.facts(1))).count == 1


async def test_another_fact_under_a_known_id_changes_nothing_and_keeps_no_other_from_being_recorded(
    audit: Audit, database: Database
) -> None:
    await audit.recording.add(support.facts(2))
    other = msgspec.structs.replace(support.fact(1), outcome="insufficient_funds")
    assert await audit.recording.add([support.fact(2), other, support.fact(3)]) == Added(2, [other])
    # Also where both come together: then the first of them counts.
    twice = msgspec.structs.replace(support.fact(4), data={"a": 1})
    assert await audit.recording.add([support.fact(4), twice]) == Added(1, [twice])
    assert await positions(database) == [0, 1, 2, 3, 4]
    page = await audit.reading.page(by=support.AUDITOR, asked=Filter())
    assert [(record.outcome, record.data) for record in page.items] == [("done", {})] * 5


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement", ["UPDATE audit.{} SET {} = {}", "DELETE FROM audit.{}", "TRUNCATE audit.{} CASCADE"]
)
async def test_neither_the_application_nor_the_owner_changes_a_row(
    audit: Audit, audit_database: servers.TestDatabase, table: str, statement: str
) -> None:
    await audit.recording.add(support.facts(300))
    await audit.sealing.seal()
    column = {"records": "outcome", "subtrees": "hash", "heads": "note", "publications": "place"}.get(table, "public")
    for dsn, refusal in (
        (audit_database.app_dsn, asyncpg.InsufficientPrivilegeError),
        (audit_database.owner_dsn, asyncpg.RestrictViolationError),
    ):
        connection = await asyncpg.connect(dsn)
        try:
            with pytest.raises(refusal):
                await connection.execute(statement.format(table, column, column))
        finally:
            await connection.close()


async def test_who_only_reads_sees_no_content_and_no_key(audit: Audit, audit_database: servers.TestDatabase) -> None:
    await audit.recording.add(support.facts(1))
    connection = await asyncpg.connect(audit_database.readonly_dsn)
    try:
        assert await connection.fetchval("SELECT count(position) FROM audit.records") == 1
        for hidden in ("SELECT content FROM audit.records", "SELECT sealed FROM audit.signing_keys"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(hidden)
    finally:
        await connection.close()
