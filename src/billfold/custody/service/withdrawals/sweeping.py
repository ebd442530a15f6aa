"""Brings deposits to where withdrawals are paid from, on chains on which each wallet has an address of its own.

A sweep goes through the same queue as a withdrawal, with nobody behind it: its step 3 is in `plans`, steps 4 to 8 are
those of `sending`, and in the ledger it moves nothing but its network fee, which is the house's (step 12). What has
become of the deposits is in their rows: an allocation takes them, and one that does not move them gives them back.

A token lies where there may be no coin to pay for its sweep. Then the house brings that first (a gas station): a
transaction of the kind `gas` takes the deposits, and when it is final gives them back, to be looked at again. Where a
chain lets somebody else pay the fee (Solana), the house does, and nothing has to be brought.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec
import structlog

from billfold.chains.errors import ChainError, NodeUnavailable
from billfold.chains.port import Chain, Payment
from billfold.custody import errors
from billfold.custody.domain import withdrawals as rules
from billfold.custody.service import metrics
from billfold.custody.service.withdrawals import plans
from billfold.custody.service.withdrawals.fees import Fees, Rates
from billfold.custody.service.withdrawals.parts import Parts
from billfold.custody.service.withdrawals.plans import Plan
from billfold.custody.store import allocations, sources, sweeps
from billfold.custody.store.sweeps import Pile
from billfold.kernel import money
from billfold.kernel.assets import Asset

#: So many deposits are looked at in one round: each address that is worth it takes some questions to a node.
ROUND_MAX = 100
#: What is not worth its fee is looked at again so much later; of a new deposit there it is at once.
SMALL_PAUSE = timedelta(minutes=10)
#: What is being swept, or has to wait for others, so much later.
BUSY_PAUSE = timedelta(seconds=5)

log = structlog.get_logger(__name__)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What all sweeps of a round of one asset have in common."""

    hot: str
    #: Contract or mint; None is the chain's own coin.
    token: str | None
    rates: Rates
    #: The last block that stays: what came later may be taken back, and the sweep could never happen.
    final: int
    anchor: tuple[str, int] | None
    #: What one payment of the coin costs at most.
    fee: int
    #: What lies at an address is swept if it is more than this.
    worth: int
    #: The coin that the house has to bring others their fees.
    held: int


class Sweeping:
    """Decides what is swept. Any number of processes may."""

    def __init__(self, parts: Parts, fees: Fees) -> None:
        self._parts = parts
        self._fees = fees

    async def round(self, chain: Chain) -> int:
        """Allocate sweeps of what is due and worth it, and say how many transactions there are. Tokens come first.

        Raises:
            DatabaseUnavailable
        """
        done, short = 0, 0
        for asset in await self._assets(chain):
            try:
                stored = await self._round(chain, asset)
            except (ChainError, NodeUnavailable, errors.FeesUnknown) as error:
                log.warning("deposits are not swept", chain=chain.name, asset=asset.code, why=error.detail)
                continue
            done += stored.done
            short += len(stored.short)
        if short:
            metrics.GAS_SHORT.labels(chain.name).inc(short)
            log.warning("the house has no coin to have tokens swept", chain=chain.name, addresses=short)
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

    async def _assets(self, chain: Chain) -> list[Asset]:
        """Tokens with a minimum, and the coin last: a token's sweep may be paid from what lies there of it."""
        minimum = self._parts.terms[chain.name].sweep_minimum
        known = (await self._parts.ledger.assets()).values()
        tokens = [one for one in known if one.chain == chain.name and one.contract and one.code in minimum]
        coin = await self._parts.ledger.asset(code=chain.coin)
        return [*tokens, coin]

    async def _round(self, chain: Chain, asset: Asset) -> plans.Stored:
        now, token = self._parts.now(), asset.contract or ""
        async with self._parts.database.connection() as connection:
            piles = await sweeps.due(connection, chain.name, token=token, now=now, limit=ROUND_MAX)
            hot = (await sources.house(connection, chain.name)).get("hot")
            living = await allocations.living(connection, chain.name)
        if not piles or not hot:
            return plans.Stored()
        look = await self._look(chain, asset, hot[0])
        busy = {pile.address for pile in piles if living.get(pile.address)}
        free = [pile for pile in piles if pile.address not in busy]
        chosen = [plan for pile in free if (plan := await self._planned(chain, look, pile)) is not None]
        small = {pile.address for pile in free} - {plan.address for plan in chosen}
        async with self._parts.database.transaction() as connection:
            stored = await plans.store(connection, chain, chosen, token=token, hot=look.hot, held=look.held, now=now)
            await sweeps.postpone(connection, chain.name, small, token=token, until=now + SMALL_PAUSE)
            later = busy | stored.late | stored.short
            await sweeps.postpone(connection, chain.name, later, token=token, until=now + BUSY_PAUSE)
        return stored

    async def _look(self, chain: Chain, asset: Asset, hot: str) -> Look:
        """One payment of the coin to the house costs as much as another."""
        terms, token = self._parts.terms[chain.name], asset.contract
        rates = await self._fees.rates(chain)
        payment = Payment(address=hot, amount=1)
        fee = await self._fees.estimate(chain, payment, source=hot, speed="normal", rates=rates)
        height = (await chain.head()).height
        least = None if token is None else money.threshold(terms.sweep_minimum[asset.code], asset.scale)
        return Look(
            hot=hot,
            token=token,
            rates=rates,
            final=max(height - terms.confirmations + 1, 0),
            anchor=await chain.anchor() if chain.model == "recent_block" else None,
            fee=fee,
            worth=fee * terms.sweep_worth if least is None else max(least - 1, 0),
            held=0 if token is None else await chain.balance(hot, token=None, height=height),
        )

    async def _planned(self, chain: Chain, look: Look, pile: Pile) -> Plan | None:
        try:
            return await self._plan(chain, look, pile)
        except ChainError as error:
            # A token may refuse what it likes, and anybody may leave at an address what no node can tell of. The others
            # are swept all the same.
            log.warning("a deposit can't be swept", chain=chain.name, address=pile.address, why=error.detail)
            return None

    async def _plan(self, chain: Chain, look: Look, pile: Pile) -> Plan | None:
        """What is to be done for an address; None if it is not worth it. Of what is small no node is asked."""
        if pile.amount <= look.worth:
            return None
        held = await chain.balance(pile.address, token=look.token, height=look.final)
        if held <= look.worth:
            return None
        if look.token is None:
            # All that is left there pays the fee, so there is nothing for a higher one.
            return await self._sweep(chain, look, pile, amount=held - look.fee, fee=look.fee)
        rate = look.rates.by_speed["normal"]
        sponsored = await chain.sponsored(pile.address, token=look.token, payer=look.hot, rate=rate)
        if sponsored is not None:
            # What is frozen is held, and can't be moved.
            amount, fee = sponsored
            return await self._sponsored(chain, look, pile, amount, fee=fee)
        return await self._token(chain, look, pile, held)

    async def _sponsored(self, chain: Chain, look: Look, pile: Pile, amount: int, *, fee: int) -> Plan | None:
        """The house pays."""
        if amount <= look.worth or fee > await self._parts.house_fee_max(chain):
            return None
        return await self._sweep(chain, look, pile, amount=amount, fee=fee, payer=look.hot)

    async def _token(self, chain: Chain, look: Look, pile: Pile, held: int) -> Plan | None:
        """What lies with it pays for it, or is brought first."""
        payment = Payment(address=look.hot, amount=held, token=look.token)
        fee = await self._fees.estimate(chain, payment, source=pile.address, speed="normal", rates=look.rates)
        if fee > await self._parts.house_fee_max(chain):
            return None
        coin = await chain.balance(pile.address, token=None, height=look.final)
        if coin >= fee:
            return await self._sweep(chain, look, pile, amount=held, fee=fee)
        return Plan(
            kind="gas",
            address=pile.address,
            source=look.hot,
            payment=Payment(address=pile.address, amount=rules.set_aside(fee) - coin),
            rate=look.rates.by_speed["normal"],
            fee_limit=look.fee,
            nonce=await self._nonce(chain, look.hot),
            anchor=look.anchor,
        )

    async def _sweep(
        self, chain: Chain, look: Look, pile: Pile, *, amount: int, fee: int, payer: str | None = None
    ) -> Plan:
        return Plan(
            kind="sweep",
            address=pile.address,
            source=pile.address,
            payment=Payment(address=look.hot, amount=amount, token=look.token),
            rate=look.rates.by_speed["normal"],
            fee_limit=fee,
            nonce=await self._nonce(chain, pile.address),
            anchor=look.anchor,
            payer=payer,
        )

    async def _nonce(self, chain: Chain, source: str) -> int | None:
        return await chain.next_nonce(source) if chain.model == "nonce" else None
