"""Requests that are accepted now and carried out later, and how they end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from billfold.identity.contracts import KEY_SCOPES, Grant
from billfold.kernel import ids
from billfold.kernel.deferred import Deferred
from billfold.kernel.errors import InternalError
from billfold.kernel.idempotency import IdempotencyKeyInUse, IdempotencyKeyReused
from billfold.kernel.principal import MissingScope, Principal
from billfold.ledger import errors as ledger_errors
from billfold.wallets import domain, errors
from billfold.wallets.contracts import MoneyRequest, RequestLimits
from billfold.wallets.service import watching
from tests import servers
from tests.integration.approvals.people import give_roles, person
from tests.integration.requests.support import Office, opened
from tests.integration.wallets.support import without


@pytest.fixture
async def hers(office: Office, ada: Principal) -> str:
    return await office.wallet(ada, holding="100.00")


@pytest.fixture
async def his(office: Office, bob: Principal) -> str:
    return await office.wallet(bob)


async def test_a_request_is_accepted_carried_out_and_told(office: Office, ada: Principal, hers: str, his: str) -> None:
    accepted = await office.accept(ada, source=hers, target=his, amount="2.5", key="k")
    assert (accepted.status, accepted.source, accepted.target) == ("accepted", hers, his)
    assert await office.posted(hers) == "100.00"
    assert await office.look(ada, accepted) == accepted
    assert await office.carry_out(accepted) == {"completed": 1}
    ended = await office.look(ada, accepted)
    assert (ended.status, ended.tries, ended.error) == ("completed", 1, None)
    assert ended.transfer_id is not None
    transfer = await office.wallets.movements.transfer(principal=ada, transfer_id=ended.transfer_id)
    assert (transfer.source, transfer.target, transfer.money.amount) == (hers, his, "2.50")
    assert [data["request_id"] for data in await office.told("request.accepted.v1")] == [str(accepted.id)]
    (told,) = await office.told("transfer.completed.v1")
    assert (told["owner_id"], told["transfer_id"]) == (str(ada.owner_id), str(ended.transfer_id))
    assert (told["kind"], told["money"], told["reason"]) == ("transfer", {"amount": "2.5", "asset": "USD"}, None)
    assert await office.carry_out(accepted) == await office.sweep() == {}
    assert await office.posted(his) == "2.50"


@pytest.mark.parametrize("kind", ["deposit", "withdrawal"])
async def test_deposits_and_withdrawals_are_too(office: Office, kind: str) -> None:
    mine = await office.wallet(office.machine, holding="5.00")
    if kind == "deposit":
        request = await office.accept(office.machine, "deposit", target=mine)
    else:
        request = await office.accept(office.machine, "withdrawal", source=mine)
    assert await office.carry_out(request) == {"completed": 1}
    assert await office.posted(mine) == {"deposit": "6.00", "withdrawal": "4.00"}[kind]


async def test_what_the_ledger_refuses_has_failed_and_stays_so(office: Office, ada: Principal, hers: str) -> None:
    poor = await office.wallet(ada, holding="0.50")
    request = await office.accept(ada, source=poor, target=hers, key="k")
    assert await office.carry_out(request) == {"failed": 1}
    failed = await office.look(ada, request)
    assert failed.error is not None
    assert (failed.status, failed.error.code, failed.transfer_id) == ("failed", "insufficient_funds", None)
    await office.move(office.machine, "deposit", target=poor, amount="5.00")
    assert await office.sweep() == {}
    with pytest.raises(ledger_errors.InsufficientFunds):
        await office.move(ada, source=poor, target=hers, key="k")
    (told,) = await office.told("transfer.failed.v1")
    assert (told["status"], told["reason"]) == ("failed", "insufficient_funds")


async def test_what_is_wrong_by_itself_is_refused_at_once(office: Office, ada: Principal, hers: str, his: str) -> None:
    for order, error in (
        ({"source": hers, "target": hers}, errors.SameWallet),
        ({"source": hers, "target": str(ids.new())}, errors.WalletUnknown),
        ({"source": his, "target": hers}, errors.WalletUnknown),
        ({"source": hers, "target": his, "amount": "0"}, ledger_errors.AmountNotPositive),
    ):
        with pytest.raises(error):
            await office.accept(ada, **order)  # type: ignore[arg-type]
    with pytest.raises(MissingScope):
        await office.accept(without(ada, "transfers:write"), source=hers, target=his)
    assert (await office.wallets.requests.page(principal=ada)).items == []


async def test_a_repeated_request_is_the_same_and_another_one_is_refused(
    office: Office, ada: Principal, hers: str, his: str
) -> None:
    first = await office.accept(ada, source=hers, target=his, key="k")
    again = await office.accepted(ada, source=hers, target=his, key="k")
    assert (again.request, again.replayed) == (first, True)
    with pytest.raises(IdempotencyKeyReused):
        await office.accept(ada, source=hers, target=his, amount="2", key="k")
    assert await office.carry_out(first) == {"completed": 1}
    done = await office.accepted(ada, source=hers, target=his, key="k")
    assert done.request is not None
    assert (done.request.status, done.replayed) == ("completed", True)
    many = await asyncio.gather(*(office.accepted(ada, source=hers, target=his, key="m") for _ in range(8)))
    assert len({found.request.id for found in many if found.request}) == 1
    assert sum(not found.replayed for found in many) == 1


async def test_a_key_stands_for_one_request_whether_it_waits_or_not(
    office: Office, ada: Principal, hers: str, his: str
) -> None:
    request = await office.accept(ada, source=hers, target=his, key="k")
    with pytest.raises(IdempotencyKeyReused):
        await office.move(ada, source=hers, target=his, amount="2", key="k")
    moved = await office.move(ada, source=hers, target=his, key="k")
    assert await office.carry_out(request) == {"completed": 1}
    assert (await office.look(ada, request)).transfer_id == moved.transfer.id
    assert await office.posted(his) == "1.00"
    with pytest.raises(IdempotencyKeyReused):
        await office.move(ada, source=hers, target=his, amount="2", key="k")
    async with office.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ledger.reservations") == 0
    before = await office.move(ada, source=hers, target=his, key="s")
    after = await office.accepted(ada, source=hers, target=his, key="s")
    assert after.request is None
    assert after.moved is not None
    assert (after.moved.transfer, after.moved.replayed) == (before.transfer, True)
    with pytest.raises(IdempotencyKeyReused):
        await office.accept(ada, source=hers, target=his, amount="2", key="s")


async def test_what_is_cancelled_is_never_moved_by_anybody(office: Office, ada: Principal, hers: str, his: str) -> None:
    request = await office.accept(ada, source=hers, target=his, key="k")
    cancelled = await office.wallets.requests.cancel(principal=ada, request_id=request.id)
    assert (cancelled.status, cancelled.tries) == ("cancelled", 0)
    assert await office.wallets.requests.cancel(principal=ada, request_id=request.id) == cancelled
    assert await office.carry_out(request) == await office.sweep() == {}
    with pytest.raises(ledger_errors.Voided):
        await office.move(ada, source=hers, target=his, key="k")
    assert await office.posted(hers) == "100.00"
    (told,) = await office.told("transfer.failed.v1")
    assert told["status"] == "cancelled"


async def test_what_is_completed_or_failed_can_not_be_cancelled(
    office: Office, ada: Principal, hers: str, his: str
) -> None:
    done = await office.accept(ada, source=hers, target=his)
    poor = await office.accept(ada, source=hers, target=his, amount="1000")
    await office.carry_out(done, poor)
    for request in (done, poor):
        with pytest.raises(errors.RequestEnded):
            await office.wallets.requests.cancel(principal=ada, request_id=request.id)


async def test_cancelling_and_carrying_out_at_once_have_one_outcome(
    office: Office, ada: Principal, hers: str, his: str
) -> None:
    requests = [await office.accept(ada, source=hers, target=his) for _ in range(12)]

    async def cancel(request: MoneyRequest) -> None:
        # The one that comes while the other is in the middle is told so, and what it has said is done later.
        with contextlib.suppress(errors.RequestEnded, IdempotencyKeyInUse):
            await office.wallets.requests.cancel(principal=ada, request_id=request.id)

    await asyncio.gather(office.carry_out(*requests), *(cancel(request) for request in requests))
    await office.sweep()
    ended = [await office.look(ada, request) for request in requests]
    assert {request.status for request in ended} <= {"completed", "cancelled"}
    moved = sum(request.status == "completed" for request in ended)
    assert await office.posted(hers) == f"{100 - moved}.00"
    assert len(await office.told("transfer.completed.v1")) == moved
    assert len(await office.told("transfer.failed.v1")) == len(requests) - moved


async def test_what_is_not_carried_out_in_time_never_is(office: Office, ada: Principal, hers: str, his: str) -> None:
    request = await office.accept_overdue(ada, source=hers, target=his, key="k")
    assert await office.sweep() == {"expired": 1}
    assert (await office.look(ada, request)).status == "expired"
    with pytest.raises(ledger_errors.Voided):
        await office.move(ada, source=hers, target=his, key="k")
    with pytest.raises(errors.RequestEnded):
        await office.wallets.requests.cancel(principal=ada, request_id=request.id)


async def test_what_was_moved_in_time_is_completed_however_late_that_is_seen(
    office: Office, ada: Principal, hers: str, his: str
) -> None:
    request = await office.accept_overdue(ada, source=hers, target=his, key="k")
    moved = await office.move(ada, source=hers, target=his, key="k")
    assert await office.sweep() == {"completed": 1}
    assert (await office.look(ada, request)).transfer_id == moved.transfer.id


async def test_a_worker_whose_clock_is_ahead_lets_nothing_expire_before_its_time(
    office: Office, ada: Principal, hers: str, his: str
) -> None:
    request = await office.accept(ada, source=hers, target=his)
    assert await office.sweep(timedelta(days=1)) == {"completed": 1}
    assert (await office.look(ada, request)).status == "completed"


async def test_a_stranger_sees_waits_for_and_cancels_nothing(
    office: Office, ada: Principal, hers: str, his: str
) -> None:
    request = await office.accept(ada, source=hers, target=his)
    # Even an operator's own list has nothing of others.
    for stranger in (await person(office.database, "user"), await person(office.database, "treasurer")):
        with pytest.raises(errors.RequestUnknown):
            await office.look(stranger, request)
        with pytest.raises(errors.RequestUnknown):
            await office.wallets.requests.request(principal=stranger, request_id=request.id, wait_s=5)
        with pytest.raises(errors.RequestUnknown):
            await office.wallets.requests.cancel(principal=stranger, request_id=request.id)
        assert (await office.wallets.requests.page(principal=stranger)).items == []
    assert await office.carry_out(request) == {"completed": 1}


async def test_a_list_has_pages_and_can_be_narrowed(office: Office, ada: Principal, hers: str, his: str) -> None:
    requests = [await office.accept(ada, source=hers, target=his) for _ in range(5)]
    await office.carry_out(requests[0])
    page = await office.wallets.requests.page(principal=ada, limit=2)
    assert [found.id for found in page.items] == [requests[4].id, requests[3].id]
    rest = await office.wallets.requests.page(principal=ada, limit=3, cursor=page.next_cursor)
    assert [found.id for found in rest.items] == [one.id for one in requests[2::-1]]
    assert rest.next_cursor is None
    (done,) = (await office.wallets.requests.page(principal=ada, status="completed")).items
    assert done.id == requests[0].id
    with pytest.raises(MissingScope):
        await office.wallets.requests.page(principal=without(ada, "transfers:read"))


async def test_a_backlog_that_is_full_refuses_before_anything_is_stored(
    office_database: servers.TestDatabase,
) -> None:
    async with opened(office_database.app_dsn, limits=RequestLimits(open_max=5, open_per_owner_max=3)) as office:
        ada, bob = await person(office.database, "user"), await person(office.database, "user")
        hers, his = await office.wallet(ada, holding="9.00"), await office.wallet(bob, holding="9.00")
        first = [await office.accept(ada, source=hers, target=his, key=str(place)) for place in range(3)]
        with pytest.raises(errors.BacklogFull, match="of your"):
            await office.accept(ada, source=hers, target=his, key="3")
        # What was accepted is answered all the same.
        assert (await office.accepted(ada, source=hers, target=his, key="0")).replayed
        for place in range(2):
            await office.accept(bob, source=his, target=hers, key=str(place))
        with pytest.raises(errors.BacklogFull):
            await office.accept(bob, source=his, target=hers, key="2")
        await office.carry_out(first[0])
        await office.accept(ada, source=hers, target=his, key="3")
        assert len(await office.told("request.accepted.v1")) == 6


async def _frozen(office: Office, ada: Principal, hers: str) -> None:
    await office.wallets.registry.freeze(principal=ada, wallet_id=UUID(hers))


async def _closed(office: Office, ada: Principal, hers: str) -> None:
    other = await office.wallet(ada)
    await office.move(ada, source=hers, target=other, amount="100")
    await office.wallets.registry.close(principal=ada, wallet_id=UUID(hers))


async def _departed(office: Office, ada: Principal, _hers: str) -> None:
    async with office.database.connection() as connection:
        await connection.execute("UPDATE identity.users SET closed_at = now() WHERE id = $1", ada.user_id)


async def _signed_out(office: Office, ada: Principal, _hers: str) -> None:
    async with office.database.connection() as connection:
        await connection.execute(
            "INSERT INTO identity.sessions (id, user_id, created_at, last_used_at, expires_at, revoked_at, "
            "authenticated_at, methods, device, address) "
            "VALUES ($1, $2, now(), now(), now() + interval '1 day', now(), now(), '{pwd}', '', '')",
            ada.credential_id,
            ada.user_id,
        )


async def _other_roles(office: Office, ada: Principal, _hers: str) -> None:
    await give_roles(office.database, ada, "support")


@pytest.mark.parametrize(
    ("meanwhile", "code"),
    [
        (_frozen, "wallet_frozen"),
        (_closed, "wallet_closed"),
        (_departed, "credentials_withdrawn"),
        (_signed_out, "credentials_withdrawn"),
        (_other_roles, "missing_scope"),
    ],
)
async def test_what_changes_before_it_is_carried_out_counts(
    office: Office,
    ada: Principal,
    hers: str,
    *,
    meanwhile: Callable[[Office, Principal, str], Awaitable[None]],
    code: str,
) -> None:
    his = await office.wallet(office.machine)
    request = await office.accept(ada, source=hers, target=his, key="k")
    await meanwhile(office, ada, hers)
    assert await office.carry_out(request) == {"failed": 1}
    failed = await office.look(ada, request)
    assert failed.error is not None
    assert failed.error.code == code
    with pytest.raises((ledger_errors.Voided, errors.WalletFrozen, errors.WalletClosed)):
        await office.move(ada, source=hers, target=his, key="k")
    assert await office.posted(his) == "0.00"


async def test_a_key_that_is_revoked_moves_nothing_any_more(office: Office) -> None:
    owner = await office.identity.keys.create_owner(name="Shop")
    made, _ = await office.identity.keys.create_key(
        by=None, grant=Grant(owner_id=UUID(owner.id), name="Till", scopes=KEY_SCOPES)
    )
    shop = Principal(credential_id=UUID(made.id), owner_id=UUID(owner.id), scopes=frozenset({"deposits:write"}))
    till = await office.wallet(shop)
    good = await office.accept(shop, "deposit", target=till)
    assert await office.carry_out(good) == {"completed": 1}
    late = await office.accept(shop, "deposit", target=till)
    await office.identity.keys.revoke_key(by=None, key_id=UUID(made.id))
    assert await office.carry_out(late) == {"failed": 1}
    assert await office.posted(till) == "1.00"


async def test_it_is_carried_out_with_no_more_rights_than_it_takes(office: Office, ada: Principal, hers: str) -> None:
    request = await office.accept(ada, source=hers, target=await office.wallet(ada))
    async with office.database.connection() as connection:
        scopes = await connection.fetchval("SELECT scopes FROM wallets.requests WHERE id = $1", request.id)
    assert scopes == ["transfers:write"]


async def test_what_takes_a_second_person_asks_for_one_at_once(office: Office, ada: Principal, hers: str) -> None:
    rich = await office.wallet(ada, holding="500.00")
    with pytest.raises(Deferred) as waits:
        await office.accept(ada, "withdrawal", source=rich, amount="200", key="k")
    assert (await office.wallets.requests.page(principal=ada)).items == []
    checker = await person(office.database, "treasurer")
    await office.approve(checker, waits.value.waits_for)
    again = await office.accepted(ada, "withdrawal", source=rich, amount="200", key="k")
    assert again.moved is not None
    assert again.moved.replayed
    assert await office.posted(rich) == "300.00"
    assert hers


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


async def test_no_hand_can_turn_a_request_back(office: Office, ada: Principal, hers: str, his: str) -> None:
    done, new = await office.accept(ada, source=hers, target=his), await office.accept(ada, source=hers, target=his)
    await office.carry_out(done)
    async with office.database.connection() as connection:
        await connection.execute("UPDATE wallets.requests SET status = 'processing' WHERE id = $1", new.id)
        for request, change in (
            (done, "status = 'accepted', ended_at = NULL, transfer_id = NULL"),
            (done, "status = 'processing', ended_at = NULL, transfer_id = NULL"),
            (done, "status = 'cancelled', ends_as = 'cancelled', transfer_id = NULL"),
            (done, "tries = 0"),
            (new, "status = 'accepted'"),
            (new, "status = 'completed'"),
            (new, "status = 'cancelled', ended_at = now()"),
        ):
            with pytest.raises(asyncpg.CheckViolationError):
                await connection.execute(f"UPDATE wallets.requests SET {change} WHERE id = $1", request.id)
        for forbidden in ("owner_id = gen_random_uuid()", "content = '{}'", "scopes = '{operator}'"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"UPDATE wallets.requests SET {forbidden} WHERE id = $1", new.id)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM wallets.requests WHERE id = $1", new.id)


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
