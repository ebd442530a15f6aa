"""What was asked for, and may not leave any more."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from billfold.ledger.contracts import AccountStatus
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
