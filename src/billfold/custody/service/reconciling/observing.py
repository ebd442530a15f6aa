"""Looks at a chain and at our books until both are of the same block, and says what nobody can explain.

A node answers with what an address holds after the block that was asked for, or after a later one. So an answer counts
only when the blocks up to the node's last one have been read, and none of them has moved the address; else it is asked
for again. Between two looks nothing has to be asked of addresses that have not moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain as chained
from typing import TypeVar
from uuid import UUID

import msgspec

from billfold.chains.errors import ChainError, NodeUnavailable
from billfold.chains.port import Fate, Found
from billfold.custody.domain import reconciling as rules
from billfold.custody.domain.reconciling import Sent, Terms
from billfold.custody.service.reconciling.books import Books, Keeper, Rows, Unsettled
from billfold.custody.service.served import Served
from billfold.custody.service.withdrawals.sending import signed_of
from billfold.custody.store import allocations, cursors, holdings, queue, sources
from billfold.custody.store.allocations import AllocationRow
from billfold.custody.store.holdings import Held
from billfold.custody.store.queue import Tx
from billfold.kernel.assets import Asset
from billfold.kernel.clock import Clock
from billfold.platform.postgres.database import Database

#: So many addresses or coins are asked for in one run: ten seconds of a node that takes 80 ms, AT_ONCE at a time.
ASKED_MAX = 1_000
AT_ONCE = 8
#: Answers are kept after so many, so that a run that is killed has not asked for nothing.
KEPT_EACH = 100
#: An address that moves all the time is looked at so often, and then at the next run.
LOOKS_MAX = 6
#: Blocks that the node had meanwhile are read within this, or somebody has to look at why they are not.
READ_WITHIN_S = 10.0
_READ_PAUSE_S = 0.1

T = TypeVar("T")
R = TypeVar("R")


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at one block, by asset. Amounts are smallest units."""

    height: int
    block: str
    held: Mapping[str, int]
    places: Mapping[str, Mapping[str, int]]
    owed: Mapping[str, int]
    terms: Terms
    differences: Mapping[str, int]
    asked: int


class Observer:
    """Of one chain."""

    def __init__(self, *, served: Served, database: Database, keeper: Keeper, clock: Clock) -> None:
        self._chain = served.chain
        self._name = served.name
        self._database = database
        self._keeper = keeper
        self._clock = clock

    async def look(self, *, since: datetime) -> Observation:
        """Ask the chain for what has moved, and for what was not asked for since an instant, and compare.

        Raises:
            Unsettled: it can't be said now.
            DatabaseUnavailable, and what else of ours is away.
        """
        try:
            return await self._look(since)
        except (ChainError, NodeUnavailable) as error:
            raise Unsettled(error.code) from error

    async def _look(self, since: datetime) -> Observation:
        assets = await self._keeper.assets()
        await self._doubt_the_house(assets)
        books = await self._keeper.opened(assets)
        asked = await self._check_coins(since)
        asked += await self._ask_the_oldest(since)
        for _ in range(LOOKS_MAX):
            asked += await self._ask_the_moved()
            await self._read_to_the_head()
            books = await self._keeper.opened(assets)
            late = await self._sent(books)
            if not late and not await self._moved(1):
                return _observation(books, assets, self._chain.coin, asked)
        raise Unsettled("moves_all_the_time")

    async def _doubt_the_house(self, assets: Sequence[Asset]) -> None:
        """The house's own addresses are asked for each time: there lies most, and from there it is stolen."""
        if self._chain.model == "coins":
            return
        async with self._database.transaction() as connection:
            house = await sources.house(connection, self._name)
            tokens = [one.contract or "" for one in assets]
            wanted = [Held(address, token) for address in house.get("hot", ()) for token in tokens]
            wanted += [Held(address, "") for purpose in ("change", "channel") for address in house.get(purpose, ())]
            await holdings.doubt_these(connection, self._name, wanted)

    async def _ask_the_moved(self) -> int:
        if self._chain.model == "coins":
            return 0
        moved = await self._moved(ASKED_MAX + 1)
        await self._ask(moved[:ASKED_MAX])
        if len(moved) > ASKED_MAX:
            # What was answered is kept: the next run goes on from there.
            raise Unsettled("much_has_moved")
        return len(moved)

    async def _moved(self, limit: int) -> Sequence[Held]:
        async with self._database.connection() as connection:
            return await holdings.moved(connection, self._name, limit=limit)

    async def _ask_the_oldest(self, since: datetime) -> int:
        if self._chain.model == "coins":
            return 0
        async with self._database.connection() as connection:
            oldest = await holdings.oldest(connection, self._name, before=since, limit=ASKED_MAX)
        await self._ask(oldest)
        return len(oldest)

    async def _ask(self, wanted: Sequence[Held]) -> None:
        for first in range(0, len(wanted), KEPT_EACH):
            part = wanted[first : first + KEPT_EACH]
            async with self._database.connection() as connection:
                cursor = await cursors.get(connection, self._name)
            assert cursor is not None, "the books have looked"
            height = cursor.height

            async def balance(one: Held, height: int = height) -> int:
                return await self._chain.balance(one.address, token=one.token or None, height=height)

            found = await _each(part, balance)
            async with self._database.transaction() as connection:
                kept = dict(zip(part, found, strict=True))
                await holdings.keep(connection, self._name, kept, height=height, now=self._clock.now())

    async def _check_coins(self, since: datetime) -> int:
        """Ask for coins of ours: one that no block has used up, as far as we have read, has to be there."""
        if self._chain.model != "coins":
            return 0
        async with self._database.connection() as connection:
            coins = await holdings.coins_to_check(connection, self._name, before=since, limit=ASKED_MAX)
        for first in range(0, len(coins), KEPT_EACH):
            part = coins[first : first + KEPT_EACH]
            missing = await _each([[coin] for coin in part], self._chain.missing)
            async with self._database.transaction() as connection:
                await holdings.checked(
                    connection, self._name, part, list(chained.from_iterable(missing)), now=self._clock.now()
                )
        return len(coins)

    async def _read_to_the_head(self) -> None:
        """Wait until the blocks have been read that the nodes had when they answered."""
        head = await self._chain.head()
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                while True:
                    async with self._database.connection() as connection:
                        cursor = await cursors.get(connection, self._name)
                    if cursor is not None and cursor.height >= head.height:
                        return
                    if cursor is not None and cursor.halted is not None:
                        raise Unsettled("chain_halted")
                    await asyncio.sleep(_READ_PAUSE_S)
        except TimeoutError:
            raise Unsettled("chain_behind") from None

    async def _sent(self, books: Books) -> bool:
        """Explain what was sent, and say whether some of it has moved an address since that was asked for."""
        rows = books.rows
        found = await _each(rows.allocations, lambda row: self._fate(row, rows.txs.get(row.id, ())))
        doubtful: list[Held] = []
        for row, (tx, fate) in zip(rows.allocations, found, strict=True):
            mined = fate is not None and fate.height is not None and fate.height <= rows.cursor.height
            sent = Sent(
                allocation_id=row.id,
                kind=tx.kind if tx is not None else "pay",
                mined=mined,
                succeeded=fate is None or fate.succeeded,
                fee=(fate.fee or 0) if fate is not None else 0,
                pays=_pays(rows, row, tx) if tx is not None else (),
            )
            rules.explain_sent(
                books.terms, self._chain.coin, sent, books.paid[row.id], house_fee=books.house_fees[row.id]
            )
            if mined and tx is not None and self._chain.model != "coins":
                assert fate is not None and fate.height is not None
                doubtful += await self._asked_too_early(row, tx, fate.height)
        if doubtful:
            async with self._database.transaction() as connection:
                await holdings.doubt_these(connection, self._name, doubtful)
        return bool(doubtful)

    async def _fate(self, row: AllocationRow, txs: Sequence[Tx]) -> tuple[Tx | None, Found | None]:
        """The transaction of an allocation that is in a block, if one is; else the last that may still be."""
        for tx in txs:
            if tx.state == "final" and tx.height is not None:
                return tx, Found(
                    fate=Fate.MINED, height=tx.height, block=tx.block, succeeded=tx.succeeded is True, fee=tx.fee
                )
        async with self._database.connection() as connection:
            allocation = await allocations.content(connection, row)
        for tx in txs:
            found = await self._chain.find(signed_of(tx), allocation)
            if found.fate is Fate.MINED:
                return tx, found
        return (txs[-1] if txs else None), None

    async def _asked_too_early(self, row: AllocationRow, tx: Tx, height: int) -> list[Held]:
        """Addresses that a transaction of ours has moved, and that were asked for before its block was read."""
        payers = {row.source, row.change or row.source}
        async with self._database.connection() as connection:
            tokens = {payment.token or "" for payment, _ in await queue.payments(connection, tx.id)} | {""}
            early = [
                payer for payer in payers if await holdings.asked_at_height(connection, self._name, payer) < height
            ]
        return [Held(payer, token) for payer in early for token in tokens]


def _pays(rows: Rows, row: AllocationRow, tx: Tx) -> Sequence[UUID]:
    """The withdrawals that a transaction pays; what goes to the warm address stands there by its allocation's id."""
    return [*rows.pays.get(tx.id, ()), *([row.id] if tx.kind == "warm" else [])]


async def _each(wanted: Sequence[T], ask: Callable[[T], Awaitable[R]]) -> list[R]:
    """Ask for each, AT_ONCE at a time, and wait for all, also where one fails."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def answer(one: T) -> R:
        async with gate:
            return await ask(one)

    answers = await asyncio.gather(*(answer(one) for one in wanted), return_exceptions=True)
    found: list[R] = []
    for one in answers:
        if isinstance(one, BaseException):
            raise one
        found.append(one)
    return found


def _observation(books: Books, assets: Sequence[Asset], coin: str, asked: int) -> Observation:
    held, differences = {}, {}
    for one in assets:
        held[one.code] = books.rows.held.get("" if one.code == coin else one.contract or "", 0)
        differences[one.code] = rules.difference(
            held=held[one.code], owed=books.owed[one.code], terms=books.terms, asset=one.code
        )
    return Observation(
        height=books.rows.cursor.height,
        block=books.rows.cursor.hash,
        held=held,
        places={one.code: books.rows.places.get("" if one.code == coin else one.contract or "", {}) for one in assets},
        owed=books.owed,
        terms=books.terms,
        differences=differences,
        asked=asked,
    )
