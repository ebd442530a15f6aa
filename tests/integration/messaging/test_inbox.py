"""The inbox on PostgreSQL: each event applied once, and another one under its id never taken for a repeat."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from billfold.kernel.events import Event
from billfold.platform.messaging import cloudevents, inbox
from billfold.platform.messaging.inbox import EventDiffers, Sifted
from billfold.platform.postgres.database import Connection, Database
from tests.integration.messaging.support import fact

RECENT = 20_000
#: Fewer than go at once: so none of the others stands behind them that it would stop at.
OLD = inbox.PRUNED_MIN // 2
ONE = fact("k", 1)
OTHERS = {
    "type": msgspec.structs.replace(ONE, type="test.undone.v1"),
    "subject": msgspec.structs.replace(ONE, subject="k/2"),
    "time": msgspec.structs.replace(ONE, time=ONE.time + timedelta(microseconds=1)),
    "key": msgspec.structs.replace(ONE, key="l"),
    "data": msgspec.structs.replace(ONE, data={"number": 1, "padding": " "}),
}


async def applied(database: Database, *events: Event, consumer: str = "a") -> Sifted:
    """What a consumer finds, which applies what is new of it."""
    async with database.transaction() as connection:
        return await inbox.first_time(connection, consumer, events)


def facts(numbers: Sequence[int]) -> list[Event]:
    return [fact("k", number) for number in numbers]


async def test_what_was_applied_in_a_transaction_that_did_not_commit_is_applied_again(database: Database) -> None:
    events = facts([1, 2])
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            assert (await inbox.first_time(connection, "a", events)).new == events
            raise ZeroDivisionError
    assert await applied(database, *events) == Sifted(new=events, differing=[])
    assert await applied(database, *events) == Sifted(new=[], differing=[])
    assert await applied(database, *events, consumer="b") == Sifted(new=events, differing=[])


async def test_two_who_have_the_same_events_in_hand_apply_each_once(database: Database) -> None:
    events = facts(range(200))
    found = await asyncio.gather(
        applied(database, *events), applied(database, *events[::-1]), applied(database, *events[50:150])
    )
    assert sorted(event.id for one in found for event in one.new) == sorted(event.id for event in events)
    assert [event for one in found for event in one.differing] == []


async def test_two_who_have_different_events_under_one_id_apply_one_of_them(database: Database) -> None:
    events = facts(range(100))
    others = [msgspec.structs.replace(event, subject="another") for event in events]
    mine, theirs = await asyncio.gather(applied(database, *events), applied(database, *others[::-1]))
    assert len(mine.new) + len(theirs.new) == len(events)
    assert {event.id for event in mine.differing} == {event.id for event in theirs.new}
    assert {event.id for event in theirs.differing} == {event.id for event in mine.new}


@pytest.mark.parametrize("what", OTHERS)
async def test_an_event_with_the_id_of_another_one_differs_whatever_it_is_that_does(
    database: Database, what: str
) -> None:
    other = OTHERS[what]
    await applied(database, ONE)
    found = await applied(database, fact("k", 2), other, ONE)
    assert ([event.subject for event in found.new], found.differing) == (["k/2"], [other])
    with pytest.raises(EventDiffers, match=ONE.id):
        found.check()
    # However often it comes.
    assert await applied(database, other) == Sifted(new=[], differing=[other])
    assert await applied(database, ONE) == Sifted(new=[], differing=[])
    elsewhere = msgspec.structs.replace(other, source="/another")
    assert await applied(database, elsewhere) == Sifted(new=[elsewhere], differing=[])


@pytest.mark.parametrize("what", OTHERS)
async def test_of_two_that_come_together_under_one_id_the_first_counts(database: Database, what: str) -> None:
    other = OTHERS[what]
    assert await applied(database, ONE, other, ONE) == Sifted(new=[ONE], differing=[other])


async def test_an_event_is_the_same_one_wherever_it_comes_from_and_whatever_trace_it_is_in(database: Database) -> None:
    await applied(database, ONE)
    placed = msgspec.structs.replace(ONE, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    read = cloudevents.event(cloudevents.decode(cloudevents.encode(placed)))
    assert isinstance(read.data, msgspec.Raw)
    assert await applied(database, read, placed) == Sifted(new=[], differing=[])


async def test_what_is_known_stays_as_it_is_whatever_comes_under_its_id(database: Database) -> None:
    await applied(database, ONE)
    before = await _rows(database)
    await applied(database, ONE)
    await applied(database, OTHERS["data"])
    assert await _rows(database) == before


async def test_the_inbox_forgets_what_can_not_come_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await applied(database, *facts(range(20)))
    monkeypatch.setattr(inbox, "KEPT_DAYS", 0)
    await applied(database, fact("k", 20))
    assert len(await _rows(database)) <= 1


async def test_old_rows_are_forgotten_and_the_others_are_not_even_read(database: Database) -> None:
    async with database.connection() as connection:
        await _fill(connection, RECENT, days=inbox.KEPT_DAYS - 1)
        await _fill(connection, OLD, days=inbox.KEPT_DAYS + 1)
        before = await _read(connection)
        await inbox.first_time(connection, "reader", [ONE])
        assert await _read(connection) - before < RECENT / 10
    assert len(await _rows(database)) == RECENT + 1


async def _fill(connection: Connection, rows: int, *, days: int) -> None:
    await connection.execute(
        "INSERT INTO messaging.inbox (consumer, source, id, digest, seen_at) "
        "SELECT 'reader', '/old', $2::int || '-' || n, n, statement_timestamp() - make_interval(days => $2::int) "
        "FROM generate_series(1, $1) AS n",
        rows,
        days,
    )


async def _read(connection: Connection) -> int:
    """How many rows were read so far, by whichever way."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    found: int = await connection.fetchval(
        "SELECT seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes AS i WHERE i.relid = t.relid) "
        "FROM pg_stat_user_tables AS t WHERE schemaname = 'messaging' AND relname = 'inbox'"
    )
    return found


async def _rows(database: Database) -> list[tuple[object, ...]]:
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch("SELECT * FROM messaging.inbox")]
