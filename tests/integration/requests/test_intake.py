"""Requests that come at the same moment are stored together, and none of them notices the others."""

import asyncio
import json
from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from billfold.kernel import ids, origin
from billfold.kernel.errors import Unavailable
from billfold.kernel.idempotency import IdempotencyKeyReused
from billfold.kernel.principal import Principal
from billfold.platform.messaging import cloudevents, outbox
from billfold.platform.postgres.database import Connection
from billfold.wallets import errors
from billfold.wallets.contracts import Acceptance, RequestLimits
from billfold.wallets.store import requests as store
from tests import servers
from tests.integration.approvals.people import person
from tests.integration.messaging.support import until
from tests.integration.requests.support import Office, opened

MANY = 60


@pytest.fixture
async def his(office: Office, bob: Principal) -> str:
    return await office.wallet(bob, holding="100.00")


async def audited(office: Office) -> list[dict[str, Any]]:
    """The facts of acceptances that the audit is to get."""
    async with office.database.connection() as connection:
        rows = await connection.fetch("SELECT payload FROM messaging.outbox WHERE kind = 'audit'")
    found = [fact for row in rows for fact in json.loads(row["payload"])["data"]["facts"]]
    return [fact for fact in found if fact["type"] == "request.accepted.v1"]


async def test_they_are_stored_in_few_transactions_and_each_in_its_own_name(
    office: Office, ada: Principal, bob: Principal, hers: str, his: str
) -> None:
    async def sent(number: int) -> Acceptance:
        origin.begin(origin.Origin(channel="api", address=f"10.0.0.{number}"))
        by, source, target = ((ada, hers, his), (bob, his, hers))[number % 2]
        return await office.accepted(by, source=source, target=target, key=f"k{number}")

    found = [one.request for one in await asyncio.gather(*map(sent, range(MANY)))]
    requests = [request for request in found if request is not None]
    assert len({request.id for request in requests}) == MANY
    assert [request.source for request in requests[:2]] == [hers, his]
    async with office.database.connection() as connection:
        assert await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM wallets.requests") < MANY / 4
        assert await connection.fetchval("SELECT count(*) FROM ledger.reservations") == MANY
    assert len(await office.told("request.accepted.v1")) == MANY
    from_where = {fact["subject"]: fact["origin"]["address"] for fact in await audited(office)}
    assert from_where == {str(request.id): f"10.0.0.{number}" for number, request in enumerate(requests)}
    assert await office.look(bob, requests[1]) == requests[1]
    assert await office.carry_out(*requests) == {"completed": MANY}


async def test_a_key_that_comes_twice_in_a_group_is_one_request_or_refused_as_reused(
    office: Office, ada: Principal, hers: str, his: str
) -> None:
    def send(key: str, amount: str) -> Any:
        return office.accepted(ada, source=hers, target=his, amount=amount, key=key)

    wanted = [("a", "1"), ("b", "1"), ("a", "1"), ("a", "2"), ("c", "1"), ("b", "1")]
    found = await asyncio.gather(*(send(*one) for one in wanted), return_exceptions=True)
    answers = [one for one in found if isinstance(one, Acceptance)]
    assert [type(one) for one in found if not isinstance(one, Acceptance)] == [IdempotencyKeyReused]
    first, second = answers[0].request, answers[1].request
    assert isinstance(found[3], IdempotencyKeyReused)
    assert [one.request for one in answers] == [first, second, first, answers[3].request, second]
    assert sorted(one.replayed for one in answers) == [False, False, False, True, True]
    assert len(await office.told("request.accepted.v1")) == 3


async def test_processes_that_are_sent_the_same_keys_at_the_same_moment_store_each_once(
    office: Office, office_database: servers.TestDatabase, ada: Principal, hers: str, *, his: str
) -> None:
    keys = [f"k{number}" for number in range(MANY)]
    async with opened(office_database.app_dsn) as another:
        found = await asyncio.gather(
            *(office.accepted(ada, source=hers, target=his, key=key) for key in keys),
            *(another.accepted(ada, source=hers, target=his, key=key) for key in reversed(keys)),
        )
    requests = [one.request for one in found]
    assert requests[:MANY] == requests[: MANY - 1 : -1]
    assert sum(one.replayed for one in found) == MANY
    assert len(await office.told("request.accepted.v1")) == MANY


async def test_groups_with_the_same_keys_never_wait_for_each_other_in_a_circle(
    office: Office, ada: Principal, hers: str, his: str
) -> None:
    request = await office.accept(ada, source=hers, target=his)
    async with office.database.connection() as connection:
        row = await store.find(connection, request.id, owner=ada.owner_id)
    assert row is not None

    def rows(*digests: int) -> list[store.Row]:
        return [msgspec.structs.replace(row, id=ids.new(), key_digest=UUID(int=digest)) for digest in digests]

    def add(connection: Connection, *digests: int) -> Awaitable[Mapping[UUID, store.Row]]:
        return store.insert(connection, rows(*digests), expire_after=timedelta(), due_after=timedelta())

    async def insert(*digests: int) -> int:
        async with office.database.transaction() as connection:
            return len(await add(connection, *digests))

    async def both_wait() -> bool:
        async with office.database.connection() as connection:
            waiting: int = await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return waiting == 2

    async with office.database.transaction() as holding:
        await add(holding, 2)
        groups = [asyncio.create_task(insert(1, 2, 3)), asyncio.create_task(insert(3, 2, 1))]
        await until(both_wait)
    assert sorted([await group for group in groups]) == [0, 2]


async def test_one_that_can_not_be_told_is_refused_alone(
    office: Office, ada: Principal, hers: str, his: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_all = outbox.append_all

    async def refusing(connection: Any, told: Sequence[outbox.Told]) -> None:
        if any(b'"amount":"13"' in cloudevents.encode(one.event) for one in told):
            raise cloudevents.EventTooLarge
        await append_all(connection, told)

    monkeypatch.setattr(outbox, "append_all", refusing)
    found = await asyncio.gather(
        *(office.accepted(ada, source=hers, target=his, amount=str(amount)) for amount in range(10, 16)),
        return_exceptions=True,
    )
    assert [number for number, one in enumerate(found) if isinstance(one, cloudevents.EventTooLarge)] == [3]
    assert sum(isinstance(one, Acceptance) for one in found) == 5
    assert len((await office.wallets.requests.page(principal=ada)).items) == 5


async def test_a_database_that_is_lost_is_told_to_everybody_and_what_is_sent_again_is_stored_once(
    office: Office, postgres_server: servers.PostgresServer, ada: Principal, hers: str, *, his: str
) -> None:
    append_all = outbox.append_all

    async def losing(connection: Any, told: Sequence[outbox.Told]) -> None:
        postgres_server.execute(f"SELECT pg_terminate_backend({connection.get_server_pid()})")
        await append_all(connection, told)

    def send() -> Any:
        sent = (office.accepted(ada, source=hers, target=his, key=f"k{number}") for number in range(10))
        return asyncio.gather(*sent, return_exceptions=True)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(outbox, "append_all", losing)
        lost = await send()
    assert all(isinstance(one, Unavailable) and one.retryable for one in lost)
    assert (await office.wallets.requests.page(principal=ada)).items == []
    assert [one.replayed for one in await send()] == [False] * 10
    assert [one.replayed for one in await send()] == [True] * 10
    assert len(await office.told("request.accepted.v1")) == 10


async def test_who_goes_away_meanwhile_harms_nobody_and_sends_it_again_as_one_request(
    office: Office, ada: Principal, hers: str, his: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_all, began, may = outbox.append_all, asyncio.Event(), asyncio.Event()

    async def once_it_may(connection: Any, told: Sequence[outbox.Told]) -> None:
        began.set()
        await may.wait()
        await append_all(connection, told)

    monkeypatch.setattr(outbox, "append_all", once_it_may)
    sent = [asyncio.create_task(office.accepted(ada, source=hers, target=his, key=f"k{number}")) for number in range(5)]
    await began.wait()
    sent[2].cancel()
    await asyncio.wait([sent[2]])
    # Nobody is answered before COMMIT.
    assert [task.done() for task in sent] == [False, False, True, False, False]
    may.set()
    assert all([(await task).request for task in sent if task is not sent[2]])
    again = await office.accepted(ada, source=hers, target=his, key="k2")
    assert again.request is not None
    assert len((await office.wallets.requests.page(principal=ada)).items) == 5
    assert len(await office.told("request.accepted.v1")) == 5


async def test_a_full_backlog_of_one_owner_refuses_no_other(office_database: servers.TestDatabase) -> None:
    limits = RequestLimits(open_max=100, open_per_owner_max=2)
    async with opened(office_database.app_dsn, limits=limits) as office:
        ada, bob = await person(office.database, "user"), await person(office.database, "user")
        hers, his = await office.wallet(ada, holding="9.00"), await office.wallet(bob, holding="9.00")
        first, _ = [await office.accept(ada, source=hers, target=his, key=key) for key in "ab"]
        full, free, known = await asyncio.gather(
            office.accepted(ada, source=hers, target=his, key="c"),
            office.accepted(bob, source=his, target=hers, key="c"),
            office.accepted(ada, source=hers, target=his, key="a"),
            return_exceptions=True,
        )
    assert isinstance(full, errors.BacklogFull)
    assert isinstance(free, Acceptance)
    assert isinstance(known, Acceptance)
    assert (free.replayed, known.replayed, known.request) == (False, True, first)
