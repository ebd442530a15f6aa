"""Makes one coin of many small ones, on chains of coins, when a place in a block is cheap.

A payment that has to take many small coins is dear, and one transaction takes only so many. Such a merge goes through
the same queue as a withdrawal: it pays nobody, so all that goes in comes out as change, less the fee, which is the
house's. A coin that costs more than it brings is dust: it is left, and counted.
"""

from __future__ import annotations

import msgspec
import structlog

from billfold.chains.errors import ChainError, NodeUnavailable
from billfold.chains.port import COINS_ESTIMATED, Chain, Payment, Rate
from billfold.custody import errors
from billfold.custody.contracts.treasury import Coins
from billfold.custody.service.withdrawals import allocating, plans
from billfold.custody.service.withdrawals.fees import Fees, Rates
from billfold.custody.service.withdrawals.parts import Parts
from billfold.custody.store import allocations, sources
from billfold.custody.store import treasury as store
from billfold.kernel import money
from billfold.kernel.money import Money
from billfold.platform.postgres.database import Connection

#: One transaction makes one coin of so many: each brings the transaction that it comes from to be signed, and those of
#: exchanges are large.
COINS_MAX = 100

log = structlog.get_logger(__name__)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What is small now."""

    rates: Rates
    #: What costs this to be used up, or less, is dust.
    dust: int
    #: What is less is small.
    below: int
    height: int
    #: The last block that stays.
    final: int

    @property
    def rate(self) -> Rate:
        """Nothing is in a hurry."""
        return self.rates.by_speed["slow"]


class Merging:
    """Any number of processes may."""

    def __init__(self, parts: Parts, fees: Fees) -> None:
        self._parts = parts
        self._fees = fees

    async def round(self, chain: Chain) -> int:
        """Allocate a merge if it is time for one, and say how many there are.

        Raises:
            DatabaseUnavailable
        """
        limits = self._parts.terms[chain.name].treasury.merge_rate
        if chain.model != "coins" or not limits:
            return 0
        try:
            terms = await self._terms(chain)
            if any(units > limits.get(name, 0) for name, units in terms.rate.numbers.items()):
                return 0
            return await self._round(chain, terms)
        except (NodeUnavailable, errors.FeesUnknown) as error:
            # It is in no hurry, and who reads the chain tells when its nodes are away.
            log.info("coins are not merged now", chain=chain.name, why=error.detail)
            return 0
        except ChainError as error:
            log.warning("coins are not merged", chain=chain.name, why=error.detail)
            return 0

    async def counted(self, chain: Chain) -> Coins:
        """What the coins are now.

        Raises:
            NodeUnavailable, NodeWrong, FeesUnknown.
        """
        terms = await self._terms(chain)
        async with self._parts.database.connection() as connection:
            found = await store.coin_counts(
                connection, chain.name, final=terms.final, height=terms.height, dust=terms.dust, below=terms.below
            )
        scale = (await self._parts.ledger.asset(code=chain.coin)).scale
        (count, total), (small, small_total), (dust, dust_total) = [
            (number, Money(money.format(units, scale), chain.coin)) for number, units in found
        ]
        return Coins(
            chain=chain.name,
            count=count,
            money=total,
            small=small,
            small_money=small_total,
            dust=dust,
            dust_money=dust_total,
        )

    async def _terms(self, chain: Chain) -> Terms:
        own = self._parts.terms[chain.name]
        rates = await self._fees.rates(chain)
        height = (await chain.head()).height
        return Terms(
            rates=rates,
            dust=chain.coin_fee(rate=rates.by_speed["slow"]),
            below=money.threshold(own.treasury.merge_below, (await self._parts.ledger.asset(code=chain.coin)).scale),
            height=height,
            final=height - own.confirmations + 1,
        )

    async def _round(self, chain: Chain, terms: Terms) -> int:
        async with self._parts.database.connection() as connection:
            house = await sources.house(connection, chain.name)
        if not house.get("hot"):
            return 0
        # Of one payment, where a merge has the change alone.
        one = Payment(address=house["hot"][0], amount=max(terms.below, 1))
        few = await self._fees.estimate(chain, one, source=one.address, speed="slow", rates=terms.rates)
        async with self._parts.database.transaction() as connection:
            await allocations.lock_chain(connection, chain.name)
            return await self._insert(connection, chain, terms, hot=one.address, few=few)

    async def _insert(self, connection: Connection, chain: Chain, terms: Terms, *, hot: str, few: int) -> int:
        own = self._parts.terms[chain.name]
        coins = await store.small_coins(
            connection,
            chain.name,
            final=terms.final,
            height=terms.height,
            dust=terms.dust,
            below=terms.below,
            limit=max(own.treasury.merge_above + 1, COINS_MAX),
        )
        if len(coins) <= own.treasury.merge_above or await store.is_merging(connection, chain.name):
            return 0
        coins = coins[:COINS_MAX]
        fee = few + chain.coin_fee(rate=terms.rate) * max(len(coins) - COINS_ESTIMATED, 0)
        if fee > await self._parts.house_fee_max(chain) or fee >= sum(coin.amount for coin in coins):
            return 0
        now = self._parts.now()
        allocation = allocating.new_allocation(chain, hot, change=hot)
        await allocations.insert(connection, allocation, now=now)
        await allocations.mark_coins(connection, chain.name, coins, allocation.id)
        await plans.insert_own(connection, allocation, "merge", [], rate=terms.rate, fee_limit=fee, now=now)
        return 1
