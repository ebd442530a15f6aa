"""What was asked for, and may not leave any more."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from billfold.chains.errors import NodeUnavailable
from billfold.custody import errors
from billfold.custody.store import cursors, standings
from billfold.kernel import money
from billfold.kernel.idempotency import IdempotencyKeyReused
from billfold.ledger.contracts import AccountStatus
from billfold.ledger.errors import InsufficientFunds
from tests.integration.withdrawals import test_unsigned as unsigned
from tests.integration.withdrawals.support import Office, terms_of

only_ethereum = pytest.mark.parametrize("chain_name", ["ethereum"], indirect=True)


async def put(office: Office, account: UUID, status: AccountStatus) -> None:
    async with office.database.transaction() as connection:
        await office.ledger.set_status(account_ids=[account], status=status, transaction=connection)


def waits_for_a_day(office: Office) -> None:
    """New addresses do."""
    name = office.chain.name
    patient = msgspec.structs.replace(terms_of(name), address_wait=timedelta(hours=24))
    office.withdrawals._parts.terms[name] = patient  # type: ignore[index]


@pytest.mark.parametrize("chain_name", ["bitcoin", "ethereum"], indirect=True)
async def test_what_waits_does_not_leave_a_wallet_that_is_frozen_meanwhile(office: Office) -> None:
    account = await office.customer(100_000, coins=4)
    waits_for_a_day(office)
    asked = [(await office.request(account, 1_000, to, confirmed=False)).withdrawal for to in ("sim-a", "sim-b")]
    assert {one.status for one in asked} == {"waiting"}
    await put(office, account, "frozen")
    await office.work(ahead=timedelta(hours=25))
    for _ in range(3):
        await office.work()
        office.chain.mine()
    assert office.chain.received("sim-a") == []
    assert {(one.status, one.reason) for one in [await office.look(one.id) for one in asked]} == {
        ("held", "account_frozen")
    }
    cancelled = await office.withdrawals.cancel(withdrawal_id=asked[0].id)
    assert cancelled.status == "cancelled"
    await put(office, account, "open")
    ended = await office.finish(*(one.id for one in asked))
    assert [one.status for one in ended] == ["cancelled", "settled"]
    await office.check_conserved(*ended)


async def knows(office: Office, account: UUID, address: str) -> bool:
    """A day later."""
    office.clock.ahead += timedelta(hours=25)
    return await office.withdrawals.knows(wallet_id=account, chain=office.chain.name, address=address, memo=None)


@only_ethereum
async def test_an_address_is_not_known_from_what_was_refused_or_cancelled(office: Office) -> None:
    account = await office.customer(100_000)
    waits_for_a_day(office)
    with pytest.raises(InsufficientFunds):
        await office.request(account, 10**9, "sim-a", confirmed=False)
    assert not await knows(office, account, "sim-a")
    first, second = [(await office.request(account, 1_000, "sim-a", confirmed=False)).withdrawal for _ in range(2)]
    await office.withdrawals.cancel(withdrawal_id=first.id)
    assert await knows(office, account, "sim-a"), "one of the two is still to leave"
    late = (await office.request(account, 1_000, "sim-a", confirmed=False)).withdrawal
    assert late.waits_until is None
    await office.withdrawals.cancel(withdrawal_id=second.id)
    await office.withdrawals.cancel(withdrawal_id=late.id)
    assert not await knows(office, account, "sim-a")
    again = (await office.request(account, 1_000, "sim-a", confirmed=False)).withdrawal
    assert again.status == "waiting"


@only_ethereum
async def test_an_address_that_was_confirmed_or_paid_stays_known(office: Office) -> None:
    account = await office.customer(100_000)
    waits_for_a_day(office)
    waiting = (await office.request(account, 1_000, "sim-a", confirmed=False)).withdrawal
    confirmed = (await office.request(account, 1_000, "sim-a")).withdrawal
    for one in (waiting, confirmed):
        await office.withdrawals.cancel(withdrawal_id=one.id)
    assert await knows(office, account, "sim-a")
    paid = (await office.request(account, 1_000, "sim-b", confirmed=False)).withdrawal
    office.clock.ahead += timedelta(hours=25)
    await office.finish(paid.id)
    more = (await office.request(account, 1_000, "sim-b", confirmed=False)).withdrawal
    await office.withdrawals.cancel(withdrawal_id=more.id)
    assert await knows(office, account, "sim-b")


@only_ethereum
async def test_a_key_that_is_used_twice_at_once_names_one_address(office: Office) -> None:
    account = await office.customer(100_000)
    waits_for_a_day(office)
    both = [office.request(account, 1_000, to, key="k", confirmed=False) for to in ("sim-a", "sim-b")]
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert [type(one) for one in answers if isinstance(one, BaseException)] == [IdempotencyKeyReused]
    assert [await knows(office, account, to) for to in ("sim-a", "sim-b")].count(True) == 1


async def stop(office: Office, since: datetime | None) -> None:
    """As reconciliation does, or an operator who lets it go on."""
    async with office.database.transaction() as connection:
        standing = standings.Standing(
            asset=office.chain.coin,
            chain=office.chain.name,
            outcome="break",
            difference=-1,
            since=office.clock.now(),
            reconciled_at=office.clock.now(),
            stopped_at=since,
        )
        await standings.put(connection, standing)


@pytest.mark.parametrize("chain_name", ["bitcoin", "ethereum"], indirect=True)
async def test_what_is_not_signed_when_its_asset_is_stopped_waits(office: Office) -> None:
    account = await office.customer(100_000, coins=4)
    asked = [(await office.request(account, 1_000, to)).withdrawal.id for to in ("sim-a", "sim-b")]
    await office.withdrawals._allocating.round(office.chain)
    await stop(office, office.clock.now())
    for _ in range(3):
        await office.work()
        office.chain.mine()
    assert {((await office.look(one)).status, (await office.look(one)).reason) for one in asked} == {
        ("held", "withdrawals_stopped")
    }
    await stop(office, None)
    ended = await office.finish(*asked)
    assert {one.status for one in ended} == {"settled"}
    await office.check_conserved(*ended)


@only_ethereum
async def test_what_is_not_signed_when_its_wallet_is_frozen_does_not_hold_up_others(office: Office) -> None:
    thief, other = await office.customer(100_000), await office.customer(100_000)
    first = (await office.request(thief, 1_000, "sim-a")).withdrawal.id
    await office.withdrawals._allocating.round(office.chain)
    second = (await office.request(other, 1_000, "sim-b")).withdrawal.id
    await office.withdrawals._allocating.round(office.chain)
    await put(office, thief, "frozen")
    await office.endow(10_000)
    for _ in range(8):
        await office.work()
        office.chain.mine()
    assert (await office.look(second)).status == "settled"
    held = await office.look(first)
    assert (held.status, held.reason) == ("held", "account_frozen")


@only_ethereum
async def test_what_is_stopped_is_not_handed_out_to_be_signed(office: Office) -> None:
    withdrawal, tx = await unsigned.asked(office)
    await stop(office, office.clock.now())
    with pytest.raises(errors.UnsignedGone):
        await office.withdrawals.outside.export(tx_id=tx.id)
    await office.work()
    assert await unsigned.waiting(office) == []
    assert (await office.look(withdrawal)).reason == "withdrawals_stopped"


@pytest.mark.parametrize("chain_name", ["solana"], indirect=True)
async def test_what_died_before_its_end_was_written_is_made_anew(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await office.customer(10_000)
    office.chain.faults = ["lost"] * 30
    asked = (await office.request(account, 1_000, "sim-a")).withdrawal
    died: list[object] = []

    async def dies(*given: object, **_: object) -> None:
        died.append(given)
        raise NodeUnavailable("The database was away for a moment.")

    with monkeypatch.context() as patched:
        patched.setattr(office.withdrawals._ending, "bury", dies)
        for _ in range(20):
            await office.work()
            office.chain.mine()
            if died:
                break
    assert died
    office.chain.faults = []
    (ended,) = await office.finish(asked.id)
    assert ended.status == "settled"
    await office.check_conserved(ended)


@pytest.mark.parametrize("chain_name", ["bitcoin", "ethereum"], indirect=True)
async def test_nothing_leaves_a_chain_that_is_halted_until_an_operator_has_looked(office: Office) -> None:
    account = await office.customer(100_000, coins=4)
    name, now = office.chain.name, office.clock.now()
    block = cursors.Known(height=1, hash="b1", parent="b0", time=now)
    async with office.database.transaction() as connection:
        await cursors.begin(connection, chain=name, network="sandbox", block=block, now=now)
    allocated = (await office.request(account, 1_000, "sim-a")).withdrawal.id
    await office.withdrawals._allocating.round(office.chain)
    assert (await office.look(allocated)).status == "allocated"
    async with office.database.transaction() as connection:
        await cursors.halt(connection, name, reason="reorganisation_too_deep", detail="", now=now)
    asked = [allocated, (await office.request(account, 1_000, "sim-b")).withdrawal.id]
    for _ in range(4):
        await office.work()
        office.chain.mine()
    waiting = {(one.status, one.reason) for one in [await office.look(one) for one in asked]}
    assert waiting == {("held", "chain_halted")}
    async with office.database.transaction() as connection:
        assert await cursors.resume(connection, name, depth_allowed=10)
    ended = await office.finish(*asked)
    assert [one.status for one in ended] == ["settled"] * 2
    await office.check_conserved(*ended)


@only_ethereum
@pytest.mark.parametrize("less", [0, 50])
async def test_what_is_too_large_with_its_fees_is_refused_as_too_large(office: Office, less: int) -> None:
    account = await office.customer(10_000)
    with pytest.raises(money.AmountTooLarge):
        await office.request(account, money.UNITS_MAX - less + 1, "sim-a")
    with pytest.raises(InsufficientFunds):
        await office.request(account, money.UNITS_MAX - 50, "sim-a")
