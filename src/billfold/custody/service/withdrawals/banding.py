"""Keeps as much of each asset at the hot address as its band says: the rest goes to the operator's own warm address.

That goes through the same queue as a withdrawal, with nobody behind it. In the ledger it moves from the omnibus to the
account `warm`, which is below zero by what lies there for us; what comes back from there moves the other way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from billfold.chains.errors import ChainError, FundsShort, NodeUnavailable
from billfold.chains.port import COINS_ESTIMATED, Chain, Coin, Payment, Rate
from billfold.custody import errors
from billfold.custody.contracts.treasury import Band, Side
from billfold.custody.domain import treasury as rules
from billfold.custody.domain import withdrawals as sums
from billfold.custody.domain.treasury import Levels, Ready
from billfold.custody.service import metrics
from billfold.custody.service.addresses import REFILLED
from billfold.custody.service.served import warm_of
from billfold.custody.service.withdrawals import allocating, plans
from billfold.custody.service.withdrawals.fees import Fees
from billfold.custody.service.withdrawals.parts import Parts
from billfold.custody.service.withdrawals.refilling import Refilling
from billfold.custody.store import allocations, queue, sources, standings
from billfold.custody.store import treasury as store
from billfold.kernel.assets import Asset
from billfold.ledger.errors import AssetUnknown
from billfold.platform.postgres.database import Connection

#: An asset must be out of its band for so long before anything is done: a block that nodes have and that is not read
#: yet looks as if money was gone, or was there twice. And so long after something was done.
SURE_AFTER = timedelta(seconds=30)
#: So many channels are asked for their number; one that is free is enough.
CHANNELS_TRIED = 8

log = structlog.get_logger(__name__)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was found about an asset."""

    began: datetime
    house: Mapping[str, Sequence[str]]
    height: int
    #: The last block that stays.
    final: int
    ready: Ready
    levels: Levels
    side: Side

    @property
    def hot(self) -> str:
        """Where withdrawals are paid from."""
        return self.house["hot"][0]


class Away(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sent to the warm address."""

    payment: Payment
    rate: Rate
    fee: int
    nonces: Mapping[str, int]
    anchor: tuple[str, int] | None


class Banding:
    """Of all assets with a band. Any number of processes may."""

    def __init__(self, parts: Parts, fees: Fees) -> None:
        self._parts = parts
        self._fees = fees
        self._refilling = Refilling(parts)
        self._told: set[str] = set()

    async def round(self, chain: Chain) -> int:
        """Look at each asset, and say how many transactions there are for them.

        Raises:
            DatabaseUnavailable
        """
        terms = self._parts.terms[chain.name]
        warm = warm_of(chain, terms)
        if warm is None:
            if terms.treasury.warm is not None:
                self._tell("the warm address is none of this chain and network", chain, terms.treasury.warm)
            return 0
        async with self._parts.database.connection() as connection:
            is_ours = bool(await sources.places(connection, chain.name, [warm[0]]))
        if is_ours:
            # What is sent from the house to itself comes back at once, and costs its fee each time.
            self._tell("the warm address is one of those that are served here", chain, warm[0])
            return 0
        done = 0
        for code, band in terms.treasury.bands.items():
            try:
                done += await self._round(chain, code, band, warm)
            except (NodeUnavailable, errors.FeesUnknown) as error:
                # Who reads the chain tells when its nodes are away.
                log.info("what lies ready is not known now", chain=chain.name, asset=code, why=error.detail)
            except (ChainError, AssetUnknown) as error:
                log.warning("what lies ready is not known", chain=chain.name, asset=code, why=error.detail)
        return done

    def _tell(self, said: str, chain: Chain, address: str) -> None:
        """Once: settings stay as they are until this process ends."""
        if chain.name not in self._told:
            self._told.add(chain.name)
            log.error(said, chain=chain.name, setting=f"{chain.name}.warm", address=address)

    async def _round(self, chain: Chain, code: str, band: Band, warm: tuple[str, str | None]) -> int:
        asset = await self._parts.ledger.asset(code=code)
        look = await self._look(chain, asset, band)
        if look is None:
            return 0
        sure = await self._kept(chain, asset, look)
        if not sure or look.side != "high":
            return 0
        async with self._parts.database.connection() as connection:
            if await standings.stopped(connection, [code]):
                # What the books can't explain may be somebody else's: nothing leaves before an operator has looked.
                log.warning("a surplus stays while withdrawals are stopped", chain=chain.name, asset=code)
                return 0
        return await self._away(chain, asset, look, warm)

    async def _look(self, chain: Chain, asset: Asset, band: Band) -> Look | None:
        """None: the house has no address there yet."""
        began, token = self._parts.now(), asset.contract
        height = (await chain.head()).height
        final = height - self._parts.terms[chain.name].confirmations + 1
        async with self._parts.database.connection() as connection:
            house = await sources.house(connection, chain.name)
            held, spendable = await store.coins_held(connection, chain.name, final=final, height=height)
        if not house.get("hot"):
            return None
        if chain.model != "coins":
            held = spendable = await chain.balance(house["hot"][0], token=token, height=height)
        async with self._parts.database.connection() as connection:
            pays, fees = await queue.committed(connection, chain.name)
            ready = Ready(
                free=held - pays.get(token, 0) - (fees if token is None else 0),
                spendable=spendable,
                coming=await store.coming(connection, chain.name, token),
                waiting=await store.waiting(connection, chain.name, asset.code),
            )
        levels = rules.levels_of(band, scale=asset.scale, total=await self._total(asset))
        side = rules.side_of(ready, levels)
        return Look(began=began, house=house, height=height, final=final, ready=ready, levels=levels, side=side)

    async def _total(self, asset: Asset) -> int:
        """All that is held of it on the chain, here and at the warm address."""
        accounts = [await self._parts.omnibus(asset.code), await self._parts.warm(asset.code)]
        return -sum(one.posted for one in await self._parts.ledger.accounts(ids=accounts))

    async def _kept(self, chain: Chain, asset: Asset, look: Look) -> bool:
        """Write down what was seen, ask for what is missing; and say whether it was seen for long enough."""
        level = store.Level(
            asset=asset.code,
            chain=chain.name,
            free=max(look.ready.free, 0),
            waiting=look.ready.waiting,
            **msgspec.structs.asdict(look.levels),
            side=look.side,
            since=look.began,
            looked_at=look.began,
        )
        async with self._parts.database.transaction() as connection:
            sure = look.began - await store.put_level(connection, level) >= SURE_AFTER
            asked = await self._refilling.look(connection, asset, look.ready, look.levels)
            if sure and look.side == "low" and not asked:
                hot = look.house["hot"]
                at = hot[min(REFILLED, len(hot) - 1)] if chain.model == "coins" else look.hot
                await self._refilling.ask(connection, chain.name, asset, look.ready, look.levels, address=at)
        metrics.HOT.labels(chain.name, asset.code).set(level.free)
        metrics.REFILL.labels(chain.name, asset.code).set(asked)
        return sure

    async def _away(self, chain: Chain, asset: Asset, look: Look, warm: tuple[str, str | None]) -> int:
        address, memo = warm
        rates = await self._fees.rates(chain)
        amount = rules.surplus(look.ready, look.levels)
        payment = Payment(address=address, amount=amount, token=asset.contract, memo=memo)
        estimate = await self._fees.estimate(chain, payment, source=look.hot, speed="normal", rates=rates)
        fee = sums.set_aside(estimate)
        if payment.token is None:
            # Below a target of next to nothing it pays its own fee.
            amount = min(amount, min(look.ready.free, look.ready.spendable) - look.ready.waiting - fee)
        if amount <= 0:
            return 0
        numbered = look.house.get("channel", ())[:CHANNELS_TRIED] or [look.hot]
        away = Away(
            payment=msgspec.structs.replace(payment, amount=amount),
            rate=rates.by_speed["normal"],
            fee=fee,
            nonces=await allocating.nonces_of(chain, numbered, look.hot) if chain.model == "nonce" else {},
            anchor=await chain.anchor() if chain.model == "recent_block" else None,
        )
        house_max = await self._parts.house_fee_max(chain)
        async with self._parts.database.transaction() as connection:
            await allocations.lock_chain(connection, chain.name)
            if await store.is_moving(connection, chain.name, token=payment.token, since=look.began):
                return 0
            await store.begin_again(connection, asset.code, now=look.began)
            try:
                return await self._insert(connection, chain, look, away, house_max)
            except FundsShort:
                log.warning("a surplus is in too many coins for one transaction", chain=chain.name, asset=asset.code)
                return 0

    async def _insert(self, connection: Connection, chain: Chain, look: Look, away: Away, house_max: int) -> int:
        """Allocate it, unless it has to wait for cheaper blocks or for others."""
        coins: Sequence[Coin] = ()
        change, source, nonce = None, look.hot, None
        if chain.model == "coins":
            limit = allocating.COINS_MAX
            free = await allocations.free_coins(
                connection, chain.name, height=look.height, final=look.final, limit=limit
            )
            coins = chain.choose(free, [away.payment], rate=away.rate)
            change = look.house.get("change", look.house["hot"])[0]
        else:
            living = await allocations.living(connection, chain.name)
            living_max = self._parts.terms[chain.name].living_max if look.hot in (away.nonces or {look.hot}) else 1
            free_ones = [one for one in away.nonces or [look.hot] if living.get(one, 0) < living_max]
            if not free_ones or (chain.model == "nonce" and not away.nonces):
                return 0
            source = free_ones[0]
            if away.nonces:
                (nonce,) = await allocations.next_nonces(
                    connection, chain.name, source, least=away.nonces[source], count=1
                )
            change = None if source == look.hot else look.hot
        fee = away.fee + chain.coin_fee(rate=away.rate) * max(len(coins) - COINS_ESTIMATED, 0)
        if fee > house_max:
            return 0
        now = self._parts.now()
        allocation = allocating.new_allocation(
            chain,
            source,
            change=change,
            nonce=nonce,
            anchor=away.anchor,
            expires_at=None if chain.model == "coins" else now + allocating.EXPIRES_AFTER,
        )
        await allocations.insert(connection, allocation, now=now)
        await allocations.mark_coins(connection, chain.name, coins, allocation.id)
        await plans.insert_own(connection, allocation, "warm", [away.payment], rate=away.rate, fee_limit=fee, now=now)
        return 1
