"""Events that a consumer has refused, and that an operator works off: on every broker, with what its consumer does."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import msgspec
import pytest

from billfold.kernel import ids, origin
from billfold.kernel.clock import SystemClock
from billfold.kernel.errors import Invalid
from billfold.kernel.events import Event
from billfold.kernel.origin import Origin
from billfold.kernel.paging import InvalidCursor
from billfold.kernel.principal import MissingScope, Principal
from billfold.platform.messaging import cloudevents, consuming, inbox, outbox, topics, working_off
from billfold.platform.messaging.consuming import EventConsumer
from billfold.platform.messaging.port import Message, Messaging
from billfold.platform.messaging.refused import RefusedEvent
from billfold.platform.messaging.working_off import RefusedEventClosed, RefusedEventUnknown, WorkingOff
from billfold.platform.postgres.database import Database
from tests.integration.messaging.brokers.test_consuming import SUBSCRIPTION, _number, _publish, consumed, fact_of
from tests.integration.messaging.support import until

OPERATOR = Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=frozenset({working_off.SCOPE}))
NOBODY = Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=frozenset({"operator"}))


class Books:
    """What a consumer keeps: each number that it has applied, in the transaction of its inbox."""

    def __init__(self, database: Database, messaging: Messaging) -> None:
        self.database = database
        self.messaging = messaging
        self.working_off = WorkingOff(database=database, clock=SystemClock())
        #: Numbers that it refuses, and what happens to each that it does not.
        self.refuses = {7}
        self.applied: list[int] = []
        self.meanwhile: Callable[[], Awaitable[None]] = _nothing

    def consumed(self) -> AbstractAsyncContextManager[Any]:
        return consumed(
            EventConsumer(
                messaging=self.messaging, database=self.database, subscription=SUBSCRIPTION, handle=self._handle
            )
        )

    async def _handle(self, found: Sequence[Event]) -> None:
        if self.refuses & {_number(event) for event in found}:
            raise Invalid("Nobody wants sevens.")
        async with self.database.transaction() as connection:
            sifted = await inbox.first_time(connection, "counter", found)
        self.applied.extend(map(_number, sifted.new))
        if any(_number(event) == 7 for event in found):
            await self.meanwhile()
        sifted.check()

    async def refused(self) -> RefusedEvent:
        """The one that there is."""

        async def one_is() -> bool:
            return len((await self.working_off.page(principal=OPERATOR)).items) == 1

        await until(one_is)
        (found,) = (await self.working_off.page(principal=OPERATOR)).items
        return found

    async def retry(self, refused: RefusedEvent) -> None:
        found = await self.working_off.retry(principal=OPERATOR, refused_event_id=refused.id)
        assert found.status == "retrying"

    async def has_become(self, refused: RefusedEvent, status: str) -> RefusedEvent:
        async def so() -> bool:
            return (await self.working_off.get(principal=OPERATOR, refused_event_id=refused.id)).status == status

        await until(so)
        return await self.working_off.get(principal=OPERATOR, refused_event_id=refused.id)

    async def go_on(self, number: int) -> None:
        """Let an event come, and wait until it is applied."""
        await _publish(self.messaging, [fact_of(number)])

        async def applied() -> bool:
            return number in self.applied

        await until(applied)


async def _nothing() -> None:
    pass


@pytest.fixture
def books(database: Database, messaging: Messaging, monkeypatch: pytest.MonkeyPatch) -> Books:
    monkeypatch.setattr(consuming, "FETCH_WAIT_S", 0.2)
    monkeypatch.setattr(consuming, "WANTED_PAUSE_S", 0.0)
    return Books(database, messaging)


async def test_an_event_is_applied_once_when_it_is_retried_after_its_cause_has_gone(books: Books) -> None:
    await _publish(books.messaging, [fact_of(number) for number in range(10)])
    async with books.consumed():
        refused = await books.refused()
        assert (refused.status, refused.reason, refused.consumer) == ("open", "invalid_request", "counter")
        books.refuses.clear()
        await books.go_on(10)
        await books.retry(refused)
        assert (await books.has_become(refused, "applied")).retries == 1
        assert books.applied == [number for number in range(11) if number != 7] + [7]
        for decide in (books.working_off.retry, books.working_off.discard):
            with pytest.raises(RefusedEventClosed):
                await decide(principal=OPERATOR, refused_event_id=refused.id)


async def test_an_event_that_is_retried_twice_is_applied_once(books: Books) -> None:
    await _publish(books.messaging, [fact_of(7)])
    in_hand, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        in_hand.set()
        await go_on.wait()

    async with books.consumed():
        refused = await books.refused()
        books.refuses.clear()
        books.meanwhile = wait
        await books.retry(refused)
        await in_hand.wait()
        await books.retry(refused)
        go_on.set()
        await books.has_become(refused, "applied")
        await books.go_on(8)
        await books.go_on(9)
        assert (await books.has_become(refused, "applied")).retries == 1
    assert books.applied == [7, 8, 9]


async def test_an_event_that_is_refused_again_stays_open_with_the_new_reason(books: Books) -> None:
    await _publish(books.messaging, [fact_of(7)])

    async def fail() -> None:
        raise ZeroDivisionError("a bug")

    async with books.consumed():
        refused = await books.refused()
        books.refuses.clear()
        books.meanwhile = fail
        await books.retry(refused)
        found = await books.has_become(refused, "open")
        assert (found.reason, found.retries) == ("event_failed", 1)
        assert "a bug" in found.detail
        books.meanwhile = _nothing
        await books.retry(refused)
        await books.has_become(refused, "applied")
    assert books.applied == [7]


async def test_a_try_that_ends_its_process_is_not_repeated_by_itself_and_counts_once(
    books: Books,
) -> None:
    await _publish(books.messaging, [fact_of(7)])
    in_hand = asyncio.Event()

    async def hang() -> None:
        in_hand.set()
        await asyncio.Event().wait()

    async with books.consumed():
        refused = await books.refused()
        books.refuses.clear()
        books.meanwhile = hang
        await books.retry(refused)
        await in_hand.wait()
    async with books.consumed():
        await books.go_on(8)
        await books.go_on(9)
        assert (await books.refused()).status == "retrying"
        books.meanwhile = _nothing
        await books.retry(refused)
        assert (await books.has_become(refused, "applied")).retries == 2
    assert books.applied == [7, 8, 9]


async def test_a_discarded_event_is_never_tried_and_can_still_be_read(books: Books) -> None:
    await _publish(books.messaging, [fact_of(7)])
    async with books.consumed():
        refused = await books.refused()
        books.refuses.clear()
        done = await books.working_off.discard(principal=OPERATOR, refused_event_id=refused.id)
        assert (done.status, b'"number":7' in done.content) == ("discarded", True)
        with pytest.raises(RefusedEventClosed):
            await books.working_off.retry(principal=OPERATOR, refused_event_id=refused.id)
        await books.go_on(8)
        await books.go_on(9)
    assert books.applied == [8, 9]


async def test_what_came_under_a_false_type_is_refused_for_that_again(books: Books) -> None:
    lie = Message(topic=topics.EVENTS, type="test.claimed.v1", id="lie", key="k", body=cloudevents.encode(fact_of(1)))
    async with books.messaging.connected(name="stranger") as broker:
        await broker.ensure(topics.EVENTS)
        await broker.publish([lie])
    async with books.consumed():
        refused = await books.refused()
        await books.retry(refused)
        found = await books.has_become(refused, "open")
        assert (found.reason, found.retries) == ("event_unknown", 1)
    assert books.applied == []


@pytest.mark.parametrize("comes", ["beside the first", "later"])
async def test_another_event_under_a_known_id_is_set_aside_and_those_beside_it_are_applied(
    books: Books, comes: str
) -> None:
    first = fact_of(1)
    other = msgspec.structs.replace(first, data={"number": 99})
    await _publish(books.messaging, [fact_of(0), first])
    async with AsyncExitStack() as running:
        if comes == "later":
            await running.enter_async_context(books.consumed())
            await books.go_on(2)
        async with books.messaging.connected(name="stranger") as broker:
            await broker.publish(
                [
                    Message(topic=topics.EVENTS, type=event.type, id=f"again {number}", key=event.key, body=body)
                    for number, event in enumerate((fact_of(3), other, fact_of(4), first))
                    for body in [cloudevents.encode(event)]
                ]
            )
        if comes != "later":
            await running.enter_async_context(books.consumed())
        refused = await books.refused()
        assert (refused.reason, refused.event_id, refused.source) == ("event_differs", first.id, first.source)
        # It is no other one for being tried again.
        await books.retry(refused)
        found = await books.has_become(refused, "open")
        assert (found.reason, found.retries) == ("event_differs", 1)
        await books.go_on(5)
        assert (await books.refused()).id == refused.id
    assert sorted(books.applied) == [number for number in range(6) if number != 2 or comes == "later"]
    assert (
        cloudevents.encode(other)
        == (await books.working_off.get(principal=OPERATOR, refused_event_id=refused.id)).content
    )


async def test_the_audit_keeps_who_has_decided(books: Books) -> None:
    await _publish(books.messaging, [fact_of(7)])
    async with books.consumed():
        refused = await books.refused()
    origin.begin(Origin(channel="api", owner_id=OPERATOR.owner_id))
    try:
        await books.retry(refused)
        await books.working_off.discard(principal=OPERATOR, refused_event_id=refused.id)
    finally:
        origin.begin(None)
    async with books.database.connection() as connection:
        rows = await outbox.waiting(connection, 100)
    (retried, discarded) = [
        msgspec.json.decode(row.payload)["data"]["facts"][0] for row in rows if row.kind == outbox.AUDIT
    ]
    assert (retried["type"], discarded["type"]) == ("refused_event.retried.v1", "refused_event.discarded.v1")
    for fact in (retried, discarded):
        assert (fact["subject"], fact["origin"]["owner_id"]) == (str(refused.id), str(OPERATOR.owner_id))


async def test_only_those_with_the_scope_work_them_off_and_page_by_page(books: Books) -> None:
    books.refuses = set(range(5))
    await _publish(books.messaging, [fact_of(number) for number in range(5)])
    async with books.consumed():

        async def all_are() -> bool:
            return len((await books.working_off.page(principal=OPERATOR)).items) == 5

        await until(all_are)
    first = await books.working_off.page(principal=OPERATOR, consumer="counter", status="open", limit=3)
    rest = await books.working_off.page(principal=OPERATOR, cursor=first.next_cursor, limit=3)
    assert [len(first.items), len(rest.items), rest.next_cursor] == [3, 2, None]
    assert len({one.id for one in (*first.items, *rest.items)}) == 5
    assert (await books.working_off.page(principal=OPERATOR, consumer="feed")).items == []
    with pytest.raises(InvalidCursor):
        await books.working_off.page(principal=OPERATOR, cursor="x")
    calls = (books.working_off.get, books.working_off.retry, books.working_off.discard)
    for call in calls:
        with pytest.raises(MissingScope):
            await call(principal=NOBODY, refused_event_id=first.items[0].id)
        with pytest.raises(RefusedEventUnknown):
            await call(principal=OPERATOR, refused_event_id=ids.new())
    with pytest.raises(MissingScope):
        await books.working_off.page(principal=NOBODY)
