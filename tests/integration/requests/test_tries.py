"""Requests that are tried again, and by several workers at once, and those who wait for them to end."""

import asyncio
from datetime import timedelta

import pytest

from billfold.kernel.errors import InternalError
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.wallets import domain
from billfold.wallets.service import watching
from tests import servers
from tests.integration.requests.support import Office, opened


@pytest.mark.parametrize("defect", [ZeroDivisionError(), InternalError()], ids=["here", "in a server of the ledger"])
async def test_a_try_that_meets_what_passes_is_repeated_later_and_later(
    office: Office, ada: Principal, hers: str, his: str, *, monkeypatch: pytest.MonkeyPatch, defect: Exception
) -> None:
    move = office.wallets.movements.move
    failing = [ledger_errors.Overloaded(), defect, ledger_errors.RequestFailed()]

    async def sometimes(**given: object) -> object:
        if failing:
            raise failing.pop(0)
        return await move(**given)  # type: ignore[arg-type]

    request = await office.accept(ada, source=hers, target=his)
    monkeypatch.setattr(office.wallets.movements, "move", sometimes)
    # As long as no machine is slow.
    monkeypatch.setattr(domain, "retry_pause", lambda tries, _luck: timedelta(minutes=tries))
    assert await office.carry_out(request) == {"retried": 1}
    waiting = await office.look(ada, request)
    assert waiting.error is not None
    assert (waiting.status, waiting.error.code) == ("processing", "overloaded")
    # It is not due yet, whoever tells of it.
    assert await office.carry_out(request) == {}
    assert await office.sweep(timedelta(minutes=1)) == {"retried": 1}
    waiting = await office.look(ada, request)
    assert waiting.error is not None
    assert waiting.error.code == "request_failed"
    assert await office.sweep(timedelta(minutes=1)) == {}
    assert await office.sweep(timedelta(minutes=1)) == {"retried": 1}
    assert (await office.look(ada, request)).error == waiting.error
    assert await office.sweep(timedelta(minutes=2)) == {}
    assert await office.sweep(timedelta(minutes=1)) == {"completed": 1}
    ended = await office.look(ada, request)
    assert (ended.status, ended.tries, ended.error) == ("completed", 4, None)
    assert await office.posted(his) == "1.00"


async def test_what_waits_for_its_next_try_can_be_cancelled(
    office: Office, ada: Principal, hers: str, his: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(**_: object) -> object:
        raise ledger_errors.Overloaded

    request = await office.accept(ada, source=hers, target=his)
    with monkeypatch.context() as patched:
        patched.setattr(office.wallets.movements, "move", never)
        assert await office.carry_out(request) == {"retried": 1}
    assert (await office.wallets.requests.cancel(principal=ada, request_id=request.id)).status == "cancelled"
    assert await office.sweep() == {}
    assert await office.posted(hers) == "100.00"


async def test_many_are_carried_out_by_several_workers_once_each(
    office: Office, office_database: servers.TestDatabase, ada: Principal, hers: str, his: str
) -> None:
    requests = [await office.accept(ada, source=hers, target=his, amount="0.10") for _ in range(250)]
    async with opened(office_database.app_dsn) as another:
        another.clock.ahead = office.clock.ahead = timedelta(minutes=1)
        rounds = await asyncio.gather(
            office.carry_out(*requests), another.carry_out(*requests), *(one.sweep() for one in (office, another) * 3)
        )
        while await office.sweep():
            pass
    assert sum(found.get("completed", 0) for found in rounds) <= len(requests)
    assert {(await office.look(ada, request)).status for request in requests} == {"completed"}
    assert await office.posted(his) == "25.00"
    assert len(await office.told("transfer.completed.v1")) == len(requests)


async def test_somebody_who_waits_is_told_when_it_has_ended(
    office: Office, ada: Principal, hers: str, his: str
) -> None:
    request = await office.accept(ada, source=hers, target=his)
    assert (await office.look(ada, request, wait_s=0.05)).status == "accepted"
    waiting = [asyncio.create_task(office.look(ada, request, wait_s=60)) for _ in range(20)]
    await asyncio.sleep(0)
    await office.carry_out(request)
    async with asyncio.timeout(30):
        found = await asyncio.gather(*waiting)
    assert {one.status for one in found} == {"completed"}


async def test_who_has_too_many_waiting_is_answered_at_once_and_others_wait(
    office: Office, ada: Principal, bob: Principal, hers: str, *, his: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "WAITING_PER_OWNER_MAX", 2)
    request = await office.accept(ada, source=hers, target=his)
    other = await office.accept(bob, source=await office.wallet(bob, holding="5.00"), target=his)
    waiting = [asyncio.create_task(office.look(ada, request, wait_s=600)) for _ in range(3)]
    done, still = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(still)) == (1, 2)
    theirs = asyncio.create_task(office.look(bob, other, wait_s=600))
    await office.carry_out(request, other)
    assert (await theirs).status == "completed"
    assert {(await one).status for one in still} == {"completed"}
    again = await office.accept(ada, source=hers, target=his)
    assert (await office.look(ada, again, wait_s=0.01)).status == "accepted"
