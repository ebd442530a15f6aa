"""Gets a transaction into a block that can't be replaced, by a child: one that spends a coin of it and pays for both.

An operator asks for it: of a withdrawal whose change comes back to us, or of what somebody has sent us for too little.
The child goes through the same queue as a withdrawal and pays nobody: the coin, less the fee, comes to the hot address,
and the fee is the house's. If what it spends from never happens, it never happens either, and has cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from billfold.chains.port import Chain, Coin, Hastening, Speed
from billfold.custody import errors
from billfold.custody.contracts.treasury import Child, ChildStatus
from billfold.custody.service.withdrawals import allocating, plans
from billfold.custody.service.withdrawals.fees import Fees
from billfold.custody.service.withdrawals.hurrying import Hurrying
from billfold.custody.service.withdrawals.parts import Parts
from billfold.custody.store import allocations, queue, sources
from billfold.custody.store import children as store
from billfold.custody.store.queue import Tx
from billfold.kernel import money
from billfold.kernel.money import Money
from billfold.platform.postgres.database import Connection

#: How far it is, in the words of withdrawals.
_STATUS: Mapping[str, ChildStatus] = {
    "signed": "signed",
    "broadcasting": "uncertain",
    "sent": "sent",
    "uncertain": "uncertain",
    "mined": "mined",
    "final": "settled",
}

log = structlog.get_logger(__name__)


class Children:
    """Makes them. Any number of processes may."""

    def __init__(self, parts: Parts, fees: Fees, hurrying: Hurrying) -> None:
        self._parts = parts
        self._fees = fees
        self._hurrying = hurrying

    async def hasten(self, chain: Chain, chain_tx: str, *, speed: Speed) -> Child:
        """Have a child made that gets a transaction into a block as soon as `speed` says.

        Where there is one already it is that; if it offers too little for this speed it is replaced.

        Raises:
            TransactionNotWaiting, TransactionNotHurried, NoCoins.
            FeesUnknown, AddressesUnavailable, NodeUnavailable, NodeWrong.
        """
        if chain.model != "coins":
            raise errors.NoCoins
        rates = await self._fees.rates(chain)
        async with self._parts.database.connection() as connection:
            house = await sources.house(connection, chain.name)
            known = await store.of(connection, chain.name, chain_tx)
        if not house.get("hot"):
            raise errors.AddressesUnavailable
        hot = house["hot"][0]
        found = await chain.hastening(chain_tx, to=hot, rate=rates.by_speed[speed])
        if known is not None:
            await self._raise(chain, *known, found)
        elif found is None:
            raise errors.TransactionNotWaiting
        else:
            await self._make(chain, chain_tx, found, hot=hot)
        async with self._parts.database.connection() as connection:
            known = await store.of(connection, chain.name, chain_tx)
        if known is None:
            raise errors.TransactionNotWaiting
        return await self._shown(chain, *known)

    async def _make(self, chain: Chain, chain_tx: str, found: Hastening, *, hot: str) -> None:
        await self._check(chain, found)
        async with self._parts.database.connection() as connection:
            ours = await sources.places(connection, chain.name, sorted({one.address for one in found.movements}))
        mine = [one for one in found.movements if one.address in ours]
        if not mine:
            raise _not_hurried("nothing_of_ours", "It pays nothing to an address of this house.")
        largest = max(mine, key=lambda one: one.amount)
        if largest.amount < found.least:
            raise _not_hurried("coin_too_small", "What it pays to this house is less than that would cost.")
        coin = Coin(chain_tx=chain_tx, index=largest.index, address=largest.address, amount=largest.amount)
        async with self._parts.database.transaction() as connection:
            await allocations.lock_chain(connection, chain.name)
            if await store.of(connection, chain.name, chain_tx) is not None:
                return
            await self._lock_parent(connection, chain, chain_tx)
            now = self._parts.now()
            allocation = allocating.new_allocation(chain, hot, change=hot)
            await allocations.insert(connection, allocation, now=now)
            if not await store.take_coin(connection, chain.name, coin, allocation.id):
                raise errors.TransactionNotWaiting
            await plans.insert_own(connection, allocation, "child", [], rate=found.rate, fee_limit=found.fee, now=now)
        log.info("a transaction is hurried by a child", chain=chain.name, chain_tx=chain_tx, fee=found.fee)

    async def _lock_parent(self, connection: Connection, chain: Chain, chain_tx: str) -> None:
        """Let nobody replace it meanwhile, where it is ours."""
        allocation_id = await store.allocation_of(connection, chain.name, chain_tx)
        if allocation_id is None:
            return
        await allocations.lock(connection, allocation_id)
        living = [tx for tx in await queue.txs(connection, allocation_id) if tx.is_living]
        if living[-1].chain_tx != chain_tx:
            raise _not_hurried("replaced", "It has been replaced by one that offers more.")

    async def _raise(self, chain: Chain, old: Tx, coin: Coin, found: Hastening | None) -> None:
        """Replace a child that offers too little; what can't be done about it leaves it as it is."""
        if found is None or found.obstacle is not None or coin.amount < found.least:
            return
        least = chain.raised(old.offered).numbers
        dear = found.fee > await self._parts.house_fee_max(chain)
        if old.raw is not None and not dear and all(found.rate.numbers[name] >= least[name] for name in least):
            await self._hurrying.replace(old, found.rate, found.fee, [])

    async def _check(self, chain: Chain, found: Hastening) -> None:
        if found.obstacle is not None:
            raise _not_hurried(found.obstacle, found.obstacle_detail)
        if found.fee > await self._parts.house_fee_max(chain):
            raise _not_hurried("fee_above_limit", "It would cost more than the house pays for one transaction.")

    async def _shown(self, chain: Chain, tx: Tx, coin: Coin) -> Child:
        scale = (await self._parts.ledger.asset(code=chain.coin)).scale
        return Child(
            id=tx.id,
            chain=chain.name,
            chain_tx=coin.chain_tx,
            child_tx=tx.chain_tx,
            money=Money(money.format(coin.amount, scale), chain.coin),
            network_fee=Money(money.format(tx.fee_limit, scale), chain.coin),
            status=_STATUS.get(tx.state, "allocated"),
            created_at=tx.created_at,
        )


def _not_hurried(obstacle: str, detail: str) -> errors.TransactionNotHurried:
    refusal = errors.TransactionNotHurried(detail)
    refusal.extensions = {"obstacle": obstacle}
    return refusal
