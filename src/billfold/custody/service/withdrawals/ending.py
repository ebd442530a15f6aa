"""Steps 9 to 11 of a withdrawal: how it ends is decided and stored, then the ledger is told, and then that is stored.

What is to be posted stands in rows before anything is posted, each call with its own key. Whoever comes after a process
that died repeats the same calls, and the ledger answers what it has answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from billfold.chains.port import Chain, Rate
from billfold.custody.domain import withdrawals as rules
from billfold.custody.events.withdrawals import WithdrawalEventType
from billfold.custody.service.withdrawals import returned
from billfold.custody.service.withdrawals.asking import Asking
from billfold.custody.service.withdrawals.closing import OWN_KINDS
from billfold.custody.service.withdrawals.parts import LEASE, Overtaken, Parts
from billfold.custody.store import allocations, openings, queue, sources, sweeps, together
from billfold.custody.store import withdrawals as store
from billfold.custody.store.allocations import AllocationRow
from billfold.custody.store.queue import Tx
from billfold.custody.store.withdrawals import Outcome, Row
from billfold.kernel import ids
from billfold.kernel.errors import Unavailable
from billfold.ledger.errors import LedgerError
from billfold.platform.postgres.database import Connection

#: What the signer or its policy is against is tried again so much later; nothing but an operator changes that.
GIVEN_UP_PAUSE = timedelta(minutes=1)
#: A sweep that a block has and that failed has cost the house its fee.
FAILED_PAUSE = timedelta(hours=1)
#: So many are settled in one round.
ROUND_MAX = 200
_ENDED: dict[Outcome, store.State] = {"paid": "settled", "failed": "failed", "cancelled": "cancelled"}
_TOLD: dict[store.State, WithdrawalEventType] = {
    "settled": "withdrawal.settled.v1",
    "failed": "withdrawal.failed.v1",
    "cancelled": "withdrawal.cancelled.v1",
}

log = structlog.get_logger(__name__)


class Ending:
    """Ends withdrawals."""

    def __init__(self, parts: Parts, asking: Asking) -> None:
        self._parts = parts
        self._asking = asking

    async def round(self, chain: Chain) -> int:
        """Place holds and settle, where a process has not; say how many."""
        now = self._parts.now()
        async with self._parts.database.transaction() as connection:
            rows = await store.take(
                connection, chain.name, ["requested", "settling"], now=now, until=now + LEASE, limit=ROUND_MAX
            )
        settling = [row for row in rows if row.state == "settling"]
        left = await self.settle_all(settling) if settling else ()
        for row in (*(row for row in rows if row.state == "requested"), *left):
            try:
                await (self._asking.hold(row) if row.state == "requested" else self.settle(row))
            except Unavailable as error:
                log.warning("the ledger is waited for", withdrawal=str(row.id), why=error.detail)
            except LedgerError as error:
                log.warning("the ledger refuses a withdrawal", withdrawal=str(row.id), why=error.detail)
            except Exception:
                # What nobody has thought of in one must not stop the others.
                log.exception("a withdrawal can't be taken further", withdrawal=str(row.id))
        return len(rows)

    async def settle_all(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Have the ledger pay what has left for these, at the same time; those that are left to be settled alone."""
        async with self._parts.database.connection() as connection:
            holds = await together.holds(connection, rows)
        usual = [row for row in rows if row.wallet_id is not None]
        known = [row for row in usual if all(hold.hold_id is not None for hold in holds[row.id])]

        async def pay(row: Row) -> bool:
            held = [rules.Held(hold.hold_id, hold.amount) for hold in holds[row.id] if hold.hold_id is not None]
            try:
                await self._pay(row, held)
            except (LedgerError, Unavailable) as error:
                log.info("a withdrawal is settled by itself", withdrawal=str(row.id), why=error.detail)
                return False
            except Exception as error:  # noqa: BLE001 - the others are settled all the same
                # Whoever settles it by itself tells what is wrong with it.
                log.info("a withdrawal is settled by itself", withdrawal=str(row.id), why=type(error).__name__)
                return False
            return True

        paid = await asyncio.gather(*(pay(row) for row in known))
        done = [row for row, is_paid in zip(known, paid, strict=True) if is_paid]
        now = self._parts.now()
        async with self._parts.database.transaction() as connection:
            ended = [(row, _ENDED[row.outcome]) for row in done if row.outcome is not None]
            changed = await together.set_ended(connection, ended, now=now)
            for state, kind in _TOLD.items():
                told = [(row, row.chain_tx) for row, to in ended if to == state and row.id in changed]
                await self._parts.tell_all(connection, kind, told)
        return [row for row in rows if row not in done]

    async def finish(self, row: AllocationRow, final: Tx) -> None:
        """Decide what becomes of all who shared an allocation, of which one transaction is final."""
        assert final.fee is not None, "a block has it"
        now = self._parts.now()
        async with self._parts.database.transaction() as connection:
            await self._lock(connection, row)
            paid = {one for _, one in await queue.payments(connection, final.id) if one is not None}
            together = await store.of_allocation(connection, row.id)
            sharing = [one for one in together if one.id in paid or (final.kind == "clear" and one.cancel_asked)]
            limits = [_charged(one, final) for one in sharing]
            parts, house_fee = rules.shares(final.fee, limits)
            if final.succeeded:
                house_fee += sum(one.opening for one in sharing if one.token is not None and one.id in paid)
            part_of = {one.id: part for one, part in zip(sharing, parts, strict=True)}
            for one in together:
                if one.id in paid:
                    await self._end(
                        connection,
                        one,
                        outcome="paid" if final.succeeded else "failed",
                        fee=part_of[one.id] + (one.opening if final.succeeded and one.token is None else 0),
                        chain_tx=final.chain_tx,
                        reason=final.reason,
                    )
                elif one.cancel_asked:
                    await self._end(
                        connection, one, outcome="cancelled", fee=part_of.get(one.id, 0), chain_tx=final.chain_tx
                    )
                else:
                    await self._back(connection, one)
            if final.kind == "open" and final.succeeded:
                await openings.opened(connection, row.id)
            if not final.succeeded or final.kind in ("gas", "clear"):
                pause = timedelta() if final.succeeded else FAILED_PAUSE
                await _give_back(connection, row, until=now + pause, reason=final.reason)
            await queue.end_others(connection, row.id, final.id, now=now)
            own = final.kind in OWN_KINDS or final.kind == "open"
            state: allocations.State = "settling" if house_fee or own else "used"
            await allocations.change(connection, row.id, state=state, next_at=now, house_fee=house_fee)

    async def bury(self, row: AllocationRow, *, reason: str = "") -> None:
        """All transactions of an allocation are dead: who waited for them gets another one, and is told why."""
        async with self._parts.database.transaction() as connection:
            await self._lock(connection, row)
            await self.buried(connection, row, reason=reason)

    async def buried(self, connection: Connection, row: AllocationRow, *, reason: str) -> None:
        """The same where the caller has locked the allocation."""
        now = self._parts.now()
        for one in await store.of_allocation(connection, row.id):
            if one.cancel_asked:
                await self._end(connection, one, outcome="cancelled", fee=0, chain_tx=None)
            else:
                await self._back(connection, one, reason=reason)
        await queue.end_unsigned(connection, row.id, reason=reason, now=now)
        await allocations.change(connection, row.id, state="dead", next_at=now)
        await allocations.free_coins_of(connection, row.id)
        await _give_back(connection, row, until=now, reason="")

    async def give_up(self, chain: Chain, row: AllocationRow, tx: Tx, *, reason: str, fail: bool) -> None:
        """Drop a transaction that was never signed, and give its allocation back if it was all that had it."""
        async with self._parts.database.transaction() as connection:
            await allocations.lock_chain(connection, chain.name)
            await self._lock(connection, row)
            others = [one for one in await queue.txs(connection, row.id) if one.id != tx.id]
            if any(one.is_loose for one in others) and not any(one.is_living for one in others):
                # It stands in the place of one that may still happen, and is wanted for that.
                await allocations.postpone(connection, row, next_at=self._parts.now() + GIVEN_UP_PAUSE)
                return
            await self.drop(connection, chain, row, tx, reason=reason, fail=fail)

    async def drop(
        self,
        connection: Connection,
        chain: Chain,
        row: AllocationRow,
        tx: Tx,
        *,
        reason: str,
        fail: bool = False,
        replace: bool = False,
    ) -> None:
        """The same where the caller has locked the chain, and then the allocation. Who asked to be cancelled is.

        Otherwise somebody could give out the number after this one in the instant in which this one is given back.
        To `replace` it is to have another in its place if it was all that had the allocation.
        """
        now = self._parts.now()
        await queue.change_tx(connection, tx.id, state="dropped", now=now, reason=reason)
        if any(one.is_living for one in await queue.txs(connection, row.id)):
            await allocations.change(connection, row.id, state="living", next_at=now)
            return
        if replace:
            await self._replace(connection, chain, row, tx)
            return
        for one in await store.of_allocation(connection, row.id):
            if fail or one.cancel_asked:
                outcome: Outcome = "cancelled" if one.cancel_asked else "failed"
                await self._end(connection, one, outcome=outcome, fee=0, chain_tx=None, reason=reason)
            else:
                await self._back(connection, one, reason=reason, pause=GIVEN_UP_PAUSE)
        clearing = rules.clearing(chain.model, row.source)
        if clearing is not None and (tx.kind == "clear" or await allocations.is_followed(connection, row)):
            # Those with later numbers wait for this one, so it is used up for nothing.
            rate = Rate(numbers=tx.rate)
            filler = new_tx(row, tx, kind="clear", rate=rate, fee_limit=tx.fee_limit, now=now)
            await queue.insert_tx(connection, filler, [(payment, None) for payment in clearing])
            pause = GIVEN_UP_PAUSE if tx.kind == "clear" else timedelta()
            await allocations.change(connection, row.id, state="living", next_at=now + pause)
        else:
            await allocations.change(connection, row.id, state="freed", next_at=now)
            await allocations.free_coins_of(connection, row.id)
            await _give_back(connection, row, until=now + GIVEN_UP_PAUSE, reason=reason)

    async def _replace(self, connection: Connection, chain: Chain, row: AllocationRow, tx: Tx) -> None:
        """Let another use up the same: it pays who has not asked to be cancelled, or nobody.

        With a durable nonce it pays nobody: the same payment would be the same bytes.
        """
        now = self._parts.now()
        asked = {one.id for one in await store.of_allocation(connection, row.id) if one.cancel_asked}
        pays = [one for one in await queue.payments(connection, tx.id) if one[1] not in asked and not row.endures]
        kind = tx.kind
        if not pays and (kind == "pay" or row.endures):
            nobody = rules.clearing(chain.model, row.source, endures=row.endures)
            assert nobody is not None, "where nothing clears, nothing is replaced"
            kind, pays = "clear", [(payment, None) for payment in nobody]
        new = new_tx(row, tx, kind=kind, rate=tx.offered, fee_limit=tx.fee_limit, now=now)
        await queue.insert_tx(connection, new, pays)
        await allocations.change(connection, row.id, state="living", next_at=now)

    async def settle(self, row: Row) -> None:
        """Have the ledger pay what has left, and give back the rest.

        Raises:
            LedgerError: it could not; it is tried again.
        """
        assert row.outcome is not None, "it is stored with the state"
        await self._pay(row, await self._placed(row))
        now, state = self._parts.now(), _ENDED[row.outcome]
        async with self._parts.database.transaction() as connection:
            if await store.change(connection, row, state=state, now=now, next_at=now):
                if row.wallet_id is None:
                    await returned.ended(connection, self._parts, row, paid=row.outcome == "paid")
                await self._parts.tell(connection, _TOLD[state], row)

    async def _pay(self, row: Row, holds: Sequence[rules.Held]) -> None:
        for number, step in enumerate(rules.plan(holds, await self._dues(row))):
            key = rules.key(row.id, f"end-{number}")
            if step.account is None:
                await self._parts.ledger.release_hold(key=key, hold_id=step.hold_id)
            else:
                await self._parts.ledger.settle_hold(
                    key=key,
                    hold_id=step.hold_id,
                    credit_account=step.account,
                    amount=step.amount,
                    release_rest=step.release_rest,
                    # The chain has paid. A wallet that was frozen since, or has lost a deposit, pays all the same.
                    forced=True,
                )

    async def _placed(self, row: Row) -> list[rules.Held]:
        """All holds. One that nobody knows about is placed again, which gives the same one, to be given back."""
        async with self._parts.database.connection() as connection:
            holds = await store.holds(connection, row.id)
        found = []
        for hold in holds:
            hold_id = hold.hold_id
            if hold_id is None:
                try:
                    hold_id = await self._asking.placed(row, hold.number, hold.amount)
                except LedgerError as error:
                    if isinstance(error, Unavailable):
                        raise
                    continue  # It was refused, so there is none.
            found.append(rules.Held(hold_id, hold.amount))
        return found

    async def _dues(self, row: Row) -> Sequence[rules.Due]:
        """What goes where: to the chain what has left for it, to the house its fee. A token has no network fee."""
        assert row.fee_paid is not None
        fee = row.fee_paid if row.token is None else 0
        left = fee + (row.amount if row.outcome == "paid" else 0)
        earned = row.service_fee if row.outcome == "paid" else 0
        if row.wallet_id is None:
            # Nothing of the deposit stays in suspense: the house has it, or has paid for nothing.
            left, earned = (left, row.total - left) if row.outcome == "paid" else (0, 0)
        dues = []
        if left:
            dues.append(rules.Due(await self._parts.omnibus(row.asset), left))
        if earned:
            dues.append(rules.Due(await self._parts.fees(row.asset), earned))
        return dues

    async def _end(
        self,
        connection: Connection,
        row: Row,
        *,
        outcome: Outcome,
        fee: int,
        chain_tx: str | None,
        reason: str = "",
    ) -> None:
        now = self._parts.now()
        changed = await store.change(
            connection,
            row,
            state="settling",
            now=now,
            next_at=now,
            outcome=outcome,
            fee_paid=fee,
            chain_tx=chain_tx,
            reason=reason,
        )
        assert changed, "its row is locked"
        if outcome == "cancelled" and row.wallet_id is not None:
            await sources.forget_destination(
                connection, row.wallet_id, chain=row.chain, address=row.address, memo=row.memo
            )

    async def _back(
        self, connection: Connection, row: Row, *, reason: str = "", pause: timedelta | None = None
    ) -> None:
        """Let it be allocated anew; its old transaction never happens."""
        now = self._parts.now()
        next_at = now + (rules.pause(row.attempts) if pause is None else pause)
        await store.change(connection, row, state="held", now=now, next_at=next_at, allocation_id=None, reason=reason)

    async def cancelled(self, connection: Connection, row: Row) -> None:
        """Let one whose row is locked, and that has no transaction, be given back."""
        await self._end(connection, row, outcome="cancelled", fee=0, chain_tx=None)

    async def _lock(self, connection: Connection, row: AllocationRow) -> None:
        if await allocations.lock(connection, row.id, fence=row.fence) is None:
            raise Overtaken


def _charged(row: Row, final: Tx) -> int:
    """The most that it pays of the network fee: nothing of a token, nor of a refund that has failed."""
    if row.token is not None or (row.wallet_id is None and not final.succeeded):
        return 0
    return row.network_fee - row.opening


async def _give_back(connection: Connection, row: AllocationRow, *, until: datetime, reason: str) -> None:
    """What the house wanted of it, and does not get, is looked at again then."""
    await sweeps.give_back(connection, row.id, until=until)
    await openings.give_back(connection, row.id, until=until, reason=reason)


def new_tx(row: AllocationRow, old: Tx, *, kind: queue.Kind, rate: Rate, fee_limit: int, now: datetime) -> Tx:
    """Another transaction of the same allocation."""
    return Tx(
        id=ids.new(),
        allocation_id=row.id,
        chain=row.chain,
        kind=kind,
        rate=rate.numbers,
        fee_limit=fee_limit,
        state="allocated",
        created_at=now,
        replaces=old.id,
    )
