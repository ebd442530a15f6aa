"""Offers more for transactions of the house's own that no block takes: nobody else would.

What replaces one uses up the same, so of the two one at most can happen. Where all that lies at an address is swept,
the higher fee comes out of that, as long as it is worth it. What can't be paid for is dropped when it is built, and the
one that was sent stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import structlog

from billfold.chains.errors import ChainError, NodeUnavailable, NotReplaceable
from billfold.chains.port import COINS_ESTIMATED, Chain, Payment, Rate
from billfold.custody import errors
from billfold.custody.domain import withdrawals as rules
from billfold.custody.service.withdrawals.closing import OWN_KINDS
from billfold.custody.service.withdrawals.ending import new_tx
from billfold.custody.service.withdrawals.fees import Fees
from billfold.custody.service.withdrawals.parts import REPLACEMENTS_MAX, Parts
from billfold.custody.store import allocations, queue
from billfold.custody.store.queue import Tx

#: A transaction that was sent so long ago waits for more than its turn.
STUCK_AFTER = timedelta(minutes=15)
#: What a child offers follows from what it pays for, so an operator asks for more.
_KINDS = sorted(OWN_KINDS - {"child"})
#: More than the least that a payment may be; in an estimate amounts do not count.
_CHANGE = 1_000
#: So many are looked at in one round.
ROUND_MAX = 20

log = structlog.get_logger(__name__)


class Hurrying:
    """Any number of processes may."""

    def __init__(self, parts: Parts, fees: Fees) -> None:
        self._parts = parts
        self._fees = fees

    async def round(self, chain: Chain) -> int:
        """Replace what is stuck, and say how many were.

        Raises:
            DatabaseUnavailable
        """
        before = self._parts.now() - STUCK_AFTER
        async with self._parts.database.connection() as connection:
            stuck = await queue.stuck(connection, chain.name, _KINDS, before=before, limit=ROUND_MAX)
        done = 0
        for tx in stuck:
            try:
                done += await self._replaced(chain, tx)
            except NotReplaceable:
                return 0
            except (ChainError, NodeUnavailable, errors.FeesUnknown) as error:
                log.warning("a stuck transaction stays as it is", chain=chain.name, tx=str(tx.id), why=error.detail)
        return done

    async def _replaced(self, chain: Chain, old: Tx) -> bool:
        rate = await self._raised(chain, old)
        async with self._parts.database.connection() as connection:
            pays = [payment for payment, _ in await queue.payments(connection, old.id)]
            row = await allocations.get(connection, old.allocation_id)
            coins = len((await allocations.content(connection, row)).coins)
        # What pays nobody has a change, which is as large as a payment.
        counted = pays or [Payment(address=row.change or row.source, amount=_CHANGE)]
        fee = rules.set_aside(await chain.estimate(counted, source=row.source, rate=rate))
        fee += chain.coin_fee(rate=rate) * max(coins - COINS_ESTIMATED, 0)
        if old.kind == "sweep" and pays[0].token is None:
            # All that lay there was its amount and its fee.
            lies = pays[0].amount + old.fee_limit
            if lies <= fee * self._parts.terms[chain.name].sweep_worth:
                # It would not have been swept at this price, and nothing presses.
                return False
            rest = lies - fee
            pays = [msgspec.structs.replace(pays[0], amount=rest)]
        elif fee > await self._parts.house_fee_max(chain):
            return False
        return await self.replace(old, rate, fee, pays)

    async def replace(self, old: Tx, rate: Rate, fee: int, pays: Sequence[Payment]) -> bool:
        """Let another one use up the same, unless somebody was faster or a block has one of them."""
        async with self._parts.database.transaction() as connection:
            allocation = await allocations.lock(connection, old.allocation_id)
            if allocation is None:
                return False
            txs = await queue.txs(connection, allocation.id)
            living = [tx for tx in txs if tx.is_living]
            taken = any(tx.state in ("mined", "final") for tx in living)
            if taken or not living or living[-1].id != old.id or len(txs) > REPLACEMENTS_MAX:
                return False
            now = self._parts.now()
            new = new_tx(allocation, old, kind=old.kind, rate=rate, fee_limit=fee, now=now)
            await queue.insert_tx(connection, new, [(payment, None) for payment in pays])
            await allocations.change(connection, allocation.id, state="living", next_at=now)
        log.info("more is offered for a stuck transaction", chain=old.chain, tx=str(old.id), kind=old.kind)
        return True

    async def _raised(self, chain: Chain, old: Tx) -> Rate:
        """What nodes take as a replacement, and no less than what is offered for a usual block now."""
        least = chain.raised(old.offered).numbers
        usual = (await self._fees.rates(chain)).by_speed["normal"].numbers
        return Rate(numbers={name: max(units, usual.get(name, 0)) for name, units in least.items()})
