"""What may still be changed: a withdrawal is cancelled, or its transaction offers more for its place in a block.

Before anything is signed its transaction is simply dropped: whoever has it in hand can't store a signature any more.
Afterwards only a replacement helps, which uses up the same, so that of the two one at most can happen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from billfold.chains.errors import NotReplaceable
from billfold.chains.port import COINS_ESTIMATED, Chain, Payment, Rate
from billfold.custody import errors
from billfold.custody.domain import withdrawals as rules
from billfold.custody.service.withdrawals.asking import Asking
from billfold.custody.service.withdrawals.ending import Ending, new_tx
from billfold.custody.service.withdrawals.fees import Fees
from billfold.custody.service.withdrawals.parts import REPLACEMENTS_MAX, Parts
from billfold.custody.store import allocations, children, queue
from billfold.custody.store import withdrawals as store
from billfold.custody.store.allocations import AllocationRow
from billfold.custody.store.queue import Tx
from billfold.custody.store.withdrawals import Row
from billfold.kernel.idempotency import IdempotencyKeyReused, Key
from billfold.platform.postgres.database import Connection

#: A cancellation may cost so much more than what it cancels, or as much more as the chain asks of a replacement.
_CLEAR_COSTS = 2


class Replacing:
    """Cancels withdrawals and raises their fees."""

    def __init__(self, parts: Parts, asking: Asking, ending: Ending, fees: Fees) -> None:
        self._parts = parts
        self._asking = asking
        self._ending = ending
        self._fees = fees

    async def cancel(self, *, withdrawal_id: UUID) -> None:
        """Give the money back if nothing was signed; else try to be sooner than the transaction. Again is no change.

        Raises:
            WithdrawalUnknown, WithdrawalTooLate.
        """
        async with self._parts.database.transaction() as connection:
            seen = await store.find(connection, withdrawal_id)
            if seen is not None:
                await allocations.lock_chain(connection, seen.row.chain)
            allocation, row = await self._locked(connection, withdrawal_id)
            if row.outcome == "cancelled" or (row.cancel_asked and row.outcome is None):
                return
            if row.state in ("requested", "held"):
                await self._ending.cancelled(connection, row)
            elif row.state == "allocated" and allocation is not None and allocation.state == "living":
                await self._withdraw(connection, allocation, row)
            else:
                raise errors.WithdrawalTooLate
        await self._ended_at_once(withdrawal_id)

    async def bump(self, *, withdrawal_id: UUID, key: Key) -> None:
        """Replace its transaction by one that offers more, the difference held on its owner's account.

        Raises:
            WithdrawalUnknown, WithdrawalTooLate, IdempotencyKeyReused, NodeUnavailable, FeesUnknown.
            InsufficientFunds, and whatever else refuses a hold.
        """
        async with self._parts.database.transaction() as connection:
            allocation, row = await self._locked(connection, withdrawal_id)
            if await _is_repeated(connection, row, key):
                return
            txs = [] if allocation is None else await queue.txs(connection, allocation.id)
            latest = _replaceable(row, txs)
            assert allocation is not None, "it has a transaction"
            await _check_childless(connection, allocation)
            pays = await queue.payments(connection, latest.id)
            coins = len((await allocations.content(connection, allocation)).coins)
        chain = self._parts.chain(row.chain)
        rate = await self._raised(chain, latest)
        estimate = await chain.estimate([payment for payment, _ in pays], source=allocation.source, rate=rate)
        # What more coins cost than were estimated is the house's, before and now; of tokens and refunds all of it is.
        is_house = row.token is not None or row.wallet_id is None
        many = max(coins - COINS_ESTIMATED, 0)
        more, before = (many * chain.coin_fee(rate=one) for one in (rate, latest.offered))
        limit = max(rules.set_aside(estimate) + more, latest.fee_limit)
        extra = 0 if is_house else max(limit - more - (latest.fee_limit - before), 0)
        if is_house and limit > max(await self._parts.house_fee_max(chain), latest.fee_limit):
            raise errors.WithdrawalTooLate("The house pays no higher fee for this; wait for it, or cancel it.")
        held = await self._held(row, extra)
        async with self._parts.database.transaction() as connection:
            allocation, row = await self._locked(connection, withdrawal_id)
            txs = [] if allocation is None else await queue.txs(connection, allocation.id)
            if await _is_repeated(connection, row, key):
                # The same request has come twice, and the other one was faster. This one's hold ends with the rest.
                return
            if allocation is None or _replaceable(row, txs).id != latest.id:
                raise errors.WithdrawalTooLate
            await _check_childless(connection, allocation)
            if held is not None:
                await store.name_hold(connection, row.id, *held)
                await store.raise_fee(connection, row.id, by=extra)
            new = new_tx(allocation, latest, kind="pay", rate=rate, fee_limit=limit, now=self._parts.now())
            await self._insert(connection, allocation, msgspec.structs.replace(new, id=key.digest), pays)

    async def _held(self, row: Row, extra: int) -> tuple[int, UUID] | None:
        """What is held besides, and its number; its row comes first, so that it is given back whatever happens."""
        if not extra:
            return None
        async with self._parts.database.transaction() as connection:
            _, row = await self._locked(connection, row.id)
            if row.state != "allocated":
                raise errors.WithdrawalTooLate
            number = len(await store.holds(connection, row.id)) + 1
            await store.add_hold(connection, row.id, number=number, amount=extra)
        return number, await self._asking.placed(row, number, extra)

    async def _withdraw(self, connection: Connection, allocation: AllocationRow, row: Row) -> None:
        """Take a withdrawal out of its transaction."""
        chain = self._parts.chain(row.chain)
        known = await queue.txs(connection, allocation.id)
        txs = [tx for tx in known if tx.is_living]
        await store.ask_cancel(connection, row.id)
        if all(tx.raw is None for tx in txs):
            if any(tx.is_loose for tx in known):
                # Somebody may have signed it. It is given back when that can't be any more.
                return
            for tx in txs:
                await self._ending.drop(connection, chain, allocation, tx, reason="cancelled")
            return
        latest = _replaceable(row, txs)
        await _check_childless(connection, allocation)
        others = [one for one in await queue.payments(connection, latest.id) if one[1] not in (None, row.id)]
        asked = {one.id for one in await store.of_allocation(connection, allocation.id) if one.cancel_asked}
        pays: Sequence[tuple[Payment, UUID | None]] = [one for one in others if one[1] not in asked]
        if not pays:
            clearing = rules.clearing(chain.model, allocation.source, endures=allocation.endures)
            if clearing is None:
                raise errors.WithdrawalTooLate
            pays = [(payment, None) for payment in clearing]
        try:
            # Of two with the same durable nonce nodes take the second as well, whatever it offers.
            rate = latest.offered if allocation.endures else chain.raised(latest.offered)
        except NotReplaceable as error:
            raise errors.WithdrawalTooLate from error
        kind: queue.Kind = "pay" if others and pays[0][1] is not None else "clear"
        limit = latest.fee_limit * max(_CLEAR_COSTS, _dearer(latest.offered, rate))
        now = self._parts.now()
        await self._insert(
            connection, allocation, new_tx(allocation, latest, kind=kind, rate=rate, fee_limit=limit, now=now), pays
        )

    async def _insert(
        self, connection: Connection, allocation: AllocationRow, tx: Tx, pays: Sequence[tuple[Payment, UUID | None]]
    ) -> None:
        await queue.insert_tx(connection, tx, pays)
        await allocations.change(connection, allocation.id, state="living", next_at=tx.created_at)

    async def _raised(self, chain: Chain, latest: Tx) -> Rate:
        """What nodes take as a replacement, and no less than what is offered for the next blocks."""
        try:
            least: Mapping[str, int] = chain.raised(latest.offered).numbers
        except NotReplaceable as error:
            raise errors.WithdrawalTooLate from error
        fast = (await self._fees.rates(chain)).by_speed["fast"].numbers
        return Rate(numbers={name: max(units, fast.get(name, 0)) for name, units in least.items()})

    async def _locked(self, connection: Connection, withdrawal_id: UUID) -> tuple[AllocationRow | None, Row]:
        """A withdrawal and its allocation, taken from whoever has them in hand; the allocation first, as all do."""
        seen = await store.find(connection, withdrawal_id)
        if seen is None:
            raise errors.WithdrawalUnknown
        allocation = None
        if seen.row.allocation_id is not None:
            allocation = await allocations.lock(connection, seen.row.allocation_id)
        row = await store.lock(connection, withdrawal_id)
        assert row is not None, "no withdrawal is deleted"
        if row.allocation_id != seen.row.allocation_id:
            raise errors.WithdrawalTooLate("It is being changed at this moment; try again.")
        return allocation, row

    async def _ended_at_once(self, withdrawal_id: UUID) -> None:
        """Have the ledger give the money back now, and not when the worker comes by."""
        async with self._parts.database.transaction() as connection:
            row = await store.take_one(connection, withdrawal_id, until=self._parts.now() + timedelta(seconds=30))
        if row is not None and row.state == "settling":
            await self._ending.settle(row)


def _dearer(before: Rate, after: Rate) -> int:
    """How many times as much is offered, rounded up: Stellar's nodes ask for ten times."""
    return max((-(-after.numbers[name] // max(units, 1)) for name, units in before.numbers.items()), default=1)


async def _check_childless(connection: Connection, allocation: AllocationRow) -> None:
    """Nodes want a replacement to pay for all that builds on what it replaces, and nobody has asked its owner to."""
    if await children.has_one(connection, allocation.id):
        raise errors.WithdrawalTooLate("The house pays for its place in a block already; wait for it.")


async def _is_repeated(connection: Connection, row: Row, key: Key) -> bool:
    """Whether the same was asked for with this key before, which is the id of what it has brought about.

    Raises:
        IdempotencyKeyReused: something else was.
    """
    paid = {one for _, one in await queue.payments(connection, key.digest)}
    if paid and row.id not in paid:
        raise IdempotencyKeyReused
    return bool(paid)


def _replaceable(row: Row, txs: Sequence[Tx]) -> Tx:
    """The transaction that was sent last, if it may still be replaced.

    Raises:
        WithdrawalTooLate
    """
    living = [tx for tx in txs if tx.is_living]
    if row.state != "allocated" or row.cancel_asked or not living or len(txs) > REPLACEMENTS_MAX:
        raise errors.WithdrawalTooLate
    if any(tx.state in ("mined", "final") for tx in living) or living[-1].raw is None or living[-1].kind == "clear":
        raise errors.WithdrawalTooLate
    return living[-1]
