"""The items of a bulk request that are refused are recorded: each by itself, and in few rows."""

from __future__ import annotations

from typing import Any

import pytest

from billfold.kernel import facts, ids
from billfold.platform.messaging.notary import REFUSED
from billfold.platform.postgres.database import Database
from tests import servers
from tests.integration.api import support as api
from tests.integration.audit import support

#: As many as a bulk request takes.
MANY = 1_000


@pytest.fixture
async def caller(core: servers.TestDatabase, server: api.ApiServer, shared: Database) -> api.Caller:
    """Somebody of whom nothing is told yet. No worker takes it away."""
    async with shared.connection() as connection:
        await connection.execute("DELETE FROM messaging.outbox")
    return server.caller(await api.bootstrapped(core))


def item(source: str, target: str, amount: str = "1.00", **more: Any) -> dict[str, Any]:
    return {"kind": "transfer", "from": source, "to": target, "money": {"amount": amount, "asset": "USD"}, **more}


async def rows(shared: Database) -> int:
    async with shared.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM messaging.outbox WHERE kind = 'audit'")
        return count


async def test_each_refused_item_of_a_bulk_is_recorded_with_what_it_would_have_moved(
    caller: api.Caller, shared: Database
) -> None:
    ada, bob = support.wallet(caller, "Ada"), support.wallet(caller, "Bob")
    caller.post(f"/wallets/{ada}/deposits", {"money": {"amount": "10.00", "asset": "USD"}})
    items = [item(ada, bob, "6.00"), item(ada, bob, "7.00"), item(ada, bob, "4.00"), item(bob, ada, "900.00")]
    answer = caller.post("/transfers/bulk", {"items": items}, x_request_id="a-bulk").json()
    assert (answer["posted"], answer["refused"]) == (2, 2)
    told = await support.told(shared, kind=REFUSED)
    assert [(fact.outcome, fact.data["item"], fact.data["amount"]) for fact in told] == [
        ("insufficient_funds", 1, "7.00"),
        ("insufficient_funds", 3, "900.00"),
    ]
    assert {(fact.origin.channel, fact.origin.address, fact.origin.request_id) for fact in told} == {
        ("api", "127.0.0.1", "a-bulk")
    }
    assert all(fact.origin.credential_id is not None for fact in told)
    first = told[0].data
    assert (first["kind"], first["from"], first["to"], first["asset"]) == ("transfer", ada, bob, "USD")
    assert (first["method"], first["route"]) == ("POST", "/api/v1/transfers/bulk")


async def test_a_bulk_of_refusals_is_a_row_for_every_fifty_of_them(caller: api.Caller, shared: Database) -> None:
    ada, bob = support.wallet(caller, "Ada"), support.wallet(caller, "Bob")
    before = await rows(shared)
    answer = caller.post("/transfers/bulk", {"items": [item(ada, bob)] * MANY}).json()
    assert answer["refused"] == MANY
    assert await rows(shared) - before == MANY / facts.TOGETHER_MAX
    told = await support.told(shared, kind=REFUSED)
    assert [fact.data["item"] for fact in told] == list(range(MANY))
    assert len({fact.id for fact in told}) == MANY


async def test_what_a_caller_writes_makes_no_event_too_large(caller: api.Caller, shared: Database) -> None:
    ada, bob = support.wallet(caller, "Ada"), support.wallet(caller, "Bob")
    long = [item(ada, bob, "1" * 18_000, idempotency_key=str(ids.new())) for _ in range(100)]
    answer = caller.post("/transfers/bulk", {"items": long})
    assert answer.json()["refused"] == len(long), answer.text
    told = await support.told(shared, kind=REFUSED)
    assert [fact.data["item"] for fact in told] == list(range(len(long)))
    assert {fact.outcome for fact in told} == {"amount_too_large"}
    assert max(len(fact.data["amount"]) for fact in told) < 2_000


async def test_a_bulk_without_refusals_tells_of_none(caller: api.Caller, shared: Database) -> None:
    ada, bob = support.wallet(caller, "Ada"), support.wallet(caller, "Bob")
    caller.post(f"/wallets/{ada}/deposits", {"money": {"amount": "10.00", "asset": "USD"}})
    before = await rows(shared)
    assert caller.post("/transfers/bulk", {"items": [item(ada, bob)] * 10}).json()["posted"] == 10
    assert await rows(shared) == before


async def test_what_refuses_all_of_an_atomic_bulk_is_recorded_once(caller: api.Caller, shared: Database) -> None:
    ada, bob = support.wallet(caller, "Ada"), support.wallet(caller, "Bob")
    body = {"atomic": True, "items": [item(ada, bob)] * 5}
    assert caller.post("/transfers/bulk", body).status_code == 422
    (told,) = await support.told(shared, kind=REFUSED)
    assert (told.outcome, told.data["route"]) == ("insufficient_funds", "/api/v1/transfers/bulk")
