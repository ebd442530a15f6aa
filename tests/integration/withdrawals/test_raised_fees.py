"""Who asks for a higher fee is who pays for it, and asks for one thing with one key."""

from __future__ import annotations

from uuid import UUID

import pytest

from billfold.custody import errors
from billfold.kernel import idempotency, ids
from billfold.kernel.idempotency import IdempotencyKeyReused, Key
from tests.integration.withdrawals.support import Office


@pytest.mark.parametrize("chain_name", ["ethereum"], indirect=True)
async def test_a_key_that_has_raised_one_fee_raises_no_other_and_holds_nothing(office: Office) -> None:
    account = await office.customer(10_000)
    first, second = [(await office.request(account, 1_000, to, speed="slow")).withdrawal for to in ("sim-a", "sim-b")]
    await office.work()

    def key(withdrawal_id: UUID) -> Key:
        return idempotency.key(owner=account, text="once", operation="bump", content=withdrawal_id.bytes)

    await office.withdrawals.bump(withdrawal_id=first.id, key=key(first.id))
    held = await office.posted(account)
    for _ in range(3):
        with pytest.raises(IdempotencyKeyReused):
            await office.withdrawals.bump(withdrawal_id=second.id, key=key(second.id))
    assert await office.posted(account) == held
    ended = await office.finish(first.id, second.id)
    await office.withdrawals.bump(withdrawal_id=first.id, key=key(first.id))
    await office.check_conserved(*ended)


@pytest.mark.parametrize("chain_name", ["bitcoin"], indirect=True)
async def test_who_has_cancelled_does_not_raise_the_fee_of_those_who_shared_the_transaction(office: Office) -> None:
    one, other = [await office.customer(100_000) for _ in range(2)]
    asked = [(await office.request(who, 1_000, to)).withdrawal for who, to in ((one, "sim-a"), (other, "sim-b"))]
    await office.work()
    await office.withdrawals.cancel(withdrawal_id=asked[1].id)
    await office.work()
    before = await office.posted(other)
    for _ in range(3):
        with pytest.raises(errors.WithdrawalTooLate):
            await office.bump(asked[1].id, key=str(ids.new()))
        await office.work()
    assert await office.posted(other) == before
    ended = await office.finish(*(one.id for one in asked))
    assert [one.status for one in ended] == ["settled", "cancelled"]
    await office.check_conserved(*ended)
