"""What many requests do together in one database transaction, and that none of them notices the others."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from billfold.kernel import facts, origin
from billfold.kernel.principal import Principal
from billfold.platform.messaging import cloudevents, outbox
from billfold.wallets.contracts import MoneyRequest
from tests.integration.messaging.support import until
from tests.integration.requests.support import Office


@pytest.fixture
async def his(office: Office, bob: Principal) -> str:
    return await office.wallet(bob, holding="100.00")


async def written_by(office: Office, requests: Sequence[MoneyRequest]) -> int:
    """How many database transactions have written them last."""
    async with office.database.connection() as connection:
        found: int = await connection.fetchval(
            "SELECT count(DISTINCT xmin::text) FROM wallets.requests WHERE id = ANY($1)", [one.id for one in requests]
        )
    return found


async def recorded(office: Office, kind: str) -> list[dict[str, Any]]:
    """The facts of this type that the audit is to get."""
    async with office.database.connection() as connection:
        rows = await connection.fetch("SELECT payload FROM messaging.outbox WHERE kind = 'audit' ORDER BY seq")
    found = [fact for row in rows for fact in json.loads(row["payload"])["data"]["facts"]]
    return [fact for fact in found if fact["type"] == kind]


async def test_a_round_ends_in_few_transactions_and_each_in_its_own_name(
    office: Office, ada: Principal, bob: Principal, hers: str, his: str
) -> None:
    by_ada = [await office.accept(ada, source=hers, target=his, amount="1.00") for _ in range(40)]
    by_bob = [await office.accept(bob, source=his, target=hers, amount="500.00") for _ in range(40)]
    origin.begin(origin.Origin(channel="worker"))
    assert await office.carry_out(*by_ada, *by_bob) == {"completed": 40, "failed": 40}
    assert await written_by(office, by_ada + by_bob) < 30
    for kind, theirs, by, outcome in (
        ("transfer.completed.v1", by_ada, ada, facts.DONE),
        ("transfer.failed.v1", by_bob, bob, "insufficient_funds"),
    ):
        told = await recorded(office, kind)
        assert {fact["subject"] for fact in told} == {str(request.id) for request in theirs}
        assert len(told) == len(theirs)
        assert {fact["origin"]["owner_id"] for fact in told} == {str(by.owner_id)}
        assert {fact.get("outcome", facts.DONE) for fact in told} == {outcome}
    async with office.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ledger.reservations") == 0
    assert await office.posted(his) == "140.00"


async def test_an_end_that_can_not_be_told_keeps_no_other_from_its_end(
    office: Office, ada: Principal, hers: str, his: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [await office.accept(ada, source=hers, target=his) for _ in range(10)]
    bad = str(requests[4].id)
    append_all = outbox.append_all

    async def refusing(connection: Any, told: Sequence[outbox.Told]) -> None:
        if any(one.event.subject == bad for one in told):
            raise cloudevents.EventTooLarge
        await append_all(connection, told)

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "append_all", refusing)
        assert await office.carry_out(*requests) == {"completed": 9, "retried": 1}
    assert await office.posted(his) == "110.00"
    assert await office.sweep() == {"completed": 1}
    assert await office.posted(his) == "110.00"
    assert len(await office.told("transfer.completed.v1")) == 10


async def test_a_request_that_somebody_holds_keeps_no_other_from_its_end(
    office: Office, ada: Principal, hers: str, his: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [await office.accept(ada, source=hers, target=his) for _ in range(10)]
    free, held = requests[1:], requests[0]
    move, at_hand = office.wallets.movements.move, asyncio.Event()

    async def once_it_is_held(**given: Any) -> Any:
        await at_hand.wait()
        return await move(**given)

    async def is_taken() -> bool:
        return (await office.look(ada, held)).status == "processing"

    async def others_have_ended() -> bool:
        return not any([(await office.look(ada, request)).is_open for request in free])

    monkeypatch.setattr(office.wallets.movements, "move", once_it_is_held)
    carrying = asyncio.create_task(office.carry_out(*requests))
    await until(is_taken)
    async with office.database.transaction() as connection:
        await connection.execute("SELECT FROM wallets.requests WHERE id = $1 FOR UPDATE", held.id)
        at_hand.set()
        await until(others_have_ended)
        assert (await office.look(ada, held)).is_open
    assert await carrying == {"completed": 10}


async def test_who_ends_the_same_request_at_the_same_moment_ends_it_once(
    office: Office, ada: Principal, hers: str, his: str
) -> None:
    request = await office.accept(ada, source=hers, target=his, key="k")
    moved = await office.move(ada, source=hers, target=his, key="k")
    ends = [office.endings.end(request.id, transfer_id=moved.transfer.id) for _ in range(8)]
    found = await asyncio.gather(*ends)
    assert sum(row is not None for row in found) == 1
    assert len(await office.told("transfer.completed.v1")) == 1
