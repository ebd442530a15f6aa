"""Requests that are accepted now and carried out later, or refused at once, and who sees them."""

import asyncio

import pytest

from billfold.kernel import ids
from billfold.kernel.deferred import Deferred
from billfold.kernel.idempotency import IdempotencyKeyReused
from billfold.kernel.principal import MissingScope, Principal
from billfold.ledger import errors as ledger_errors
from billfold.wallets import errors
from billfold.wallets.contracts import RequestLimits
from tests import servers
from tests.integration.approvals.people import person
from tests.integration.requests.support import Office, opened
from tests.integration.wallets.support import without


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
