"""A small ledger with one of everything, for tests that look at all of it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from billfold.ledger.contracts import Transfer
from tests.integration.ledger.support import Bank, key, new


class Furniture(msgspec.Struct, frozen=True):
    """The ids of what is there."""

    a: UUID
    b: UUID
    #: Everything that came has gone again.
    empty: UUID
    paid: UUID
    #: The last entry of `a` and of `b`.
    last: UUID
    #: Back-dated, from `a` to `b`; others are before and after it.
    late: UUID
    #: Of `reversed` by all of its amount, which is more than that of `small` from and to the same accounts.
    reversal: UUID
    reversed: UUID
    small: UUID
    active: UUID
    settled: UUID
    released: UUID
    settlement: UUID


async def furnish(bank: Bank) -> Furniture:
    a, b = await bank.accounts(2, 1_000)
    empty = await bank.account(10)
    await bank.pay(empty, bank.outside, 10)
    paid = await bank.pay(a, b, 100)
    await bank.post(new(a, b, 10), new(b, empty, 10), new(empty, a, 10))
    await bank.pay(a, b, 2, effective_at=datetime(1950, 1, 1, tzinfo=UTC))
    late = await bank.pay(a, b, 3, effective_at=datetime(2020, 2, 29, tzinfo=UTC))
    await bank.pay(b, a, 1, effective_at=datetime(2020, 2, 29, tzinfo=UTC))
    await bank.pay(a, b, 4, effective_at=datetime(2021, 1, 1, tzinfo=UTC))
    small, large = await bank.pay(a, b, 3), await bank.pay(a, b, 5)
    reversal = (await bank.ledger.reverse(key=key(), transfer_id=large.id, amount=None)).single()
    active = await bank.hold(a, 50, expires_at=await bank.now() + timedelta(days=1))
    settled = await bank.hold(a, 30)
    first = await bank.ledger.settle_hold(key=key(), hold_id=settled, credit_account=b, amount=10, release_rest=False)
    assert isinstance(first.transfer, Transfer)
    await bank.ledger.settle_hold(key=key(), hold_id=settled, credit_account=b, amount=5, release_rest=True)
    released = await bank.hold(a, 20)
    await bank.ledger.release_hold(key=key(), hold_id=released)
    async with bank.database.transaction() as connection:
        await bank.ledger.reserve(keys=[key()], transaction=connection)
    last = await bank.pay(a, b, 1)
    return Furniture(
        a=a,
        b=b,
        empty=empty,
        paid=paid.id,
        last=last.id,
        late=late.id,
        reversal=reversal.id,
        reversed=large.id,
        small=small.id,
        active=active,
        settled=settled,
        released=released,
        settlement=first.transfer.id,
    )
