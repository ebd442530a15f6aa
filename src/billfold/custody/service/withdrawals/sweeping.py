"""Brings deposits to where withdrawals are paid from, on chains on which each wallet has an address of its own.

A sweep goes through the same queue as a withdrawal, with nobody behind it: its step 3 is here, steps 4 to 8 are those
of `sending`, and in the ledger it moves nothing but its network fee, which is the house's (step 12). What has become of
the deposits is in their rows: an allocation takes them, and one that comes to nothing gives them back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from billfold.chains.errors import ChainError, NodeUnavailable
from billfold.chains.port import Chain, Payment, Rate
from billfold.custody import errors
from billfold.custody.service import metrics
from billfold.custody.service.withdrawals.allocating import new_allocation
from billfold.custody.service.withdrawals.fees import Fees
from billfold.custody.service.withdrawals.parts import Parts
from billfold.custody.store import queue, sources, sweeps
from billfold.custody.store.queue import Tx
from billfold.custody.store.sweeps import Pile
from billfold.kernel import ids
from billfold.platform.postgres.database import Connection

#: So many deposits are looked at in one round: each address that is worth it takes two questions to a node.
ROUND_MAX = 100
#: So many sweeps wait for a block at a time: each is looked at each second.
LIVING_MAX = 200
#: What is not worth its fee is looked at again so much later; of a new deposit there it is at once.
SMALL_PAUSE = timedelta(minutes=10)
#: What is being swept, or not yet deep enough, so much later.
BUSY_PAUSE = timedelta(seconds=5)
#: The deposits' token of the chain's own coin.
_COIN = ""

log = structlog.get_logger(__name__)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep that is worth it."""

    source: str
    amount: int
    nonce: int | None


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all sweeps of a round."""

    hot: str
    rate: Rate
    fee: int
    #: The last block that stays: what came later may be taken back, and the sweep could never happen.
    final: int
    anchor: tuple[str, int] | None


class Sweeping:
    """Sweeps the chain's own coin. Any number of processes may."""

    def __init__(self, parts: Parts, fees: Fees) -> None:
        self._parts = parts
        self._fees = fees

    async def round(self, chain: Chain) -> int:
        """Allocate sweeps of what is due and worth it, and say how many there are.

        Raises:
            DatabaseUnavailable
        """
        now = self._parts.now()
        async with self._parts.database.connection() as connection:
            piles = await sweeps.due(connection, chain.name, token=_COIN, now=now, limit=ROUND_MAX)
            hot = (await sources.house(connection, chain.name)).get("hot")
            living = await queue.living(connection, chain.name)
        if not piles or not hot:
            return 0
        try:
            terms = await self._terms(chain, hot[0], piles[0])
            plans, small = await self._plans(chain, terms, [pile for pile in piles if not living.get(pile.address)])
        except (ChainError, NodeUnavailable, errors.FeesUnknown) as error:
            log.warning("deposits are not swept", chain=chain.name, why=error.detail)
            return 0
        busy = {pile.address for pile in piles if living.get(pile.address)}
        async with self._parts.database.transaction() as connection:
            await queue.lock_chain(connection, chain.name)
            done, late = await self._allocate(connection, chain, terms, plans, now)
            await sweeps.postpone(connection, chain.name, small, token=_COIN, until=now + SMALL_PAUSE)
            await sweeps.postpone(connection, chain.name, busy | late, token=_COIN, until=now + BUSY_PAUSE)
        return done

    async def measure(self, chain: Chain) -> None:
        """Tell the metrics how much waits to be swept.

        Raises:
            DatabaseUnavailable
        """
        assets = [asset.code for asset in (await self._parts.ledger.assets()).values() if asset.chain == chain.name]
        async with self._parts.database.connection() as connection:
            found = await sweeps.uncollected(connection, chain.name, assets)
        for asset, units in found.items():
            metrics.UNCOLLECTED.labels(chain.name, asset).set(units)

    async def _terms(self, chain: Chain, hot: str, pile: Pile) -> Terms:
        """One payment of the coin to the house costs as much as another."""
        rates = await self._fees.rates(chain)
        payment = Payment(address=hot, amount=pile.amount)
        fee = await self._fees.estimate(chain, payment, source=pile.address, speed="normal", rates=rates)
        head = await chain.head()
        return Terms(
            hot=hot,
            rate=rates.by_speed["normal"],
            fee=fee,
            final=max(head.height - self._parts.terms[chain.name].confirmations + 1, 0),
            anchor=await chain.anchor() if chain.model == "recent_block" else None,
        )

    async def _plans(self, chain: Chain, terms: Terms, piles: Sequence[Pile]) -> tuple[Sequence[Plan], Collection[str]]:
        """What is swept, and where it is not worth it. Of what is small by its deposits no node is asked."""
        worth = terms.fee * self._parts.terms[chain.name].sweep_worth
        plans: list[Plan] = []
        for pile in piles:
            if pile.amount <= worth:
                continue
            balance = await chain.balance(pile.address, token=None, height=terms.final)
            if balance > worth:
                nonce = await chain.next_nonce(pile.address) if chain.model == "nonce" else None
                plans.append(Plan(source=pile.address, amount=balance - terms.fee, nonce=nonce))
        return plans, {pile.address for pile in piles} - {plan.source for plan in plans}

    async def _allocate(
        self, connection: Connection, chain: Chain, terms: Terms, plans: Sequence[Plan], now: datetime
    ) -> tuple[int, set[str]]:
        """Store what is swept under the lock of the chain; how many, and from where not yet."""
        living: Mapping[str, int] = await queue.living(connection, chain.name)
        room = LIVING_MAX - sum(units for source, units in living.items() if source != terms.hot)
        done, late = 0, set()
        for plan in plans:
            if living.get(plan.source) or done >= room:
                late.add(plan.source)
            elif await self._insert(connection, chain, terms, plan, now):
                done += 1
        return done, late

    async def _insert(self, connection: Connection, chain: Chain, terms: Terms, plan: Plan, now: datetime) -> bool:
        nonce = plan.nonce
        if nonce is not None:
            nonce = max(nonce, await queue.nonce_after(connection, chain.name, plan.source))
        allocation = new_allocation(chain, plan.source, nonce=nonce, anchor=terms.anchor)
        await queue.insert_allocation(connection, allocation, now=now)
        if not await sweeps.take(connection, chain.name, plan.source, token=_COIN, allocation_id=allocation.id):
            # Another process has swept it meanwhile, and that has ended already.
            await queue.set_allocation(connection, allocation.id, state="freed", next_at=now)
            return False
        tx = Tx(
            id=ids.new(),
            allocation_id=allocation.id,
            chain=chain.name,
            kind="sweep",
            rate=terms.rate.numbers,
            # All that is left there pays the fee, so there is nothing for a higher one.
            fee_limit=terms.fee,
            state="allocated",
            created_at=now,
        )
        await queue.insert_tx(connection, tx, [(Payment(address=terms.hot, amount=plan.amount), None)])
        return True
