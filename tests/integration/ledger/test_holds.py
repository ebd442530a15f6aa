"""Holds on the real ledger: their life, their events, and that each ends once."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from billfold.kernel import ids
from billfold.kernel.assets import Asset
from billfold.ledger import errors
from billfold.ledger.contracts import HoldChange, NewAccount, NewHold, Transfer
from billfold.platform.postgres import database
from tests import servers
from tests.integration.ledger.support import PATIENCE_S, Bank, execute, key, names

SOON = timedelta(days=1)


async def overdue(dsn: str, *holds: UUID) -> None:
    listed = ", ".join(f"'{hold}'" for hold in holds)
    await execute(dsn, f"UPDATE ledger.holds SET expires_at = '2026-01-01T00:00:00Z' WHERE id IN ({listed})")


async def test_a_hold_sets_money_aside_and_settles_in_parts(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    placed = await bank.ledger.place_hold(
        key=key(), hold=NewHold(account=a, amount=80, asset="USD", reference="R", description="D")
    )
    assert placed.transfer is None
    hold = placed.hold.id
    with pytest.raises(errors.InsufficientFunds):
        await bank.pay(a, b, 21)
    first = await bank.ledger.settle_hold(key=key(), hold_id=hold, credit_account=b, amount=30, release_rest=False)
    assert first.transfer is not None
    assert (first.transfer.amount, first.transfer.kind, first.transfer.reference) == (30, "settlement", "R")
    last = await bank.ledger.settle_hold(key=key(), hold_id=hold, credit_account=b, amount=None, release_rest=False)
    assert (last.hold.status, last.hold.settled, last.hold.remaining) == ("settled", 80, 0)
    assert await bank.ledger.hold(hold_id=hold) == last.hold
    assert await bank.balances(a, b) == [20, 180]


async def test_what_is_released_is_available_again(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    hold = await bank.hold(a, 100)
    released = await bank.ledger.release_hold(key=key(), hold_id=hold)
    assert (released.hold.status, released.hold.ended_at is not None) == ("released", True)
    await bank.pay(a, b, 100)
    with pytest.raises(errors.HoldEnded):
        await bank.ledger.release_hold(key=key(), hold_id=hold)


@pytest.mark.in_process("calls of their own come in any order")
async def test_holds_of_one_batch_follow_each_other(bank: Bank) -> None:
    """Two settlements and a release of the same hold at once: the first that fits, fits."""
    a, b = await bank.accounts(2, 100)
    hold = await bank.hold(a, 50)

    async def settle(amount: int) -> HoldChange:
        return await bank.ledger.settle_hold(
            key=key(), hold_id=hold, credit_account=b, amount=amount, release_rest=False
        )

    outcomes = await asyncio.gather(
        settle(30), settle(30), bank.ledger.release_hold(key=key(), hold_id=hold), settle(1), return_exceptions=True
    )
    assert names(outcomes) == ["HoldChange", "SettlementExceedsHold", "HoldChange", "HoldEnded"]
    assert await bank.balances(a, b) == [70, 130]
    (account,) = await bank.ledger.accounts(ids=[a])
    assert account.held == 0


async def test_processes_that_settle_release_and_expire_at_once_end_each_hold_once(
    own_bank: Bank, own_database: servers.TestDatabase
) -> None:
    bank = own_bank
    a, b = await bank.accounts(2, 10_000)
    # Were a hold to end twice, the money of this one would be given back.
    await bank.hold(a, 5_000)
    holds = [await bank.hold(a, 10, expires_at=await bank.now() + SOON) for _ in range(60)]
    async with Bank.opened(own_database.app_dsn) as other:

        async def end(process: Bank, hold: UUID, way: int) -> object:
            try:
                if way == 0:
                    return await process.ledger.release_hold(key=key(), hold_id=hold)
                return await process.ledger.settle_hold(
                    key=key(), hold_id=hold, credit_account=b, amount=None, release_rest=False
                )
            except errors.HoldEnded:
                return None

        ended = await asyncio.gather(*[end((bank, other)[n % 2], hold, n // 2) for hold in holds for n in range(4)])
    assert sum(isinstance(one, HoldChange) for one in ended) == len(holds)
    settled = sum(isinstance(one, HoldChange) and isinstance(one.transfer, Transfer) for one in ended)
    assert await bank.balances(a, b) == [10_000 - 10 * settled, 10_000 + 10 * settled]
    assert (await bank.ledger.accounts(ids=[a]))[0].held == 5_000
    await bank.verified()


async def test_two_processes_that_expire_at_once_expire_each_hold_once(
    own_bank: Bank, own_database: servers.TestDatabase
) -> None:
    bank = own_bank
    a = await bank.account(1_000)
    holds = [await bank.hold(a, 10, expires_at=await bank.now() + SOON) for _ in range(40)]
    kept = await bank.hold(a, 5, expires_at=await bank.now() + SOON)
    await overdue(own_database.owner_dsn, *holds)
    async with Bank.opened(own_database.app_dsn) as other:
        counts = await asyncio.gather(
            *[process.ledger.expire_holds(limit=25) for process in (bank, other, bank, other)]
        )
        while left := await bank.ledger.expire_holds(limit=25):
            counts.append(left)
    assert sum(counts) == len(holds)
    assert {(await bank.ledger.hold(hold_id=hold)).status for hold in holds} == {"expired"}
    assert (await bank.ledger.hold(hold_id=kept)).status == "active"
    (account,) = await bank.ledger.accounts(ids=[a])
    assert account.held == 5
    told = await bank.count(
        "SELECT count(*) FROM messaging.outbox WHERE convert_from(payload, 'UTF8') LIKE '%hold.expired.v1%'"
        " AND kind = 'event'"
    )
    assert told == len(holds)
    await bank.verified()


async def test_an_overdue_hold_can_not_be_settled_before_anybody_marks_it(
    own_bank: Bank, own_database: servers.TestDatabase
) -> None:
    a, b = await own_bank.accounts(2, 100)
    hold = await own_bank.hold(a, 50, expires_at=await own_bank.now() + SOON)
    await overdue(own_database.owner_dsn, hold)
    with pytest.raises(errors.HoldEnded):
        await own_bank.ledger.settle_hold(key=key(), hold_id=hold, credit_account=b, amount=1, release_rest=False)
    assert await own_bank.ledger.expire_holds(limit=10) == 1
    assert await own_bank.ledger.expire_holds(limit=10) == 0


async def test_an_overdue_hold_is_released_while_nobody_marks_it(
    own_bank: Bank, own_database: servers.TestDatabase
) -> None:
    (a,) = await own_bank.accounts(1, 100)
    hold = await own_bank.hold(a, 50, expires_at=await own_bank.now() + SOON)
    await overdue(own_database.owner_dsn, hold)
    change = await own_bank.ledger.release_hold(key=key(), hold_id=hold)
    assert change.hold.status == "released"
    (account,) = await own_bank.ledger.accounts(ids=[a])
    assert (account.held, account.available) == (0, 100)
    assert await own_bank.ledger.expire_holds(limit=10) == 0
    await own_bank.verified()


async def test_holds_are_listed_newest_first_and_by_their_state(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    holds = [await bank.hold(account, 1) for account in (a, b, a, b, a)]
    await bank.ledger.release_hold(key=key(), hold_id=holds[2])
    listed = await bank.ledger.holds(account_ids=[a, b], status=None, after=None, limit=3)
    assert [hold.id for hold in listed] == holds[:1:-1]
    rest = await bank.ledger.holds(account_ids=[a, b], status=None, after=listed[-1].id, limit=3)
    assert [hold.id for hold in rest] == holds[1::-1]
    active = await bank.ledger.holds(account_ids=[a], status="active", after=None, limit=10)
    assert [hold.id for hold in active] == [holds[4], holds[0]]


async def test_an_expiry_in_the_past_is_refused_by_the_clock_of_the_database(bank: Bank) -> None:
    a = await bank.account(100)
    with pytest.raises(errors.ExpiryInPast):
        await bank.hold(a, 1, expires_at=await bank.now())
    far = datetime(9999, 12, 31, tzinfo=UTC)
    hold = await bank.hold(a, 1, expires_at=far)
    assert (await bank.ledger.hold(hold_id=hold)).expires_at == far


async def test_a_settlement_can_be_reversed_and_its_hold_stays_ended(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    hold = await bank.hold(a, 50)
    change = await bank.ledger.settle_hold(key=key(), hold_id=hold, credit_account=b, amount=None, release_rest=False)
    assert change.transfer is not None
    await bank.ledger.reverse(key=key(), transfer_id=change.transfer.id, amount=None)
    assert await bank.balances(a, b) == [100, 100]
    assert (await bank.ledger.hold(hold_id=hold)).status == "settled"


async def test_a_process_holds_what_another_has_added_even_with_its_only_connection(
    own_database: servers.TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event of a hold needs the asset's scale, which this process has never seen."""
    # Whoever waits for a second connection while they have the only one waits for longer than this test does.
    monkeypatch.setattr(database, "ACQUIRE_TIMEOUT_S", 4 * PATIENCE_S)
    async with Bank.opened(own_database.app_dsn, size=1) as bank, Bank.opened(own_database.app_dsn) as other:
        await other.ledger.add_asset(asset=Asset(code="NEW", scale=3, kind="fiat", name="New"))
        outside = await other.ledger.external_account(asset="NEW")
        account = ids.new()
        await other.ledger.open_accounts(accounts=[NewAccount(id=account, asset="NEW")])
        await other.pay(outside, account, 5_000, asset="NEW")
        async with asyncio.timeout(PATIENCE_S):
            change = await bank.ledger.place_hold(key=key(), hold=NewHold(account=account, amount=1_500, asset="NEW"))
        payload = await bank.count(
            "SELECT payload FROM messaging.outbox WHERE kind = 'event' ORDER BY seq DESC LIMIT 1"
        )
    told = msgspec.json.decode(msgspec.convert(payload, bytes))
    assert told["type"] == "hold.placed.v1"
    assert told["subject"] == str(change.hold.id)
    assert told["data"]["money"] == {"amount": "1.500", "asset": "NEW"}
