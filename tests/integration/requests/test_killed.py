"""Real processes that are killed at each step of a request. Whoever comes next finds what was decided, and goes on."""

import asyncio
import signal
import sys
from datetime import timedelta

import msgspec
import pytest

from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.wallets.contracts import MoneyRequest, Order
from billfold.wallets.store import requests as store
from tests.integration.messaging.support import until
from tests.integration.requests.support import Office

TIMEOUT_S = 120.0


async def die(office: Office, act: str, step: str, by: Principal, what: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.requests.dying",
        office.dsn,
        act,
        step,
        msgspec.json.encode(by).decode(),
        what,
    )
    assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == -signal.SIGKILL


async def finished(office: Office, by: Principal, request: MoneyRequest) -> MoneyRequest:
    """As it is when the next worker has looked, and looked again. It has ended once, and is told once."""
    office.clock.ahead += timedelta(minutes=2)

    async def has_ended() -> bool:
        # The locks of who was killed go when PostgreSQL notices it.
        await office.sweep(timedelta())
        return not (await office.look(by, request)).is_open

    await until(has_ended)
    ended = await office.look(by, request)
    assert await office.sweep() == await office.carry_out(request) == {}
    assert await office.look(by, request) == ended
    told = await office.told("transfer.completed.v1") + await office.told("transfer.failed.v1")
    assert [(data["request_id"], data["status"]) for data in told] == [(str(request.id), ended.status)]
    async with office.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ledger.reservations") == 0
    assert (await office.ledger.verify()).faults == []
    return ended


@pytest.fixture
async def his(office: Office, bob: Principal) -> str:
    return await office.wallet(bob, holding="1.00")


@pytest.mark.parametrize(
    ("step", "is_stored"),
    [("1 before it is stored", False), ("1 before COMMIT", False), ("1 before it is answered", True)],
)
async def test_what_was_not_answered_is_stored_whole_or_not_at_all_and_sent_again_is_one_request(
    office: Office, ada: Principal, hers: str, his: str, *, step: str, is_stored: bool
) -> None:
    order = Order(source=hers, target=his, money=Money("2.00", "USD"))
    await die(office, "accept", step, ada, msgspec.json.encode(order).decode())
    found = (await office.wallets.requests.page(principal=ada)).items
    assert len(found) == len(await office.told("request.accepted.v1")) == is_stored
    again = await office.wallets.requests.accept(principal=ada, order=order, key="k")
    assert again.request is not None
    assert again.replayed == is_stored
    assert len(await office.told("request.accepted.v1")) == 1
    assert (await finished(office, ada, again.request)).status == "completed"
    assert await office.posted(his) == "3.00"


@pytest.mark.parametrize(
    "step",
    [
        "2 before COMMIT",
        "2 after COMMIT",
        "3 before the ledger",
        "3 after the ledger",
        "6 before COMMIT",
        "6 after COMMIT",
    ],
)
async def test_a_worker_that_dies_moves_it_once(office: Office, ada: Principal, hers: str, his: str, step: str) -> None:
    request = await office.accept(ada, source=hers, target=his, amount="2.00", key="k")
    await die(office, "carry out", step, ada, str(request.id))
    is_moved = step.startswith(("3 after", "6"))
    assert await office.posted(his) == ("3.00" if is_moved else "1.00")
    ended = await finished(office, ada, request)
    assert ended.status == "completed"
    assert await office.posted(his) == "3.00"
    again = await office.move(ada, source=hers, target=his, amount="2.00", key="k")
    assert (again.transfer.id, again.replayed) == (ended.transfer_id, True)


@pytest.mark.parametrize(
    "step",
    [
        "2 before COMMIT",
        "2 after COMMIT",
        "3 before the ledger",
        "3 after the ledger",
        "4 before it is written down",
        "4 after it was written down",
        "5 after the key was closed",
        "6 before COMMIT",
        "6 after COMMIT",
    ],
)
async def test_a_worker_that_dies_over_a_refusal_fails_it_once(
    office: Office, ada: Principal, hers: str, his: str, step: str
) -> None:
    request = await office.accept(ada, source=hers, target=his, amount="1000.00", key="k")
    await die(office, "carry out", step, ada, str(request.id))
    ended = await finished(office, ada, request)
    assert ended.error is not None
    assert (ended.status, ended.error.code) == ("failed", "insufficient_funds")
    await office.move(office.machine, "deposit", target=hers, amount="5000.00")
    with pytest.raises(ledger_errors.InsufficientFunds):
        await office.move(ada, source=hers, target=his, amount="1000.00", key="k")
    assert await office.posted(his) == "1.00"


@pytest.mark.parametrize(
    ("step", "status"),
    [
        ("4 before it is written down", "completed"),
        ("4 after it was written down", "cancelled"),
        ("5 after the key was closed", "cancelled"),
        ("6 before COMMIT", "cancelled"),
        ("6 after COMMIT", "cancelled"),
    ],
)
async def test_a_cancellation_that_dies_is_a_cancellation_from_the_moment_that_it_is_written_down(
    office: Office, ada: Principal, hers: str, his: str, *, step: str, status: str
) -> None:
    request = await office.accept(ada, source=hers, target=his, key="k")
    await die(office, "cancel", step, ada, str(request.id))
    assert (await finished(office, ada, request)).status == status
    assert await office.posted(his) == {"completed": "2.00", "cancelled": "1.00"}[status]


async def test_what_was_sent_to_be_done_at_once_meanwhile_is_what_it_ends_with(
    office: Office, ada: Principal, hers: str, his: str
) -> None:
    request = await office.accept(ada, source=hers, target=his, key="k")
    await die(office, "carry out", "2 after COMMIT", ada, str(request.id))
    moved = await office.move(ada, source=hers, target=his, key="k")
    assert (await finished(office, ada, request)).transfer_id == moved.transfer.id
    assert await office.posted(his) == "2.00"


async def test_a_try_that_fails_changes_nothing_of_a_cancellation_that_was_written_down_meanwhile(
    office: Office, ada: Principal, hers: str, his: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = await office.accept(ada, source=hers, target=his)

    async def cancelled_meanwhile(**_: object) -> object:
        # As whoever cancels has it, and dies before the ledger closes the key.
        async with office.database.connection() as connection:
            await store.intend(connection, request.id, ends_as="cancelled")
            before.append(await store.find(connection, request.id, owner=ada.owner_id))
        raise ledger_errors.Overloaded

    before: list[store.Row | None] = []
    with monkeypatch.context() as patched:
        patched.setattr(office.wallets.movements, "move", cancelled_meanwhile)
        assert await office.carry_out(request) == {"retried": 1}
    async with office.database.connection() as connection:
        assert [await store.find(connection, request.id, owner=ada.owner_id)] == before
    assert await office.sweep() == {"cancelled": 1}
    ended = await office.look(ada, request)
    assert (ended.status, ended.error, ended.transfer_id) == ("cancelled", None, None)
    assert await office.posted(hers) == "100.00"
