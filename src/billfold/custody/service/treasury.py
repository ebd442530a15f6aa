"""What operators see of the house's own money on chains."""

from __future__ import annotations

from uuid import UUID

from billfold.custody.contracts.treasury import HotLevel, Refill
from billfold.custody.service.house import House
from billfold.custody.service.served import Serving
from billfold.custody.store import treasury as store
from billfold.kernel import money, paging
from billfold.kernel.money import Money
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database


class Treasury:
    """Of all chains that are served."""

    def __init__(self, *, serving: Serving, database: Database, ledger: Ledger, house: House) -> None:
        self._serving = serving
        self._database = database
        self._ledger = ledger
        self._house = house

    async def levels(self) -> list[HotLevel]:
        """How much of each asset with a band lies ready, as it was seen last."""
        async with self._database.connection() as connection:
            rows = await store.levels(connection)
        return [await self._level(row) for row in rows]

    async def refills(
        self, *, only_open: bool = False, cursor: str | None = None, limit: int | None = None
    ) -> paging.Page[Refill]:
        """What operators are, or were, asked to bring; the newest first.

        Raises:
            InvalidCursor, InvalidLimit
        """
        size = paging.check_limit(limit)
        before = None if cursor is None else paging.decode(cursor, UUID)
        async with self._database.connection() as connection:
            rows = await store.refills(connection, only_open=only_open, before=before, limit=size + 1)
        return paging.cut([await self._refill(row) for row in rows], size, place=lambda one: one.id)

    async def _level(self, row: store.Level) -> HotLevel:
        warm = await self._house.account(kind="warm", asset=row.asset)
        (account,) = await self._ledger.accounts(ids=[warm])
        return HotLevel(
            chain=row.chain,
            asset=row.asset,
            free=await self._written(row.free, row.asset),
            waiting=await self._written(row.waiting, row.asset),
            low=await self._written(row.low, row.asset),
            target=await self._written(row.target, row.asset),
            high=await self._written(row.high, row.asset),
            side=row.side,
            since=row.since,
            looked_at=row.looked_at,
            warm=await self._written(-account.posted, row.asset),
            warm_address=self._warm_address(row.chain),
        )

    async def _refill(self, row: store.Refill) -> Refill:
        return Refill(
            id=row.id,
            chain=row.chain,
            money=await self._written(row.amount, row.asset),
            warm_address=self._warm_address(row.chain),
            address=row.address,
            received=await self._written(row.received, row.asset),
            opened_at=row.opened_at,
            closed_at=row.closed_at,
            outcome=row.outcome,
        )

    def _warm_address(self, chain: str) -> str | None:
        found = next((one for one in self._serving.all if one.name == chain), None)
        return None if found is None else found.withdrawing.treasury.warm

    async def _written(self, units: int, asset: str) -> Money:
        return Money(money.format(units, (await self._ledger.asset(code=asset)).scale), asset)
