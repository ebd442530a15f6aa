"""Step 3 of a withdrawal: what its transaction uses up is decided and stored, by one database transaction.

That is coins, the next number of a source, or a recent block. What nodes know is asked before; what we have given out
ourselves is looked at under a lock of the chain, so that nothing is given out twice, whatever a node has said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from billfold.chains.errors import ChainError, FundsShort, NodeUnavailable
from billfold.chains.port import COINS_ESTIMATED, Chain, Coin, Payment, Rate
from billfold.custody import errors
from billfold.custody.domain import withdrawals as rules
from billfold.custody.service.withdrawals import halting
from billfold.custody.service.withdrawals.fees import Fees, Rates
from billfold.custody.service.withdrawals.parts import LEASE, Parts
from billfold.custody.store import allocations, cursors, deposits, queue, sources, standings, together
from billfold.custody.store import withdrawals as store
from billfold.custody.store.allocations import AllocationRow
from billfold.custody.store.queue import Tx
from billfold.custody.store.withdrawals import Row
from billfold.kernel import ids
from billfold.ledger.errors import AccountFrozen
from billfold.platform.postgres.database import Connection

#: So many withdrawals are looked at in one round.
ROUND_MAX = 100
#: So many coins are looked at, the largest first; one transaction never takes as many.
COINS_MAX = 500
#: What no block has by then can't happen any more, where a chain has such a thing: ten minutes are many of its blocks.
EXPIRES_AFTER = timedelta(minutes=10)

log = structlog.get_logger(__name__)


class Fit(msgspec.Struct, frozen=True):
    """A withdrawal whose transaction can be paid for, at this rate and with this much at most."""

    row: Row
    rate: Rate
    fee_limit: int

    @property
    def payment(self) -> Payment:
        """What is to be paid."""
        return Payment(address=self.row.address, amount=self.row.amount, token=self.row.token, memo=self.row.memo)


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What nodes have said for this round."""

    house: Mapping[str, Sequence[str]]
    height: int
    fits: Sequence[Fit]
    nonces: Mapping[str, int]
    anchor: tuple[str, int] | None
    balances: Mapping[str | None, int]
    house_fee_max: int = 0


class Allocated(msgspec.Struct, frozen=True):
    """What a transaction uses up, whom it pays, and what it may cost more than they are charged."""

    allocation: AllocationRow
    batch: Sequence[Fit]
    more: int = 0


class Allocating:
    """Decides what transactions use up."""

    def __init__(self, parts: Parts, fees: Fees) -> None:
        self._parts = parts
        self._fees = fees

    async def round(self, chain: Chain) -> int:
        """Allocate for the withdrawals that are due, and say for how many."""
        now = self._parts.now()
        async with self._parts.database.transaction() as connection:
            taken = await store.take(connection, chain.name, ["held"], now=now, until=now + LEASE, limit=ROUND_MAX)
        rows = await self._released(await self._going(taken)) if taken else ()
        if not rows:
            return 0
        try:
            known = await self._known(chain, rows)
        except (NodeUnavailable, ChainError, errors.FeesUnknown) as error:
            await self._postpone(rows, error.code)
            return 0
        async with self._parts.database.transaction() as connection:
            await allocations.lock_chain(connection, chain.name)
            still = {row.id for row in await store.still_held(connection, rows)}
            fits = [fit for fit in known.fits if fit.row.id in still]
            if chain.model == "coins":
                return await self._by_coins(connection, chain, known, fits, now)
            return await self._one_by_one(connection, chain, known, fits, now)

    async def _going(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Those whose chain and asset are not stopped; the others wait for an operator, or a clean reconciliation."""
        async with self._parts.database.connection() as connection:
            halted = await cursors.halted(connection)
            stopped = await standings.stopped(connection, {row.asset for row in rows})
        await self._postpone([row for row in rows if row.chain in halted], halting.CHAIN_HALTED)
        rows = [row for row in rows if row.chain not in halted]
        await self._postpone([row for row in rows if row.asset in stopped], errors.WithdrawalsStopped.code)
        return [row for row in rows if row.asset not in stopped]

    async def _released(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Those whose account is open, and that take no money of deposits which may not leave on a chain yet.

        The others wait. All that is held counts as taken, so of two that could each leave alone, and not together,
        none does.
        """
        if not rows:
            return ()
        accounts = list({row.account_id for row in rows})
        async with self._parts.database.connection() as connection:
            bound = await deposits.unreleased(connection, accounts)
        found = {one.id: one for one in await self._parts.ledger.accounts(ids=accounts)}
        # Its hold was placed before it was frozen: whoever freezes a wallet wants nothing to leave it from then on.
        frozen = [row for row in rows if found[row.account_id].status != "open"]
        await self._postpone(frozen, AccountFrozen.code)
        rows = [row for row in rows if row not in frozen]
        early = [row for row in rows if found[row.account_id].available < bound.get(row.account_id, 0)]
        await self._postpone(early, "deposit_not_releasable")
        return [row for row in rows if row not in early]

    async def _known(self, chain: Chain, rows: Sequence[Row]) -> Known:
        async with self._parts.database.connection() as connection:
            house = await sources.house(connection, chain.name)
            living = await allocations.living(connection, chain.name)
        if not house.get("hot"):
            await self._postpone(rows, errors.AddressesUnavailable.code)
            return Known(house=house, height=0, fits=[], nonces={}, anchor=None, balances={})
        head = await chain.head()
        rates = await self._fees.rates(chain)
        fits = [fit for row in rows if (fit := await self._fit(chain, row, house["hot"][0], rates)) is not None]
        channels = [one for one in house.get("channel", ()) if not living.get(one)][: len(fits)]
        numbered = house["hot"][:1] if "channel" not in house else channels
        hot = house["hot"][0]
        balances, fits = await self._balances(chain, fits, hot, height=head.height)
        return Known(
            house=house,
            height=head.height,
            fits=fits,
            nonces=await nonces_of(chain, numbered, hot) if chain.model == "nonce" else {},
            anchor=await chain.anchor() if chain.model == "recent_block" else None,
            balances=balances,
            house_fee_max=await self._parts.house_fee_max(chain),
        )

    async def _balances(
        self, chain: Chain, fits: list[Fit], hot: str, *, height: int
    ) -> tuple[Mapping[str | None, int], list[Fit]]:
        """What the hot address has of all that is paid, and those that go on: of other tokens nobody knows it."""
        if chain.model == "coins":
            return {}, fits
        found: dict[str | None, int] = {None: await chain.balance(hot, token=None, height=height)}
        for token in {fit.row.token for fit in fits if fit.row.token is not None}:
            try:
                found[token] = await chain.balance(hot, token=token, height=height)
            except ChainError as error:
                # One token holds up no other, nor the coin.
                await self._postpone([fit.row for fit in fits if fit.row.token == token], error.code)
                fits = [fit for fit in fits if fit.row.token != token]
        return found, fits

    async def _fit(self, chain: Chain, row: Row, source: str, rates: Rates) -> Fit | None:
        """It with what its transaction may cost; None if that is more than is charged for it, and it has to wait."""
        limit = row.network_fee - row.opening if row.token is None else 0
        if row.token is not None or row.wallet_id is None:
            # Nobody can be asked to pay more for what is sent back: what it costs beyond is the house's.
            limit = max(limit, await self._parts.house_fee_max(chain))
        payment = Payment(address=row.address, amount=row.amount, token=row.token, memo=row.memo)
        try:
            estimate = await self._fees.estimate(chain, payment, source=source, speed=row.speed, rates=rates)
        except (ChainError, errors.FeesUnknown) as error:
            await self._postpone([row], error.code)
            return None
        if estimate > limit:
            await self._postpone([row], "fee_above_limit")
            return None
        return Fit(row, rates.by_speed[row.speed], limit)

    async def _by_coins(
        self, connection: Connection, chain: Chain, known: Known, fits: Sequence[Fit], now: datetime
    ) -> int:
        """Pay many by one transaction, where they offer the same."""
        done = 0
        batch_max = self._parts.terms[chain.name].batch_max
        by_rate: dict[str, list[Fit]] = {}
        for fit in fits:
            by_rate.setdefault(fit.row.speed, []).append(fit)
        for alike in by_rate.values():
            for first in range(0, len(alike), batch_max):
                batch, coins = await self._affordable(
                    connection, chain, known.height, alike[first : first + batch_max], now
                )
                if not batch:
                    continue
                # That the house's coins are small is nothing to its customers: it pays for the fifth and each more.
                more = chain.coin_fee(rate=batch[0].rate) * max(len(coins) - COINS_ESTIMATED, 0)
                if more > known.house_fee_max:
                    for fit in batch:
                        await store.postpone(
                            connection, fit.row, next_at=now + rules.PAUSE * 5, reason="fee_above_limit"
                        )
                    continue
                change = known.house.get("change", known.house["hot"])[0]
                allocation = new_allocation(chain, known.house["hot"][0], change=change)
                await _insert(connection, [Allocated(allocation, batch, more)], now)
                await allocations.mark_coins(connection, chain.name, coins, allocation.id)
                done += len(batch)
        return done

    async def _affordable(
        self, connection: Connection, chain: Chain, height: int, batch: Sequence[Fit], now: datetime
    ) -> tuple[Sequence[Fit], Sequence[Coin]]:
        """As many of them as our free coins pay, the largest left out first."""
        final = height - self._parts.terms[chain.name].confirmations + 1
        free = await allocations.free_coins(connection, chain.name, height=height, final=final, limit=COINS_MAX)
        batch = list(batch)
        while batch:
            try:
                coins = chain.choose(free, [fit.payment for fit in batch], rate=batch[0].rate)
            except FundsShort:
                largest = max(batch, key=lambda fit: fit.row.amount)
                batch.remove(largest)
                await self._short(connection, largest.row, now)
            else:
                return batch, coins
        return (), ()

    async def _one_by_one(
        self, connection: Connection, chain: Chain, known: Known, fits: Sequence[Fit], now: datetime
    ) -> int:
        living = dict(await allocations.living(connection, chain.name))
        committed, fees = await queue.committed(connection, chain.name)
        left = {token: balance - committed.get(token, 0) for token, balance in known.balances.items()}
        left[None] = left.get(None, 0) - fees
        nonces: dict[str, list[int]] = {}
        allocated: list[Allocated] = []
        for fit in fits:
            source = free_source(known, living, self._parts.terms[chain.name].living_max)
            if source is None:
                await store.postpone(connection, fit.row, next_at=now + rules.PAUSE, reason="sources_busy")
                continue
            need = {fit.row.token: fit.row.amount}
            need[None] = need.get(None, 0) + fit.fee_limit + fit.row.opening
            if any(left.get(token, 0) < units for token, units in need.items()):
                await self._short(connection, fit.row, now)
                continue
            for token, units in need.items():
                left[token] -= units
            living[source] = living.get(source, 0) + 1
            nonce = None
            if chain.model == "nonce":
                if source not in nonces:
                    count = 1 if "channel" in known.house else len(fits)
                    nonces[source] = await allocations.next_nonces(
                        connection, chain.name, source, least=known.nonces[source], count=count
                    )
                nonce = nonces[source].pop(0)
            expires_at = now + EXPIRES_AFTER
            # A channel gives its number alone, so who pays is said as well.
            pays = None if source == known.house["hot"][0] else known.house["hot"][0]
            allocation = new_allocation(
                chain, source, change=pays, nonce=nonce, anchor=known.anchor, expires_at=expires_at
            )
            allocated.append(Allocated(allocation, [fit]))
        if allocated:
            await _insert(connection, allocated, now)
        return len(allocated)

    async def _short(self, connection: Connection, row: Row, now: datetime) -> None:
        log.warning("the house has not enough on the chain for a withdrawal", withdrawal=str(row.id), asset=row.asset)
        await store.postpone(connection, row, next_at=now + rules.PAUSE * 5, reason="house_short")

    async def _postpone(self, rows: Sequence[Row], reason: str) -> None:
        next_at = self._parts.now() + rules.PAUSE * 5
        async with self._parts.database.connection() as connection:
            for row in rows:
                await store.postpone(connection, row, next_at=next_at, reason=reason)


async def _insert(connection: Connection, allocated: Sequence[Allocated], now: datetime) -> None:
    """Add allocations, each with its transaction."""
    txs = [
        Tx(
            id=ids.new(),
            allocation_id=one.allocation.id,
            chain=one.allocation.chain,
            kind="pay",
            rate=one.batch[0].rate.numbers,
            fee_limit=sum(fit.fee_limit for fit in one.batch) + one.more,
            state="allocated",
            created_at=now,
        )
        for one in allocated
    ]
    payments = [[(fit.payment, fit.row.id) for fit in one.batch] for one in allocated]
    await allocations.insert_all(connection, [one.allocation for one in allocated], now=now)
    await queue.insert_txs(connection, list(zip(txs, payments, strict=True)))
    pairs = [(fit.row, one.allocation.id) for one in allocated for fit in one.batch]
    await together.set_allocated(connection, pairs, now=now)


async def nonces_of(chain: Chain, sources: Sequence[str], hot: str) -> dict[str, int]:
    """The next number of each; a channel that was not opened on the chain yet has none."""
    found: dict[str, int] = {}
    for one in sources:
        try:
            found[one] = await chain.next_nonce(one)
        except FundsShort:
            if one == hot:
                raise
    return found


def free_source(known: Known, living: Mapping[str, int], living_max: int) -> str | None:
    """Who gives the transaction its number: a channel has one at a time, a source without channels many."""
    if "channel" in known.house:
        return next((one for one in known.nonces if not living.get(one)), None)
    hot = known.house["hot"][0]
    return hot if living.get(hot, 0) < living_max else None


def new_allocation(
    chain: Chain,
    source: str,
    *,
    change: str | None = None,
    nonce: int | None = None,
    anchor: tuple[str, int] | None = None,
    expires_at: datetime | None = None,
) -> AllocationRow:
    """One that lives from now on, to be stored with its transaction."""
    return AllocationRow(
        id=ids.new(),
        chain=chain.name,
        source=source,
        change=change,
        nonce=nonce,
        anchor=None if anchor is None else anchor[0],
        last_height=None if anchor is None else anchor[1],
        expires_at=expires_at,
        state="living",
        house_fee=None,
    )
