"""What is decided about deposits that are to be swept, and step 3 of it: stored under the lock of the chain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from billfold.chains.port import Chain, Payment, Rate
from billfold.custody.service.withdrawals.allocating import new_allocation
from billfold.custody.store import allocations, queue, sweeps
from billfold.custody.store.allocations import AllocationRow
from billfold.custody.store.queue import Tx
from billfold.kernel import ids
from billfold.platform.postgres.database import Connection

#: So many sweeps wait for a block at a time: each is looked at each second.
LIVING_MAX = 200
#: So many transactions bring fees at a time: they are the house's, which has withdrawals to pay, too.
GAS_LIVING_MAX = 20


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction for the deposits at an address: it takes them to the house, or brings them what that costs."""

    kind: Literal["sweep", "gas"]
    #: Whose deposits it is for.
    address: str
    source: str
    payment: Payment
    rate: Rate
    fee_limit: int
    nonce: int | None
    anchor: tuple[str, int] | None = None
    #: Who pays the fee, where that is not the source.
    payer: str | None = None

    @property
    def of_the_house(self) -> int:
        """How much coin it takes from the house's address."""
        if self.kind == "gas":
            return self.payment.amount + self.fee_limit
        return 0 if self.payer is None else self.fee_limit


class Stored(msgspec.Struct):
    """What has become of plans."""

    done: int = 0
    #: Addresses that have to wait for others.
    late: set[str] = msgspec.field(default_factory=set)
    #: And those for which the house has no coin left.
    short: set[str] = msgspec.field(default_factory=set)


async def store(
    connection: Connection, chain: Chain, plans: Sequence[Plan], *, token: str, hot: str, held: int, now: datetime
) -> Stored:
    """Allocate what may be. `held` is what the house's address has of the coin by the nodes."""
    await allocations.lock_chain(connection, chain.name)
    living = dict(await allocations.living(connection, chain.name))
    committed, fees = await queue.committed(connection, chain.name)
    left = held - committed.get(None, 0) - fees
    swept = sum(units for source, units in living.items() if source != hot)
    found = Stored()
    for plan in plans:
        is_gas = plan.kind == "gas"
        busy = living.get(hot, 0) >= GAS_LIVING_MAX if is_gas else bool(living.get(plan.source)) or swept >= LIVING_MAX
        if busy or living.get(plan.address):
            found.late.add(plan.address)
        elif plan.of_the_house and left < plan.of_the_house:
            found.short.add(plan.address)
        elif await _insert(connection, chain, plan, token=token, now=now):
            found.done += 1
            living[plan.source] = living.get(plan.source, 0) + 1
            left -= plan.of_the_house
            swept += not is_gas
    return found


async def _insert(connection: Connection, chain: Chain, plan: Plan, *, token: str, now: datetime) -> bool:
    nonce = plan.nonce
    if nonce is not None:
        (nonce,) = await allocations.next_nonces(connection, chain.name, plan.source, least=nonce, count=1)
    allocation = new_allocation(chain, plan.source, change=plan.payer, nonce=nonce, anchor=plan.anchor)
    await allocations.insert(connection, allocation, now=now)
    if not await sweeps.take(connection, chain.name, plan.address, token=token, allocation_id=allocation.id):
        # Another process has swept it meanwhile, and that has ended already.
        await allocations.change(connection, allocation.id, state="freed", next_at=now)
        return False
    await insert_own(
        connection, allocation, plan.kind, [plan.payment], rate=plan.rate, fee_limit=plan.fee_limit, now=now
    )
    return True


async def insert_own(
    connection: Connection,
    allocation: AllocationRow,
    kind: queue.Kind,
    payments: Sequence[Payment],
    *,
    rate: Rate,
    fee_limit: int,
    now: datetime,
) -> None:
    """Add a transaction of the house's own, with what it pays."""
    tx = Tx(
        id=ids.new(),
        allocation_id=allocation.id,
        chain=allocation.chain,
        kind=kind,
        rate=rate.numbers,
        fee_limit=fee_limit,
        state="allocated",
        created_at=now,
    )
    await queue.insert_tx(connection, tx, [(payment, None) for payment in payments])
