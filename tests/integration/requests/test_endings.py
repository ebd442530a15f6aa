"""Requests that are cancelled or that nobody carries out in time, and that each of them ends in one way alone."""

import asyncio
import contextlib
from datetime import timedelta

import asyncpg
import msgspec
import pytest

from billfold.kernel.idempotency import IdempotencyKeyInUse
from billfold.kernel.principal import MissingScope, Principal
from billfold.ledger import errors as ledger_errors
from billfold.wallets import errors
from billfold.wallets.contracts import ORDER_SCOPES, MoneyRequest, OrderKind
from tests.integration.approvals.people import person
from tests.integration.requests.support import Office
from tests.integration.wallets.support import without


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


@pytest.mark.parametrize("kind", sorted(ORDER_SCOPES))
async def test_whoever_can_send_a_request_can_cancel_it_and_who_can_send_all_others_can_not(
    office: Office, ada: Principal, kind: OrderKind
) -> None:
    mine, other = await office.wallet(ada, holding="10.00"), await office.wallet(ada)
    sides = {"transfer": (mine, other), "deposit": (None, mine), "withdrawal": (mine, None)}
    source, target = sides[kind]
    # A program, which asks nobody before it deposits.
    program = msgspec.structs.replace(ada, user_id=None, is_session=False)
    alone = msgspec.structs.replace(program, scopes=frozenset({ORDER_SCOPES[kind]}))
    others = without(msgspec.structs.replace(program, scopes=frozenset(ORDER_SCOPES.values())), ORDER_SCOPES[kind])
    request = await office.accept(alone, kind, source=source, target=target)
    cancel = office.wallets.requests.cancel
    # A stranger learns nothing, whatever they can do.
    for scopes in (alone.scopes, others.scopes, frozenset[str]()):
        stranger = msgspec.structs.replace(await person(office.database, "user"), scopes=scopes)
        with pytest.raises(errors.RequestUnknown):
            await cancel(principal=stranger, request_id=request.id)
    with pytest.raises(MissingScope):
        await cancel(principal=others, request_id=request.id)
    cancelled = await cancel(principal=alone, request_id=request.id)
    assert (cancelled.kind, cancelled.status) == (kind, "cancelled")
    with pytest.raises(MissingScope):
        await cancel(principal=others, request_id=request.id)
    assert await office.carry_out(request) == {}
    assert await office.posted(mine) == "10.00"
