"""Requests that have ended, read in their table and in the copy alike; and what keeps that copy, and empties it."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from billfold.kernel import clock, ids
from billfold.kernel.clock import SystemClock
from billfold.kernel.events import Event
from billfold.kernel.money import Money
from billfold.kernel.principal import MissingScope, Principal
from billfold.platform.cql import Session
from billfold.wallets import CqlHistory, Wallets, errors, events
from billfold.wallets.adapters.history import schema
from billfold.wallets.contracts import FoundRequest, HistoryRebuilt, HistorySource, MoneyRequest, Order
from tests import facades
from tests.integration.approvals.people import person
from tests.integration.requests.support import Office, Watch
from tests.integration.wallets.history.support import Histories, closed
from tests.integration.wallets.support import without

#: Beyond the hour after which a request expires.
TOO_LATE = timedelta(hours=2)


async def look(wallets: Wallets, by: Principal, request: MoneyRequest, *, wait_s: float = 0) -> FoundRequest:
    return await wallets.requests.request(principal=by, request_id=request.id, wait_s=wait_s)


async def source_of(histories: Histories, by: Principal, request: MoneyRequest) -> HistorySource:
    """Where it is read; wherever that is, it says what the table says."""
    found = await look(histories.copied, by, request)
    assert found.request == (await look(histories.journal, by, request)).request
    return found.source


async def ended_alike(office: Office, by: Principal) -> dict[str, MoneyRequest]:
    """One request for each way to end."""
    rich, poor = await office.wallet(by, holding="10.00"), await office.wallet(by)
    accepted = {
        "completed": await office.accept(by, source=rich, target=poor, amount="2.5"),
        "failed": await office.accept(by, source=poor, target=rich, amount="100.00"),
        "cancelled": await office.accept(by, source=rich, target=poor),
    }
    await office.wallets.requests.cancel(principal=by, request_id=accepted["cancelled"].id)
    await office.carry_out(accepted["completed"], accepted["failed"])
    accepted["expired"] = await office.accept_overdue(by, source=rich, target=poor)
    await office.sweep()
    return accepted


async def ended(office: Office, by: Principal) -> MoneyRequest:
    """One that has failed, for want of money."""
    request = await office.accept(by, source=await office.wallet(by), target=await office.wallet(by))
    await office.carry_out(request)
    return request


async def rows_of(keyspace: tuple[Session, str], owner: UUID) -> list[tuple[Any, ...]]:
    """All of an owner's in the copy, with the times at which they count as written."""
    session, name = keyspace
    now = datetime.now(UTC)
    rows = []
    # A month may end while a test runs.
    for month in sorted({schema.month_of(clock.microseconds(at)) for at in (now, now - timedelta(hours=1))})[::-1]:
        rows += await session.execute(
            f"SELECT id, status, request, WRITETIME(request) FROM {name}.requests WHERE owner = ? AND month = ?",
            owner,
            month,
        )
    return rows


# What is answered, wherever it is read.


async def test_each_end_is_told_with_all_that_belongs_to_it(
    histories: Histories, office: Office, customer: Principal, source: HistorySource
) -> None:
    requests = await ended_alike(office, customer)
    reading = await histories.of(source)
    for status, request in requests.items():
        found = await look(reading, customer, request, wait_s=30)
        assert (found.source, found.request.status, found.request.id) == (source, status, request.id)
        assert found.request.ended_at is not None
        assert (found.request.source, found.request.target) == (request.source, request.target)
        assert (found.request.transfer_id is not None) == (status == "completed")
        assert (found.request.error is not None) == (status == "failed")
    failed = (await look(reading, customer, requests["failed"])).request
    assert failed.error is not None
    assert (failed.error.code, failed.tries) == ("insufficient_funds", 1)


async def test_texts_and_amounts_come_back_as_they_were_sent(
    histories: Histories, office: Office, customer: Principal, source: HistorySource
) -> None:
    order = Order(
        source=await office.wallet(customer),
        target=await office.wallet(customer),
        money=Money(f"{10**40}.{'1' * 18}", "ETH"),
        reference="invoice 7",
        description="two\nlines, “ü” 😀",
        metadata={"order": "4711"},
    )
    accepted = await office.wallets.requests.accept(principal=customer, order=order, key="k")
    assert accepted.request is not None
    await office.carry_out(accepted.request)
    found = (await look(await histories.of(source), customer, accepted.request)).request
    assert (found.money, found.reference, found.description) == (order.money, order.reference, order.description)
    assert found.metadata == order.metadata


async def test_nobody_sees_anybody_elses(
    histories: Histories, office: Office, customer: Principal, source: HistorySource
) -> None:
    request = await ended(office, customer)
    reading = await histories.of(source)
    for stranger in (await person(office.database, "user"), await person(office.database, "treasurer")):
        with pytest.raises(errors.RequestUnknown):
            await look(reading, stranger, request)
    with pytest.raises(MissingScope):
        await look(reading, without(customer, "transfers:read"), request)


@pytest.mark.parametrize("unknown", [ids.new(), uuid4(), ids.floor_of(2**48 - 1), UUID(int=0), UUID(int=2**128 - 1)])
async def test_an_id_of_nothing_is_unknown(
    histories: Histories, customer: Principal, source: HistorySource, unknown: UUID
) -> None:
    with pytest.raises(errors.RequestUnknown):
        await (await histories.of(source)).requests.request(principal=customer, request_id=unknown)


async def test_what_is_open_is_told_as_it_is_at_that_moment(
    histories: Histories, office: Office, customer: Principal, source: HistorySource
) -> None:
    mine = await office.wallet(customer, holding="10.00")
    request = await office.accept(customer, source=mine, target=await office.wallet(customer))
    reading = await histories.of(source)
    assert (await look(reading, customer, request)).request == request
    waiting = asyncio.create_task(look(reading, customer, request, wait_s=60))
    await office.carry_out(request)
    assert (await waiting).request.status == "completed"


async def test_both_answer_byte_for_byte_the_same(histories: Histories, office: Office, customer: Principal) -> None:
    requests = await ended_alike(office, customer)
    await histories.catch_up()
    for request in requests.values():
        table, copy = await look(histories.journal, customer, request), await look(histories.copied, customer, request)
        assert (table.source, copy.source) == ("postgresql", "cql")
        assert msgspec.json.encode(copy.request) == msgspec.json.encode(table.request)


# What keeps the copy.


async def test_before_its_event_has_come_an_end_is_told_all_the_same(
    histories: Histories, office: Office, customer: Principal, cql_keyspace: tuple[Session, str]
) -> None:
    mine = await office.wallet(customer, holding="10.00")
    request = await office.accept(customer, source=mine, target=await office.wallet(customer))
    await histories.catch_up()
    # Nothing that may still change is ever copied.
    assert await rows_of(cql_keyspace, customer.owner_id) == []
    await office.carry_out(request)
    late = await look(histories.copied, customer, request)
    assert (late.source, late.request.status) == ("postgresql", "completed")
    await histories.catch_up()
    assert await look(histories.copied, customer, request) == FoundRequest(request=late.request, source="cql")


async def test_events_in_any_order_and_any_number_leave_the_same_rows(
    histories: Histories, office: Office, customer: Principal, cql_keyspace: tuple[Session, str]
) -> None:
    await ended_alike(office, customer)
    told = await histories.events()
    await histories.keeping.take(told)
    rows = await rows_of(cql_keyspace, customer.owner_id)
    assert [row[0] for row in rows] == sorted((row[0] for row in rows), reverse=True)
    assert sorted(row[1] for row in rows) == ["cancelled", "completed", "expired", "failed"]
    chance = random.Random(7)
    for _ in range(3):
        again = chance.sample(told * 2, len(told) * 2)
        await asyncio.gather(*(histories.keeping.take([event]) for event in again))
    assert await rows_of(cql_keyspace, customer.owner_id) == rows


async def test_an_event_can_not_say_what_is_not_so(histories: Histories, office: Office, customer: Principal) -> None:
    """Whoever can write to the broker names another's request, another end, or a request that never was."""
    thief = await person(office.database, "user")
    request = await ended(office, customer)
    (told,) = await _ends(histories)
    lie = {"request_id": str(request.id), "owner_id": str(thief.owner_id), "status": "completed"}
    await histories.keeping.take([msgspec.structs.replace(told, type="transfer.completed.v1", data=lie)])
    assert (await look(histories.copied, customer, request)).request.status == "failed"
    with pytest.raises(errors.RequestUnknown):
        await look(histories.copied, thief, request)
    mine = await office.wallet(customer, holding="10.00")
    waits = await office.accept(customer, source=mine, target=await office.wallet(customer))
    for subject in (str(waits.id), str(ids.new())):
        with pytest.raises(errors.RequestNotEnded):
            await histories.keeping.take([msgspec.structs.replace(told, subject=subject)])
    with pytest.raises(ids.InvalidId):
        await histories.keeping.take([msgspec.structs.replace(told, subject="'; DROP TABLE requests; --")])
    assert await source_of(histories, customer, waits) == "postgresql"


async def test_what_the_copy_does_not_say_in_our_words_is_read_in_the_table(
    histories: Histories, office: Office, customer: Principal, cql_keyspace: tuple[Session, str]
) -> None:
    request = await ended(office, customer)
    await histories.catch_up()
    assert await source_of(histories, customer, request) == "cql"
    session, keyspace = cql_keyspace
    for other in ("", "{}", '{"id": 7}'):
        await session.execute(
            f"UPDATE {keyspace}.requests SET request = ? WHERE owner = ? AND month = ? AND id = ?",
            other,
            customer.owner_id,
            schema.month_of_id(request.id),
            request.id,
        )
        assert await source_of(histories, customer, request) == "postgresql"


async def test_a_copy_that_is_not_complete_is_not_asked(
    histories: Histories, office: Office, customer: Principal
) -> None:
    """As while it is made anew after PostgreSQL went back to an earlier instant."""
    request = await ended(office, customer)
    await histories.catch_up()
    await histories.copy.tables.mark(complete=False, rebuild=ids.new())
    assert await source_of(histories, customer, request) == "postgresql"


async def test_the_copy_is_made_anew_while_requests_end(
    histories: Histories, office: Office, customer: Principal
) -> None:
    before = [await ended(office, customer) for _ in range(3)]
    # These events are lost.
    await histories.events()
    shown: list[tuple[HistoryRebuilt, int]] = []
    rebuilding = asyncio.create_task(
        histories.keeping.rebuild(progress=lambda done, total: shown.append((done, total)))
    )
    meanwhile = [await ended(office, customer)]
    while not rebuilding.done():
        meanwhile.append(await ended(office, customer))
        await histories.catch_up()
    done = await rebuilding
    await histories.catch_up()
    assert 3 <= done.requests <= 3 + len(meanwhile)
    assert shown[-1][0] == done
    for request in (*before, *meanwhile):
        assert await source_of(histories, customer, request) == "cql"


# What empties it.


async def test_the_requests_of_an_owner_who_leaves_are_erased_for_good(
    histories: Histories, office: Office, customer: Principal, cql_keyspace: tuple[Session, str]
) -> None:
    other = await person(office.database, "user")
    request, theirs = await ended(office, customer), await ended(office, other)
    told = await histories.events()
    await histories.keeping.take(told)
    # Whatever an event says of who stays.
    await histories.keeping.take([closed(customer)])
    assert await source_of(histories, customer, request) == "cql"
    open_still = await office.accept(
        customer, source=await office.wallet(customer), target=await office.wallet(customer)
    )
    await histories.leave(customer)
    await histories.catch_up()
    assert await rows_of(cql_keyspace, customer.owner_id) == []
    await histories.keeping.take(told)
    # Even by somebody who does not know that the owner has left.
    late = (await look(histories.journal, customer, request)).request
    await histories.copy.requests.write([(customer.owner_id, late)])
    # And what ends later.
    await office.carry_out(open_still)
    await office.sweep(TOO_LATE)
    await histories.catch_up()
    assert await rows_of(cql_keyspace, customer.owner_id) == []
    await histories.keeping.rebuild(progress=lambda *_: None)
    assert await rows_of(cql_keyspace, customer.owner_id) == []
    # The record is the table; and others keep theirs.
    assert await source_of(histories, customer, request) == "postgresql"
    assert await source_of(histories, other, theirs) == "cql"


async def test_a_worker_whose_clock_is_behind_erases_all_the_same(
    histories: Histories, office: Office, customer: Principal, cql_keyspace: tuple[Session, str]
) -> None:
    behind = Watch()
    behind.ahead = -timedelta(hours=1)
    keeping = histories.kept_by(cql_keyspace, behind)
    request = await ended(office, customer)
    await keeping.take(await histories.events())
    assert [row[0] for row in await rows_of(cql_keyspace, customer.owner_id)] == [request.id]
    await histories.leave(customer)
    await keeping.take(await histories.events())
    assert await rows_of(cql_keyspace, customer.owner_id) == []
    # Even by somebody who does not know that the owner has left.
    late = (await look(histories.journal, customer, request)).request
    await histories.copy.requests.write([(customer.owner_id, late)])
    assert await rows_of(cql_keyspace, customer.owner_id) == []


async def test_what_the_copy_keeps_no_longer_is_read_in_the_table(
    histories: Histories, office: Office, customer: Principal, cql_keyspace: tuple[Session, str]
) -> None:
    session, keyspace = cql_keyspace
    new = await ended(office, customer)
    office.clock.ahead = -timedelta(days=40)
    old = await ended(office, customer)
    copy = CqlHistory(session=session, ledger=histories.ledger, keyspace=keyspace, ttl_days=30, clock=SystemClock())
    identity = facades.identity(histories.database)
    short = Wallets(database=histories.database, ledger=histories.ledger, identity=identity, history=copy)
    assert short.history is not None
    assert (await short.history.rebuild(progress=lambda *_: None)).requests == 1
    await short.history.take(await histories.events())
    assert (await look(short, customer, new)).source == "cql"
    assert (await look(short, customer, old)).source == "postgresql"
    ((left_s,),) = await session.execute(
        f"SELECT TTL(request) FROM {keyspace}.requests WHERE owner = ? AND month = ? AND id = ?",
        customer.owner_id,
        schema.month_of_id(new.id),
        new.id,
    )
    assert 29 < left_s / 86_400 <= 30
    # For another time than the copy was made for, it can't be taken.
    assert await source_of(histories, customer, new) == "postgresql"


async def _ends(histories: Histories) -> list[Event]:
    return [event for event in await histories.events() if event.type in events.REQUEST_ENDED]
